"""Learning-rate schedules, one an optimizer: moved on together, and looked at before a run."""

from __future__ import annotations

import io
import pickle
import warnings
from collections.abc import Mapping, Sequence
from contextlib import ExitStack

import torch
from torch import Tensor
from torch.optim.lr_scheduler import CosineAnnealingLR, LRScheduler, ReduceLROnPlateau

from coteach.errors import ConfigError, TrainingError
from coteach.training.checkpoints import without_numpy


def advance_schedules(
    schedules: Sequence[LRScheduler], figures: Mapping[str, Tensor], monitor: str, *, validated: bool = True
) -> None:
    """Move every schedule on by one.

    Args:
        schedules: of one kind.
        figures: of the last validation.
        monitor: the one that ``ReduceLROnPlateau`` looks at.
        validated: False after an epoch without validation: such a schedule waits then, and counts validations.

    Raises:
        TrainingError: it was not measured, or a schedule cannot be stepped, as at its end.
    """
    for schedule in schedules:
        if not isinstance(schedule, ReduceLROnPlateau):
            step_schedule(schedule)
        elif validated and monitor in figures:
            schedule.step(float(figures[monitor]))
        elif validated:
            raise TrainingError("scheduler", f"needs {monitor}, which was not measured", "give a val_dataset")


def check_kept(schedule: LRScheduler) -> None:
    """Refuse a schedule whose state no checkpoint can hold: it would be found when the run goes on.

    Raises:
        ConfigError: it holds another object, such as a schedule that begins after it.
    """
    for name, value in schedule.state_dict().items():
        content = io.BytesIO()
        try:
            torch.save(without_numpy(value), content)
            torch.load(io.BytesIO(content.getvalue()), weights_only=True)
        except (pickle.PickleError, AttributeError, TypeError, RuntimeError) as error:
            cause = f"{type(schedule).__name__} keeps a {type(value).__name__} ({name}), which no checkpoint can hold"
            remedy = "leave it out of its state_dict; of schedules one after the other make a SequentialLR"
            raise ConfigError("scheduler", cause, remedy) from error


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
                step_schedule(schedule)
            except TrainingError as error:
                remedy = f"it is stepped {epochs} times, once after each epoch"
                raise ConfigError(
                    "scheduler", f"{error.cause} after epoch {epoch + 1} of {epochs}", remedy
                ) from error.__cause__
    length = getattr(schedule, "T_max", epochs)
    if isinstance(schedule, CosineAnnealingLR) and length < epochs:
        return f"scheduler: T_max {length} is less than the {epochs} epochs, so the rate rises again after it"
    return ""


def step_schedule(schedule: LRScheduler) -> None:
    """One step.

    Raises:
        TrainingError: there is none, as at its end.
    """
    try:
        with ExitStack() as quiet:
            # where all gradients before the first overflowed, torch finds it too early
            if getattr(schedule, "last_epoch", 0) == 0:
                quiet.enter_context(warnings.catch_warnings())
                warnings.filterwarnings("ignore", "Detected call of `lr_scheduler.step", UserWarning)
            schedule.step()
    except (ValueError, LookupError) as error:
        said = f"{type(error).__name__}: {' '.join(str(error).split()).rstrip('.')}"
        cause = f"{type(schedule).__name__} cannot be stepped ({said})"
        raise TrainingError("scheduler", cause, "make it as long as the run") from error
