"""A line an epoch, where nobody sees a progress bar: in the log of a cluster's job, in a file."""

from __future__ import annotations

import time
from collections.abc import Callable

import lightning as L
from lightning.pytorch.callbacks import Callback


class EpochLines(Callback):
    """Tells of the loss, of what is monitored and of the time of each epoch, in the first process.

    Args:
        tell: called with each line.
        monitor: name of the figure of validation that is monitored; left out where it is not there.
    """

    def __init__(self, tell: Callable[[str], None], monitor: str) -> None:
        self.tell = tell
        self.names = {"train/loss_epoch": "train/loss", monitor: monitor}
        self._started = time.monotonic()
        self._ended: tuple[int, float] | None = None

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:  # noqa: ARG002 -- Lightning's
        """Tell of the epoch before, and start the clock."""
        self._tell(trainer)
        self._started = time.monotonic()

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:  # noqa: ARG002 -- Lightning's
        """Stop the clock; validation is behind it, but the means over the epoch are logged after this."""
        self._ended = trainer.current_epoch + 1, time.monotonic() - self._started

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:  # noqa: ARG002 -- Lightning's
        """Tell of the last epoch."""
        self._tell(trainer)

    def _tell(self, trainer: L.Trainer) -> None:
        if self._ended is None or not trainer.is_global_zero:
            return
        epoch, seconds = self._ended
        self._ended = None
        found = trainer.callback_metrics
        figures = [f"{shown} {found[name]:.4g}" for name, shown in self.names.items() if name in found]
        last = f"/{trainer.max_epochs}" if trainer.max_epochs and trainer.max_epochs > 0 else ""
        self.tell(f"epoch {epoch}{last}: {', '.join([*figures, f'{seconds:.0f} s'])}")
