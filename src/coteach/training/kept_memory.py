"""Training on a CPU keeps the memory that a batch has freed: the next one needs as much again."""

from __future__ import annotations

import lightning as L
from lightning.pytorch.callbacks import Callback

from coteach.data.worker_memory import give_back_freed_memory, keep_freed_memory


class KeepMemory(Callback):
    """Spares the system handing out, and zeroing, the same memory at every step; at the end all of it is given back.

    On an accelerator the networks' numbers lie elsewhere, and nothing is done.
    """

    def __init__(self) -> None:
        self._keeps = False

    def setup(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,  # noqa: ARG002
        stage: str,  # noqa: ARG002
    ) -> None:
        """Begin, if the networks are on a CPU."""
        self._keeps = trainer.strategy.root_device.type == "cpu"
        if self._keeps:
            keep_freed_memory()

    def teardown(
        self,
        trainer: L.Trainer,  # noqa: ARG002
        pl_module: L.LightningModule,  # noqa: ARG002
        stage: str,  # noqa: ARG002
    ) -> None:
        """Give the memory back."""
        self._end()

    def on_exception(
        self,
        trainer: L.Trainer,  # noqa: ARG002
        pl_module: L.LightningModule,  # noqa: ARG002
        exception: BaseException,  # noqa: ARG002
    ) -> None:
        """Give the memory back."""
        self._end()

    def _end(self) -> None:
        if self._keeps:
            give_back_freed_memory()
        self._keeps = False
