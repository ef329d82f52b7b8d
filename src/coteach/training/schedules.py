"""Learning-rate schedules, one an optimizer, moved on together."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR, LRScheduler, ReduceLROnPlateau

from coteach.errors import ConfigError, CoteachWarning, TrainingError
from coteach.training.checkpoints import without_numpy
from coteach.training.options import SchedulerOptions
from coteach.training.state import differences


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
        # the numbers that schedules were made with, one a network: in this run, and in the one that it goes on from
        self._own: list[Any] = []
        self._before: list[Any] | None = None

    def made_for(self, optimizers: Sequence[Optimizer]) -> list[dict[str, Any]]:
        """A schedule for each, as Lightning takes them."""
        made = [] if self._make is None else [self._make(optimizer) for optimizer in optimizers]
        self._own = [_plain(without_numpy(schedule.state_dict())) for schedule in made]
        return [{"scheduler": schedule, "interval": self.interval} for schedule in made]

    def state_dict(self) -> list[Any]:
        """Plain data of each: its length, its factors, its first rates."""
        return self._own

    def load_state_dict(self, state_dict: list[Any] | None) -> None:
        """Take what the checkpoint that is gone on from holds; None of an earlier version."""
        self._before = state_dict

    def take_up(
        self, schedules: Sequence[LRScheduler], new_optimizers: Callable[[], Sequence[Optimizer]], epoch: int
    ) -> None:
        """Where the run that is gone on from had schedules of other numbers, go on at the rates of those asked for now.

        A longer cosine, for example: from its state in the checkpoint torch would take the old length, too.

        Args:
            schedules: of this run, with their states of the checkpoint.
            new_optimizers: makes optimizers like those of the run.
            epoch: that is about to begin, counted from 0.

        Raises:
            TrainingError: the rates do not follow from the number of steps alone.
        """
        if self._make is None or self._before is None or self._before == self._own:
            return
        for schedule, optimizer in zip(schedules, new_optimizers(), strict=True):
            _go_on_by(schedule, self._make(optimizer))
        first = next(differences(self._before[0], self._own[0]))
        cause = f"scheduler: {first}; the rates from epoch {epoch + 1} on are those of the new one"
        warnings.warn(cause, CoteachWarning, stacklevel=2)


def _go_on_by(schedule: LRScheduler, fresh: LRScheduler) -> None:
    """Put a schedule, and the rates of its optimizer, where a fresh one is after as many steps."""
    steps = getattr(schedule, "last_epoch", None)
    if (
        isinstance(schedule, ReduceLROnPlateau) or steps is None
    ):  # several in a chain do not say where they are
        cause = f"{type(schedule).__name__} has other options than when the run began"
        raise TrainingError("scheduler", cause, "choose another output_dir")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # nothing is learned between its steps
        for _ in range(steps):
            _step(fresh)
    schedule.load_state_dict(fresh.state_dict())
    for group, other in zip(schedule.optimizer.param_groups, fresh.optimizer.param_groups, strict=True):
        group.update({key: value for key, value in other.items() if key != "params"})


def advance_schedules(schedules: Sequence[LRScheduler], figures: Mapping[str, Tensor], monitor: str) -> None:
    """Move every schedule on by one.

    Args:
        schedules: of one kind.
        figures: of the last validation.
        monitor: the one that ``ReduceLROnPlateau`` looks at.

    Raises:
        TrainingError: it was not measured, or a schedule cannot be stepped, as at its end.
    """
    for schedule in schedules:
        if not isinstance(schedule, ReduceLROnPlateau):
            _step(schedule)
        elif monitor in figures:
            schedule.step(float(figures[monitor]))
        else:
            raise TrainingError("scheduler", f"needs {monitor}, which was not measured", "give a val_dataset")


def remark_on_rates(schedule: LRScheduler, epochs: int) -> str:
    """Step a schedule that counts epochs as often as a run will.

    Args:
        schedule: made for this; it and its optimizer are of no use afterwards.
        epochs: of the run.

    Returns:
        What is to be said of it; empty if nothing is.

    Raises:
        ConfigError: it cannot be stepped so often.
    """
    if isinstance(schedule, ReduceLROnPlateau):
        return ""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # nothing is learned between its steps
        for epoch in range(epochs):
            try:
                _step(schedule)
            except TrainingError as error:
                remedy = f"it is stepped {epochs} times, once after each epoch"
                raise ConfigError(
                    "scheduler", f"{error.cause} after epoch {epoch + 1} of {epochs}", remedy
                ) from error.__cause__
    length = getattr(schedule, "T_max", epochs)
    if isinstance(schedule, CosineAnnealingLR) and length < epochs:
        return f"scheduler: T_max {length} is less than the {epochs} epochs, so the rate rises again after it"
    return ""


def _plain(value: Any) -> Any:
    """Numbers and texts, also nested; all else is left out."""
    kinds = (bool, int, float, str, list, tuple, dict)
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items() if isinstance(one, kinds)}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value if isinstance(one, kinds)]
    return value


def _step(schedule: LRScheduler) -> None:
    """One step.

    Raises:
        TrainingError: there is none, as at its end.
    """
    try:
        schedule.step()
    except (ValueError, LookupError) as error:
        said = f"{type(error).__name__}: {' '.join(str(error).split()).rstrip('.')}"
        cause = f"{type(schedule).__name__} cannot be stepped ({said})"
        raise TrainingError("scheduler", cause, "make it as long as the run") from error
