"""What a run of ``coteach.fit`` is told apart by: of functions, what they make."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from coteach.data.folds import ImageSubset
from coteach.data.image_set import ImageSet
from coteach.errors import OptionError
from coteach.training.checkpoints import FOLDER, without_numpy
from coteach.training.precheck import refuse_lbfgs
from coteach.training.rate_schedules import own_options
from coteach.training.run import TrainingRun
from coteach.training.state import read_state

# options of optimizers that change no result, or that not all versions of torch have and that the class tells
_HOW_FAST = ("capturable", "decoupled_weight_decay", "differentiable", "foreach", "fused")


def identity_of(run: TrainingRun, made: Mapping[str, str], *, lr: float) -> dict[str, Any]:
    """Method, data, network, optimizer, schedule and options, as plain data.

    Args:
        run: all but its identity; its parts fit each other.
        made: what its network, optimizer and schedule are, in words.
        lr: as it was given.

    Raises:
        TrainingError: what the folder says of its run is damaged.
    """
    told = {
        source: one.fingerprint()
        if isinstance(one, (ImageSet, ImageSubset))
        else f"{type(one).__name__} of {len(one)}"
        for source, one in run.datasets.items()
    }
    more = {
        "seed": run.seed,
        "trainer": run.options.deciding(),
        "loader": {key: value for key, value in run.loader.deciding().items() if key != "batch_size"},
        **made,
    }
    return {
        "method": run.method.name,
        "config": repr(getattr(run.method, "config", None)),
        "batch_size": run.loader.batch_size,
        "lr": lr,
        **told,
        **{key: value for key, value in more.items() if key not in _unknown(run.output_dir, made)},
    }


def _unknown(folder: Path, made: Mapping[str, str]) -> set[str]:
    """What an earlier version did not say of the run that the folder holds: nothing to compare with."""
    kept = read_state(folder).get("identity")
    if not isinstance(kept, dict) or not (folder / FOLDER / "last.ckpt").is_file():
        return set()
    return ({"seed", "trainer", "loader"} - set(kept)) | (set() if "network" in kept else set(made))


def made_optimizer(run: TrainingRun, network: nn.Module) -> Optimizer:
    """What the run's factory gives for a network.

    Raises:
        OptionError: no optimizer, or one that asks for the loss again within a step.
    """
    optimizer: Any = run.make_optimizer(network.parameters())
    if not isinstance(optimizer, Optimizer):
        remedy = "let it return an optimizer, such as torch.optim.SGD(parameters, lr=0.1)"
        raise OptionError("optimizer", f"gives a {type(optimizer).__name__}", remedy)
    refuse_lbfgs(optimizer)
    own_options(optimizer)  # or the schedule that is only tried would set the rate of those that train
    return optimizer


def made_schedule(run: TrainingRun, optimizer: Optimizer) -> LRScheduler | None:
    """What the run's factory gives for an optimizer; None without one.

    Raises:
        OptionError: no schedule, or one that looks at a validation that there is not.
    """
    if run.scheduler is None:
        return None
    schedule: Any = run.scheduler.make(optimizer)
    if not isinstance(schedule, LRScheduler):
        remedy = "let it return a schedule, such as torch.optim.lr_scheduler.StepLR(optimizer, 10)"
        raise OptionError("scheduler", f"gives a {type(schedule).__name__}", remedy)
    if isinstance(schedule, ReduceLROnPlateau) and "val" not in run.datasets:
        cause = f"ReduceLROnPlateau looks at {run.options.monitored} of a validation"
        raise OptionError("scheduler", cause, "give val, or another schedule")
    return schedule


def in_words(networks: Sequence[nn.Module], optimizers: Sequence[Optimizer]) -> dict[str, str]:
    """Networks and optimizers, one of each for a network that is trained; said once where all are alike."""
    groups = [_groups_in_words(one) for one in optimizers]
    made = {
        "network": _once(_network_in_words(one) for one in networks),
        "optimizer": _once(f"{type(one).__name__}({_in_words(one.defaults)})" for one in optimizers),
    }
    return made | ({"options of weights": _once(groups)} if any(groups) else {})


def _once(words: Iterable[str]) -> str:
    return " and ".join(dict.fromkeys(words))


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
    usual = without_numpy(optimizer.defaults).items()
    own = [
        {
            name: group[name]
            for name, value in usual
            if name in group and _number(group[name]) != _number(value)
        }
        for group in without_numpy(optimizer.param_groups)
    ]
    told = [_in_words(options) for options in own]
    return "; ".join(told) if any(told) else ""


def _in_words(options: Mapping[str, Any]) -> str:
    """Those that decide the result. What is off is left out: other versions of torch may not have it."""
    plain = {
        name: value.item() if isinstance(value, Tensor) and value.numel() == 1 else value
        for name, value in without_numpy(dict(options)).items()
    }
    told = {
        name: value
        for name, value in plain.items()
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
