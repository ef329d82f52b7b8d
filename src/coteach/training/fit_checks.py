"""What a run of ``coteach.fit`` is told apart by, and whether its parts fit each other."""

from __future__ import annotations

import hashlib
from typing import Any
from warnings import warn

import torch
from torch import Tensor
from torch.optim import Optimizer

from coteach.data.folds import ImageSubset
from coteach.data.image_labels import moved_name
from coteach.data.image_set import ImageSet
from coteach.data.other_labels import check_other_labels
from coteach.errors import CoteachWarning, InputError, OptionError
from coteach.training.fit_arguments import check_fresh
from coteach.training.precheck import refuse_lone_sample, schedule_remark
from coteach.training.rehearsal import find_misfit
from coteach.training.run import TrainingRun


def identity_of(run: TrainingRun, *, lr: float) -> dict[str, Any]:
    """What a folder is told apart by: of functions, what they make.

    Args:
        run: all but its identity; its parts fit each other.
        lr: as it was given.

    Raises:
        OptionError: the optimizer is none.
    """
    told = {
        source: one.fingerprint()
        if isinstance(one, (ImageSet, ImageSubset))
        else f"{type(one).__name__} of {len(one)}"
        for source, one in run.datasets.items()
    }
    options = {"batch_size": run.loader.batch_size, "lr": lr}
    return {
        "method": run.method.name,
        "config": repr(getattr(run.method, "config", None)),
        **options,
        **told,
    } | _made(run)


def _made(run: TrainingRun) -> dict[str, str]:
    """Network, optimizer and schedule, in words."""
    with torch.random.fork_rng(devices=[]):
        network = run.make_network()
    optimizer: Any = run.make_optimizer(network.parameters())
    if not isinstance(optimizer, Optimizer):
        cause = f"gives a {type(optimizer).__name__}"
        raise OptionError(
            "optimizer", cause, "let it return an optimizer, such as torch.optim.SGD(parameters, lr=0.1)"
        )
    shapes = [f"{name} {getattr(weight, 'shape', '')}" for name, weight in network.state_dict().items()]
    digest = hashlib.sha256("\n".join(shapes).encode()).hexdigest()[:8]
    options = ", ".join(f"{name}={value}" for name, value in sorted(optimizer.defaults.items()))
    made = {
        "network": f"{type(network).__name__} of {len(shapes)} tensors ({digest})",
        "optimizer": f"{type(optimizer).__name__}({options})",
    }
    # not its numbers: a cosine over more epochs is that of the same run, trained longer
    return (
        made if run.scheduler is None else made | {"scheduler": type(run.scheduler.make(optimizer)).__name__}
    )


def check_fit(run: TrainingRun) -> None:
    """Find what does not fit before anything is written.

    Raises:
        InputError, OptionError, ConfigError: images, labels and network do not fit each other.
    """
    for dataset in run.datasets.values():
        if isinstance(dataset, ImageSet):
            dataset.check_classes(run.num_classes)
            dataset.check_files()
        elif not isinstance(dataset, ImageSubset):
            check_other_labels(dataset, run.num_classes)
    training = run.datasets["train"]
    if isinstance(training, ImageSet) and (lone := training.lone_class(run.num_classes)):
        raise InputError("dataset", f"its labels hold {lone}", "give labels of at least two classes")
    _check_held(run)
    with torch.random.fork_rng(devices=[]):
        network = run.make_network()
        check_fresh(network, run.make_network())
        for source, dataset in run.datasets.items():
            sample = dataset[0]
            image = sample["image"] if isinstance(sample, dict) else sample[0]
            found = (
                find_misfit(network.eval(), image[None], run.num_classes, ())
                if isinstance(image, Tensor)
                else None
            )
            if found is not None and source == "train":
                raise OptionError("model_factory", f"its network {found.cause}", "give one that fits")
            if found is not None:
                raise InputError(source, f"the network {found.cause}", "give images like those of training")
        refuse_lone_sample(run, network)
    if remark := schedule_remark(run):
        warn(remark, CoteachWarning, stacklevel=3)


def _check_held(run: TrainingRun) -> None:
    """Refuse a validation set whose figures would say nothing, or of other classes."""
    held, training = run.datasets.get("val"), run.datasets["train"]
    if not isinstance(held, ImageSet):
        return
    if not held.labels.counts(run.num_classes).any():
        raise InputError("val", "none of its images has a label", "label some of them, or leave it out")
    names = getattr(training, "class_names", None)
    if cause := moved_name(held.class_names, names):
        raise InputError("val", cause, f"give it class_names=[{', '.join(map(repr, names or ()))}]")
    if held.class_names is not None and len(held.class_names) != run.num_classes:
        cause = f"has {len(held.class_names)} classes ({', '.join(held.class_names[:10])}), training {run.num_classes}"
        raise InputError(
            "val", cause, "make them agree: class_names names them all, also those without images"
        )
