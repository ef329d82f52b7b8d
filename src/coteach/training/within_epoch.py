"""Checkpoints between the ends of epochs: where ``max_steps`` ends a run, and every so many batches."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Callback

from coteach.training.checkpoints import FOLDER
from coteach.training.module import MethodModule


class WithinEpoch(Callback):
    """Writes ``last.ckpt`` within an epoch; the end of an epoch has a checkpoint of its own.

    Args:
        run_dir: the run's folder.
        every: batches between two checkpoints; None writes one only where the run ends.
    """

    def __init__(self, run_dir: Path, every: int | None) -> None:
        self._file = run_dir / FOLDER / "last.ckpt"
        self._every = every

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,  # noqa: ARG002
        batch: Any,  # noqa: ARG002
        batch_idx: int,  # noqa: ARG002
    ) -> None:
        """Write one if it is due: what follows the stop of a run (a validation, figures) is no part of it."""
        assert isinstance(pl_module, MethodModule)
        due = self._every is not None and pl_module.batches_seen % self._every == 0
        if trainer.is_last_batch or not (due or trainer.should_stop):
            return
        trainer.save_checkpoint(self._file)
        for logger in trainer.loggers:
            logger.save()  # figures up to here are not logged again
