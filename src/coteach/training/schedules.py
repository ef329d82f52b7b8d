"""Learning-rate schedules, one an optimizer, moved on together."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence

from torch import Tensor
from torch.optim.lr_scheduler import CosineAnnealingLR, LRScheduler, ReduceLROnPlateau

from coteach.errors import ConfigError, TrainingError


def advance_schedules(schedules: Sequence[LRScheduler], figures: Mapping[str, Tensor], monitor: str) -> None:
    """Move every schedule on by one.

    Args:
        schedules: of one kind.
        figures: of the last validation.
        monitor: the one that ``ReduceLROnPlateau`` looks at.

    Raises:
        TrainingError: it was not measured, or a schedule is at its end.
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
        ConfigError: it ends before the run does.
    """
    if isinstance(schedule, ReduceLROnPlateau):
        return ""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # nothing is learned between its steps
        for epoch in range(epochs):
            try:
                _step(schedule)
            except TrainingError as error:
                cause = f"{error.cause.removesuffix('.')}: after {epoch} of {epochs} epochs"
                raise ConfigError("scheduler", cause, f"make it {epochs} epochs long") from error.__cause__
    length = getattr(schedule, "T_max", epochs)
    if isinstance(schedule, CosineAnnealingLR) and length < epochs:
        return f"scheduler: T_max {length} is less than the {epochs} epochs, so the rate rises again after it"
    return ""


def _step(schedule: LRScheduler) -> None:
    """One step.

    Raises:
        TrainingError: it is at its end.
    """
    try:
        schedule.step()
    except (ValueError, LookupError) as error:
        cause = f"{type(schedule).__name__} is at its end ({' '.join(str(error).split()).rstrip('.')})"
        raise TrainingError("scheduler", cause, "make it as long as the run") from error
