"""Whether the parts of a run of ``coteach.fit`` fit each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from warnings import warn

import numpy as np
import torch
from torch import Tensor

from coteach.data.folds import ImageSubset
from coteach.data.image_labels import changed_name, moved_name, names_of
from coteach.data.image_set import ImageSet
from coteach.data.other_labels import check_other_labels
from coteach.errors import CoteachWarning, InputError, OptionError
from coteach.training.fit_arguments import check_fresh
from coteach.training.precheck import refuse_lone_sample, schedule_remark
from coteach.training.rehearsal import find_misfit
from coteach.training.run import TrainingRun


def check_fit(run: TrainingRun) -> None:
    """Find what does not fit before anything is written.

    Raises:
        InputError, OptionError, ConfigError: images, labels and network do not fit each other.
    """
    for source, dataset in run.datasets.items():
        if isinstance(dataset, ImageSet):
            dataset.check_classes(run.num_classes)
            dataset.check_files()
        elif not isinstance(dataset, ImageSubset):
            check_other_labels(dataset, run.num_classes, learns=source == "train")
    training = run.datasets["train"]
    if isinstance(training, ImageSet) and (lone := training.lone_class(run.num_classes)):
        raise InputError("dataset", f"its labels hold {lone}", "give labels of at least two classes")
    _check_held(run)
    with torch.random.fork_rng(devices=[]):
        network = run.make_network()
        check_fresh(network, run.make_network())
        for source, dataset in run.datasets.items():
            image = _image(dataset[0], source)
            if not isinstance(image, Tensor):
                continue
            found = find_misfit(network.eval(), image[None], run.num_classes, ())
            if found is not None and source == "train":
                cause = f"its network {found.cause}" + (_of_labels(run) if found.about == "classes" else "")
                remedy = "give one that fits"
                if image.dtype != torch.float32:
                    remedy += f", or images of float32 (these are {str(image.dtype).removeprefix('torch.')})"
                raise OptionError("model_factory", cause, remedy)
            if found is not None:
                raise InputError(source, f"the network {found.cause}", "give images like those of training")
        refuse_lone_sample(run, network)
    if remark := schedule_remark(run, network):
        warn(remark, CoteachWarning, stacklevel=3)


def _image(sample: Any, source: str) -> Any:
    """Of one sample, as a batch will hold it."""
    image = sample["image"] if isinstance(sample, dict) else sample[0]
    if isinstance(image, np.ndarray):
        return torch.as_tensor(image)
    if not isinstance(image, Tensor | Mapping | Sequence):
        kind = f"{type(image).__module__}.{type(image).__qualname__}"
        remedy = "let it give tensors, such as by transform=torchvision.transforms.ToTensor()"
        raise InputError("dataset" if source == "train" else source, f"its images are {kind}", remedy)
    return image


def _check_held(run: TrainingRun) -> None:
    """Refuse a validation set whose figures would say nothing, or of other classes."""
    held = run.datasets.get("val")
    if isinstance(held, ImageSet) and not held.labels.counts(run.num_classes).any():
        raise InputError("val", "none of its images has a label", "label some of them, or leave it out")
    names, others = _names(run.datasets["train"]), _names(held)
    listed = ", ".join(map(repr, names or ()))
    own = isinstance(held, ImageSet | ImageSubset)
    if cause := moved_name(others, names):
        raise InputError(
            "val", cause, f"{'give it class_names=' if own else 'let its classes be '}[{listed}]"
        )
    if own and (cause := changed_name(others, names)):  # other packages may spell them otherwise
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
