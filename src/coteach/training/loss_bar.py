"""A progress bar that shows the loss without asking for it."""

from __future__ import annotations

from typing import Any

import lightning as L
from lightning.pytorch.callbacks import RichProgressBar

from coteach.training.module import MethodModule


class LossBar(RichProgressBar):
    """Lightning's bar, with the loss of the last batch that was looked at anyway.

    A figure that is logged with ``prog_bar=True`` is read at every step, also where there is no bar: an accelerator then
    has nothing to do until the host has seen it.
    """

    def get_metrics(self, trainer: L.Trainer, pl_module: L.LightningModule) -> dict[str, Any]:
        """What the bar shows."""
        assert isinstance(pl_module, MethodModule)
        return super().get_metrics(trainer, pl_module) | pl_module.shown
