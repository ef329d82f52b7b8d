"""What a run of ``coteach.fit`` is told apart by: of functions, what they make."""

from __future__ import annotations

import hashlib
from typing import Any

import torch
from torch import nn
from torch.nn.parameter import is_lazy
from torch.optim import Optimizer

from coteach.data.folds import ImageSubset
from coteach.data.image_set import ImageSet
from coteach.errors import OptionError
from coteach.training.run import TrainingRun
from coteach.training.state import read_state

_HOW_FAST = (
    "capturable",
    "differentiable",
    "foreach",
    "fused",
)  # options of optimizers; results are the same


def identity_of(run: TrainingRun, *, lr: float) -> dict[str, Any]:
    """Method, data, network, optimizer and schedule, as plain data.

    Args:
        run: all but its identity; its parts fit each other.
        lr: as it was given.

    Raises:
        OptionError: the optimizer or the schedule is none.
        TrainingError: what the folder says of its run is damaged.
    """
    told = {
        source: one.fingerprint()
        if isinstance(one, (ImageSet, ImageSubset))
        else f"{type(one).__name__} of {len(one)}"
        for source, one in run.datasets.items()
    }
    made = _made(run)
    kept = read_state(run.output_dir).get("identity") or made
    return {
        "method": run.method.name,
        "config": repr(getattr(run.method, "config", None)),
        "batch_size": run.loader.batch_size,
        "lr": lr,
        **told,
        **(made if "network" in kept else {}),  # earlier versions did not note what functions make
    }


def _made(run: TrainingRun) -> dict[str, str]:
    """Network, optimizer and schedule, in words."""
    with torch.random.fork_rng(devices=[]):
        network = run.make_network()
    optimizer: Any = run.make_optimizer(network.parameters())
    if not isinstance(optimizer, Optimizer):
        remedy = "let it return an optimizer, such as torch.optim.SGD(parameters, lr=0.1)"
        raise OptionError("optimizer", f"gives a {type(optimizer).__name__}", remedy)
    made = {
        "network": _network_in_words(network),
        "optimizer": f"{type(optimizer).__name__}({_options_in_words(optimizer)})",
    }
    if run.scheduler is None:
        return made
    schedule: Any = run.scheduler.make(optimizer)
    if not hasattr(schedule, "step"):
        remedy = "let it return a schedule, such as torch.optim.lr_scheduler.StepLR(optimizer, 10)"
        raise OptionError("scheduler", f"gives a {type(schedule).__name__}", remedy)
    # not its numbers: a cosine over more epochs is that of the same run, trained longer
    return made | {"scheduler": type(schedule).__name__}


def _network_in_words(network: nn.Module) -> str:
    """A digest of the names and shapes of its weights; a lazy layer has no shapes yet."""
    shapes = [
        f"{name} {'' if is_lazy(weight) else getattr(weight, 'shape', '')}"
        for name, weight in network.state_dict(keep_vars=True).items()
    ]
    digest = hashlib.sha256("\n".join(shapes).encode()).hexdigest()[:8]
    return f"{type(network).__name__} of {len(shapes)} tensors ({digest})"


def _options_in_words(optimizer: Optimizer) -> str:
    """Those that decide the result. What is off is left out: other versions of torch may not have it."""
    told = {
        name: value
        for name, value in optimizer.defaults.items()
        if isinstance(value, int | float | str | tuple) and value is not False and name not in _HOW_FAST
    }
    return ", ".join(f"{name}={value}" for name, value in sorted(told.items()))
