"""The learning-rate schedules of a run, and what becomes of them where a run goes on with others."""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import (
    ChainedScheduler,
    LambdaLR,
    LRScheduler,
    MultiplicativeLR,
    ReduceLROnPlateau,
)

from coteach.errors import CoteachWarning, TrainingError
from coteach.training.checkpoints import without_numpy
from coteach.training.options import SchedulerOptions
from coteach.training.schedules import step_schedule
from coteach.training.state import differences

# what schedules of torch set in groups of weights; all else there is the optimizer's
_SET_BY_SCHEDULES = {
    "lr",
    "initial_lr",
    "max_lr",
    "min_lr",
    "momentum",
    "betas",
    "base_momentum",
    "max_momentum",
}


def own_options(optimizer: Optimizer) -> None:
    """Copy the options of an optimizer that is one of several: schedules set tensors in place, and a factory may give all the same.

    NumPy's numbers become Python's, without which no checkpoint could be read.
    """
    for group in optimizer.param_groups:
        plain = without_numpy({key: value for key, value in group.items() if key != "params"})
        group.update(
            {
                key: value.detach().clone() if isinstance(value, Tensor) else value
                for key, value in plain.items()
            }
        )


class RateSchedules:
    """Makes the schedules of a run, and knows whether one that goes on had others.

    Args:
        options: of the run; None keeps rates constant.

    Attributes:
        interval: what the schedules count, ``epoch`` s or ``step`` s; None without any.
    """

    def __init__(self, options: SchedulerOptions | None) -> None:
        self.interval = None if options is None else options.interval
        self._make = None if options is None else options.make
        # what the schedules were made with, one a network: in this run, and in the one that it goes on from
        self._own: list[dict[str, Any]] = []
        self._before: list[Any] | None = None

    def made_for(self, optimizers: Sequence[Optimizer]) -> list[dict[str, Any]]:
        """A schedule for each, as Lightning takes them."""
        made = [] if self._make is None else [self._make(optimizer) for optimizer in optimizers]
        self._own = [copy.deepcopy(schedule.state_dict()) for schedule in made]
        return [{"scheduler": schedule, "interval": self.interval} for schedule in made]

    def state_dict(self) -> list[Any]:
        """Plain data of each: its length, its factors, its first rates."""
        return [_plain(without_numpy(state)) for state in self._own]

    def load_state_dict(self, state_dict: list[Any] | None) -> None:
        """Take what the checkpoint that is gone on from holds; None of an earlier version."""
        self._before = state_dict

    def take_up(
        self, schedules: Sequence[LRScheduler], new_optimizers: Callable[[], Sequence[Optimizer]], epoch: int
    ) -> None:
        """Where the run that is gone on from had other schedules, go on at the rates of those asked for now.

        A longer cosine, for example: from its state in the checkpoint torch would take the old length, too. What functions
        give (``LambdaLR``) no state tells, nor what a checkpoint of an earlier version was made with: there the rates
        themselves are compared.

        Args:
            schedules: of this run, with their states of the checkpoint.
            new_optimizers: makes optimizers like those of the run.
            epoch: that is about to begin, counted from 0.

        Raises:
            TrainingError: the rates do not follow from the number of steps alone.
        """
        if self._make is None:
            return
        for schedule, first in zip(schedules, self._own, strict=True):
            _as_arrays_again(schedule, first)
        before = self.state_dict() if self._before is None else self._before
        changes = [
            next(differences(_of_both(then, own), _of_both(own, then)), "")
            for then, own in zip(before, self.state_dict(), strict=True)
        ]
        by_rates = [self._told_by_rates(schedule) for schedule in schedules]
        if not any(changes) and not any(by_rates):
            return
        said = next(filter(None, changes), "")
        given = zip(schedules, by_rates, new_optimizers(), self._own, strict=True)
        for schedule, by_rate, optimizer, first in given:
            if any(changes) or by_rate:
                moved = self._go_on_by(schedule, optimizer, first)
                said = said or moved
        if said:
            cause = f"scheduler: {said}; the rates from epoch {epoch + 1} on are those of the new one"
            warnings.warn(cause, CoteachWarning, stacklevel=2)

    def _told_by_rates(self, schedule: LRScheduler) -> bool:
        """Whether only the rates tell if it is another; those of a plateau follow from losses, not from steps."""
        unknown = self._before is None and not isinstance(schedule, ReduceLROnPlateau)
        return unknown or _of_functions(schedule)

    def _go_on_by(self, schedule: LRScheduler, optimizer: Optimizer, first: dict[str, Any]) -> str:
        """Put a schedule, and the rates of its optimizer, where a fresh one is after as many steps; what that changed."""
        if isinstance(schedule, ReduceLROnPlateau):  # it goes by losses
            cause = f"{type(schedule).__name__} has other options than when the run began"
            raise TrainingError("scheduler", cause, "choose another output_dir")
        assert self._make is not None
        made = [dict(group) for group in optimizer.param_groups]
        fresh = self._make(optimizer)
        # an object that both take their factors from was given its old numbers with the checkpoint
        fresh.load_state_dict(copy.deepcopy(first))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # nothing is learned between its steps
            for _ in range(_steps_of(schedule)):
                step_schedule(fresh)
        schedule.load_state_dict(fresh.state_dict())
        moved = ""
        for group, new, old in zip(
            schedule.optimizer.param_groups, optimizer.param_groups, made, strict=True
        ):
            was, now = float(group["lr"]), float(new["lr"])
            if not math.isclose(was, now, rel_tol=1e-6, abs_tol=1e-15):
                moved = moved or f"the rate was {was:g}, is {now:g}"
            group.update({key: value for key, value in new.items() if _is_set(key, value, old)})
        return moved


def _is_set(key: str, value: Any, made: Mapping[str, Any]) -> bool:
    """Whether an option of weights is what a schedule made it; the optimizer may count there, too."""
    return key in _SET_BY_SCHEDULES or (key != "params" and (key not in made or made[key] is not value))


def _steps_of(schedule: Any) -> int:
    """How often a schedule was moved on; a chain does not say it, those within it do."""
    if isinstance(schedule, ChainedScheduler):
        return _steps_of(_within(schedule)[0])
    return int(schedule.last_epoch)


def _within(schedule: Any) -> Sequence[Any]:
    """The schedules that a sequence or a chain is made of."""
    return getattr(schedule, "_schedulers", ())


def _of_functions(schedule: Any) -> bool:
    """Whether factors come of functions, which no state holds; also of one within it."""
    return isinstance(schedule, LambdaLR | MultiplicativeLR) or any(map(_of_functions, _within(schedule)))


def _as_arrays_again(schedule: LRScheduler, first: Mapping[str, Any]) -> None:
    """Arrays of a schedule's own, which checkpoints hold as lists."""
    for name, value in first.items():
        if isinstance(value, np.ndarray):
            setattr(schedule, name, np.asarray(getattr(schedule, name), value.dtype))


def _plain(value: Any) -> Any:
    """Numbers and texts, also nested; all else is left out."""
    kinds = (bool, int, float, str, list, tuple, dict)
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items() if isinstance(one, kinds)}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value if isinstance(one, kinds)]
    return value


def _of_both(value: Any, other: Any) -> Any:
    """Without the entries that only one of two has: those of another version of torch."""
    if isinstance(value, dict) and isinstance(other, dict):
        return {key: _of_both(one, other[key]) for key, one in value.items() if key in other}
    if isinstance(value, list) and isinstance(other, list) and len(value) == len(other):
        return [_of_both(one, another) for one, another in zip(value, other, strict=True)]
    return value
