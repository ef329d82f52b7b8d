"""Learning-rate schedules, one an optimizer, moved on together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from coteach.errors import TrainingError


def advance_schedules(schedules: Sequence[LRScheduler], figures: Mapping[str, Tensor], monitor: str) -> None:
    """Move every schedule on by one.

    Args:
        schedules: of one kind.
        figures: of the last validation.
        monitor: the one that ``ReduceLROnPlateau`` looks at.

    Raises:
        TrainingError: it was not measured.
    """
    for schedule in schedules:
        if not isinstance(schedule, ReduceLROnPlateau):
            schedule.step()
        elif monitor in figures:
            schedule.step(float(figures[monitor]))
        else:
            raise TrainingError("scheduler", f"needs {monitor}, which was not measured", "give a val_dataset")
