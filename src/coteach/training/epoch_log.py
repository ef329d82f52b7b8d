"""The figures of an epoch in the logs: there before the checkpoint that ends it."""

from __future__ import annotations

from collections.abc import Mapping

import lightning as L
import torch
from torch import Tensor


def log_epoch(module: L.LightningModule, figures: Mapping[str, Tensor], step: int) -> None:
    """Show figures to whatever monitors them, and write them into the logs at once.

    Lightning writes what it logs at the end of an epoch after the epoch's checkpoint: a run killed between the two goes
    on after both, and its log lacks the epoch for good.

    Args:
        module: that is trained; at the end of an epoch.
        figures: name -> 0-d, all on one device, the same in all processes.
        step: batches trained before, over all sessions, counted from 0.
    """
    if not figures:
        return
    # sync_dist: Lightning warns where several processes log without it
    module.log_dict(dict(figures), logger=False, sync_dist=module.trainer.world_size > 1)
    values = torch.stack([value.float() for value in figures.values()]).tolist()
    row = dict(zip(figures, values, strict=True)) | {"epoch": module.current_epoch}
    for logger in module.trainer.loggers:
        logger.log_metrics(row, step=step)
        logger.save()
