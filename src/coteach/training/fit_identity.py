"""What a run of ``coteach.fit`` is told apart by: of functions, what they make."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.parameter import is_lazy
from torch.optim import Optimizer

from coteach.data.folds import ImageSubset
from coteach.data.image_set import ImageSet
from coteach.errors import OptionError
from coteach.training.run import TrainingRun
from coteach.training.state import read_state

# options of optimizers that change no result, or that not all versions of torch have and that the class tells
_HOW_FAST = ("capturable", "decoupled_weight_decay", "differentiable", "foreach", "fused")


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
    more = {"seed": run.seed} | made
    kept = read_state(run.output_dir).get("identity") or more
    unknown = {"seed"} - set(kept) | (set() if "network" in kept else set(made))  # to earlier versions
    return {
        "method": run.method.name,
        "config": repr(getattr(run.method, "config", None)),
        "batch_size": run.loader.batch_size,
        "lr": lr,
        **told,
        **{key: value for key, value in more.items() if key not in unknown},
    }


def _made(run: TrainingRun) -> dict[str, str]:
    """Network, optimizer and schedule, in words."""
    with torch.random.fork_rng(devices=[]):
        network = run.make_network()
    optimizer: Any = run.make_optimizer(network.parameters())
    if not isinstance(optimizer, Optimizer):
        remedy = "let it return an optimizer, such as torch.optim.SGD(parameters, lr=0.1)"
        raise OptionError("optimizer", f"gives a {type(optimizer).__name__}", remedy)
    for options in (optimizer.defaults, *optimizer.param_groups):
        for name, value in options.items():
            if isinstance(value, np.generic):  # no checkpoint can be read that holds one
                cause = f"its {name} is of NumPy ({type(value).__name__})"
                raise OptionError("optimizer", cause, f"give {name}={value.item()!r}")
    made = {
        "network": _network_in_words(network),
        "optimizer": f"{type(optimizer).__name__}({_in_words(optimizer.defaults)})",
    }
    if groups := _groups_in_words(optimizer):
        made["options of weights"] = groups
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


def _groups_in_words(optimizer: Optimizer) -> str:
    """What options groups of weights have of their own; empty if none has."""
    usual = optimizer.defaults.items()
    own = [
        {
            name: group[name]
            for name, value in usual
            if name in group and _number(group[name]) != _number(value)
        }
        for group in optimizer.param_groups
    ]
    told = [_in_words(options) for options in own]
    return "; ".join(told) if any(told) else ""


def _in_words(options: Mapping[str, Any]) -> str:
    """Those that decide the result. What is off is left out: other versions of torch may not have it."""
    told = {
        name: value
        for name, value in options.items()
        if isinstance(value, int | float | str | tuple | list)
        and value is not False
        and name not in _HOW_FAST
    }
    return ", ".join(f"{name}={_number(value)}" for name, value in sorted(told.items()))


def _number(value: Any) -> str:
    """1 is 1.0, as learning rates go."""
    if isinstance(value, tuple | list):
        return f"({', '.join(map(_number, value))})"
    return f"{value:g}" if isinstance(value, int | float) and not isinstance(value, bool) else str(value)
