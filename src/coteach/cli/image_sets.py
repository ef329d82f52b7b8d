"""Whether sets of images fit the configuration: labels, names of classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from coteach.cli.config import RunConfig
from coteach.cli.output import SHOWN, warn
from coteach.data.class_names import changed_name, moved_name, names_of
from coteach.data.image_set import ImageSet
from coteach.errors import ConfigError, InputError


def check_image_set(dataset: ImageSet, config: RunConfig, key: str) -> None:
    """Refuse labels outside the classes, missing files, training on one class, validation on none.

    A class that no image of the training set is labelled as is told.

    Args:
        dataset: of the configuration.
        config: checked.
        key: where it stands in the configuration.

    Raises:
        ConfigError: it does not fit.
    """
    count = config.num_classes
    named = dataset.class_names
    if named is not None and len(named) != count:
        cause = f"has {len(named)} classes ({', '.join(named[:10])}), num_classes is {count}"
        raise ConfigError(key, cause, "make them agree")
    try:
        dataset.check_classes(count)
        dataset.check_files()
    except InputError as error:
        raise ConfigError(key, f"{error.thing}: {error.cause}", error.remedy) from error
    if key == "train_dataset" and (lone := dataset.lone_class(count)):
        raise ConfigError(key, f"its labels hold {lone}", "give labels of at least two classes")
    if key == "train_dataset" and (missing := (dataset.labels.counts(count) == 0).nonzero()[0].tolist()):
        told = [f"{code} ({named[code]})" if named else str(code) for code in missing[:SHOWN]]
        warn(f"{key}: no image is labelled as class {', '.join(told)}{', …' if len(missing) > SHOWN else ''}")
    if key == "val_dataset" and not dataset.labels.counts(count).any():
        raise ConfigError(key, "none of its images has a label", "label some of them, or leave it out")


def with_class_names(config: RunConfig, datasets: Mapping[str, Any]) -> RunConfig:
    """The configuration with the names that the training set knows, if it has none itself.

    Raises:
        ConfigError: the other data sets, or the configuration, call other classes by these names.
    """
    known = names_of(datasets["train"])
    # predictions are told by the names of the configuration
    if cause := moved_name(config.class_names, known):
        raise ConfigError("class_names", cause, f"give [{', '.join(known or ())}], or leave it out")
    for source, dataset in datasets.items():
        key = f"{source}_dataset"
        check_names(dataset, known, key)
        if isinstance(dataset, ImageSet) and (cause := changed_name(dataset.class_names, known)):
            raise ConfigError(key, cause, "name it alike in both; folders are renamed")
    return config if config.class_names or known is None else replace(config, class_names=list(known))


def check_names(dataset: Any, names: Sequence[str] | None, key: str) -> None:
    """Refuse a data set in which a name stands for another class than in ``names``: a folder may be missing.

    Args:
        dataset: of images; others pass.
        names: by code, of the training set; None passes.
        key: where the data set stands in the configuration.

    Raises:
        ConfigError: it does.
    """
    if cause := moved_name(names_of(dataset), names):
        raise ConfigError(key, cause, f"give class_names: [{', '.join(names or ())}]")
