"""Options of a training run that no method needs to know."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from coteach.errors import ConfigError

Precision = Literal["32-true", "bf16-mixed", "16-mixed"]
_EPOCHS = 20
_HARMLESS = {
    "max_epochs",
    "max_steps",
    "checkpoint_every_steps",
    "accelerator",
    "log_every_n_steps",
    "log_images",
    "record_history",
    "deterministic",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class SchedulerOptions:
    """A learning-rate schedule.

    Args:
        make: optimizer -> scheduler.
        interval: the scheduler counts ``epoch`` s or optimizer ``step`` s.
    """

    make: Callable[[Optimizer], LRScheduler]
    interval: Literal["epoch", "step"] = "epoch"

    def __post_init__(self) -> None:
        if self.interval not in ("epoch", "step"):
            raise ConfigError("scheduler.interval", f"{self.interval!r} is unknown", "use 'epoch' or 'step'")


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainerOptions:
    """Length, precision, accumulation and clipping of a run.

    Args:
        max_epochs: epochs, >= 1; None means 20, or no limit where ``max_steps`` is given.
        max_steps: batches after which the run ends, whatever the epoch; None means no limit. Gradients of a group of
            ``accumulate_grad_batches`` that is not complete by then are kept for when the run goes on.
        checkpoint_every_steps: batches between two checkpoints within an epoch; None writes one at its end only.
        precision: ``32-true``, ``bf16-mixed`` or ``16-mixed`` (with one gradient scaler for all networks).
        accumulate_grad_batches: batches whose gradients are averaged before the optimizers step, >= 1.
        gradient_clip_val: largest norm of the gradient of each network; None does not clip.
        accelerator: Lightning's name of the device kind.
        devices: how many, or ``auto``.
        num_nodes: machines that train together, >= 1.
        strategy: Lightning's name of the strategy.
        sync_batchnorm: with several processes, batch normalisation by the statistics of all of them; on GPUs only.
        log_every_n_steps: batches between two lines in the step log.
        check_val_every_n_epoch: epochs between two validations.
        monitor: figure that decides which checkpoint is the best; None is ``val/loss``, in ``coteach.fit`` the balanced
            accuracy ``val/BA``.
        monitor_mode: whether the best is the ``min`` or the ``max``; None goes by the figure: ``min`` for the loss.
        early_stop_patience: end the run after this many validations in a row that do not better ``monitor``; None never.
        early_stop_min_delta: what counts as better, >= 0.
        log_images: samples of the validation set drawn into the TensorBoard log, with label and prediction; of a teacher
            of boxes also unlabelled images with its boxes, there and in the run's ``pseudo_boxes`` folder; 0 for none.
        record_history: sum up over the epochs what the networks think of each training image, for ``coteach audit``;
            None does so where the items are images, of which it needs less than 200 MB, and one process trains.
        deterministic: refuse operations that give other numbers from run to run.
    """

    max_epochs: int | None = None
    max_steps: int | None = None
    checkpoint_every_steps: int | None = None
    precision: Precision = "32-true"
    accumulate_grad_batches: int = 1
    gradient_clip_val: float | None = None
    accelerator: str = "auto"
    devices: int | str = "auto"
    num_nodes: int = 1
    strategy: str = "auto"
    sync_batchnorm: bool = False
    log_every_n_steps: int = 10
    check_val_every_n_epoch: int = 1
    monitor: str | None = None
    monitor_mode: Literal["min", "max"] | None = None
    early_stop_patience: int | None = None
    early_stop_min_delta: float = 0.0
    log_images: int = 4
    record_history: bool | None = None
    deterministic: bool = False

    def __post_init__(self) -> None:
        for name in ("accumulate_grad_batches", "num_nodes", "log_every_n_steps", "check_val_every_n_epoch"):
            if getattr(self, name) < 1:
                raise ConfigError(
                    f"trainer.{name}", f"{getattr(self, name)} is below 1", "give a positive number"
                )
        for name in ("early_stop_min_delta", "log_images"):
            if getattr(self, name) < 0:
                raise ConfigError(f"trainer.{name}", f"{getattr(self, name)} is negative", "give 0 or more")
        for name in (
            "max_epochs",
            "max_steps",
            "checkpoint_every_steps",
            "gradient_clip_val",
            "early_stop_patience",
        ):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise ConfigError(
                    f"trainer.{name}", f"{value} is not positive", "give a positive number or null"
                )
        if self.precision not in get_args(Precision):
            raise ConfigError(
                "trainer.precision",
                f"{self.precision!r} is unknown",
                f"use one of {', '.join(get_args(Precision))}",
            )
        if self.monitor_mode not in ("min", "max", None):
            raise ConfigError(
                "trainer.monitor_mode", f"{self.monitor_mode!r} is unknown", "use 'min' or 'max'"
            )

    def deciding(self) -> dict[str, Any]:
        """Those that decide what a run becomes, as plain data: not how long and where it is trained, nor what is told of it."""
        told = asdict(self) | {"monitor": self.monitored}
        return {key: value for key, value in told.items() if key not in _HARMLESS}

    @property
    def monitored(self) -> str:
        """The figure that decides which checkpoint is the best."""
        return self.monitor or "val/loss"

    @property
    def epoch_limit(self) -> int | None:
        """After how many epochs the run ends; None means that ``max_steps`` alone decides."""
        return _EPOCHS if self.max_epochs is None and self.max_steps is None else self.max_epochs

    def is_reached(self, epochs: int, batches: int) -> bool:
        """Whether a run that came this far is finished."""
        enough_batches = self.max_steps is not None and batches >= self.max_steps
        return enough_batches or (self.epoch_limit is not None and epochs >= self.epoch_limit)
