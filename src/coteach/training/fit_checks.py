"""Whether the parts of a run of ``coteach.fit`` fit each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from warnings import warn

import torch
from torch import Tensor, nn

from coteach.data.class_names import changed_name, moved_name, names_of
from coteach.data.collate import batch_of
from coteach.data.folds import ImageSubset
from coteach.data.image_set import ImageSet
from coteach.data.keyed import first_sample, seeded
from coteach.data.other_labels import check_other_labels
from coteach.errors import CoteachWarning, InputError, OptionError
from coteach.methods.label_method import LabelMethod
from coteach.training.fit_arguments import check_fresh
from coteach.training.fit_identity import in_words, made_optimizer, made_schedule
from coteach.training.precheck import refuse_lone_sample, schedule_remarks
from coteach.training.rehearsal import find_misfit, warn_of_probabilities
from coteach.training.run import TrainingRun


def check_fit(run: TrainingRun) -> dict[str, str]:
    """Find what does not fit before anything is written.

    Returns:
        What network, optimizer and schedule are, in words, for :func:`coteach.training.fit_identity.identity_of`.

    Raises:
        InputError, OptionError, ConfigError: images, labels, network, optimizer and schedule do not fit each other.
    """
    if isinstance(run.method, LabelMethod):
        run.method.check_extent(())
    _check_labels(run)
    _check_held(run)
    with torch.random.fork_rng(devices=[]):
        networks = [run.make_network(), run.make_network()]
        check_fresh(*networks)
        for source, dataset in run.datasets.items():
            _check_network(run, networks[0].eval(), source, _first_images(dataset, source, run.seed))
        refuse_lone_sample(run, networks[0])
        # as many as will be trained: a factory that gives one after the other a rate of its own begins anew
        optimizers = [
            made_optimizer(run, network) for _, network in zip(run.method.trained, networks, strict=False)
        ]
        made = in_words(networks[: len(optimizers)], optimizers)
        schedules = [made_schedule(run, optimizer) for optimizer in optimizers]
    schedule = schedules[0]
    if schedule is not None:
        # not its numbers: one over more epochs is that of the same run, trained longer
        made["scheduler"] = type(schedule).__name__
    for remark in schedule_remarks(run, schedule):
        warn(remark, CoteachWarning, stacklevel=3)
    return made


def _check_labels(run: TrainingRun) -> None:
    for source, dataset in run.datasets.items():
        if isinstance(dataset, ImageSet):
            dataset.check_classes(run.num_classes)
            dataset.check_files()
        elif not isinstance(dataset, ImageSubset):
            with seeded(run.seed):  # what its transforms draw leaves the caller's generators alone
                check_other_labels(dataset, run.num_classes, learns=source == "train")
    training = run.datasets["train"]
    if isinstance(training, ImageSet) and (lone := training.lone_class(run.num_classes)):
        raise InputError("dataset", f"its labels hold {lone}", "give labels of at least two classes")


def _first_images(dataset: Any, source: str, seed: int) -> Any:
    """As the network is shown them."""
    sample = first_sample(dataset, seed=seed)
    try:
        return batch_of(dataset, [sample]).inputs
    except TypeError as error:
        cause = f"its first sample makes no batch ({error})"
        remedy = "let it give tensors, such as by transform=torchvision.transforms.ToTensor()"
        raise InputError("dataset" if source == "train" else source, cause, remedy) from error


def _check_network(run: TrainingRun, network: nn.Module, source: str, images: Any) -> None:
    if not isinstance(images, Tensor):
        return
    found = find_misfit(network, images, run.num_classes, ())
    if found is not None and source == "train":
        cause = f"its network {found.cause}" + (_of_labels(run) if found.about == "classes" else "")
        remedy = "give one that fits"
        if images.dtype != torch.float32:
            remedy += f", or images of float32 (these are {str(images.dtype).removeprefix('torch.')})"
        raise OptionError("model_factory", cause, remedy)
    if source == "train":
        warn_of_probabilities(network, images)
    if found is not None:
        raise InputError(source, f"the network {found.cause}", "give images like those of training")


def _check_held(run: TrainingRun) -> None:
    """Refuse a validation set whose figures would say nothing, or of other classes."""
    held = run.datasets.get("val")
    if isinstance(held, ImageSet) and not held.labels.counts(run.num_classes).any():
        raise InputError("val", "none of its images has a label", "label some of them, or leave it out")
    names, others = _names(run.datasets["train"]), _names(held)
    listed = ", ".join(map(repr, names or ()))
    own = isinstance(held, ImageSet | ImageSubset)
    both = own and isinstance(
        run.datasets["train"], ImageSet | ImageSubset
    )  # others may spell them otherwise
    if cause := moved_name(others, names):
        raise InputError(
            "val", cause, f"{'give it class_names=' if own else 'let its classes be '}[{listed}]"
        )
    if both and (cause := changed_name(others, names)):
        raise InputError("val", cause, "name it alike in both; folders are renamed, arrays take class_names")
    if own and others is not None and len(others) > run.num_classes:
        cause = f"has {len(others)} classes ({', '.join(others[:10])}), training {run.num_classes}"
        remedy = "make them agree: class_names names them all, also those without images"
        raise InputError("val", cause, remedy)


def _names(dataset: Any) -> Sequence[str] | None:
    """Those of the classes, which torchvision's sets list in ``classes``."""
    return names_of(dataset, "class_names" if isinstance(dataset, ImageSet | ImageSubset) else "classes")


def _of_labels(run: TrainingRun) -> str:
    """Where the number of classes comes from, if that is the largest label."""
    training = run.datasets["train"]
    whole = training.dataset if isinstance(training, ImageSubset) else training
    if not isinstance(whole, ImageSet) or whole.class_names is not None or whole.labels.soft:
        return ""
    item = int(whole.labels.values.argmax())
    largest = int(whole.labels.values[item])
    if largest + 1 != run.num_classes:
        return ""
    return f" (the largest label is {largest}, of {whole.place(item).removeprefix('images, ')})"
