"""Ends a run whose monitored figure has stopped getting better."""

from __future__ import annotations

from typing import Literal

import lightning as L
from lightning.pytorch.callbacks import EarlyStopping

from coteach.errors import ConfigError
from coteach.training.options import TrainerOptions


def early_stop(options: TrainerOptions, best: Literal["min", "max"] | None) -> list[EarlyStopping]:
    """The callback that stops the run, if the options ask for one.

    Args:
        options: ``early_stop_patience`` and ``early_stop_min_delta``.
        best: which of the monitored figure is the best; None if there is no validation.

    Raises:
        ConfigError: there is no figure to look at.
    """
    if options.early_stop_patience is None:
        return []
    if best is None:
        raise ConfigError(
            "trainer.early_stop_patience", "there is no validation to look at", "give a val_dataset"
        )
    callback = EarlyStopping(
        options.monitored,
        min_delta=options.early_stop_min_delta,
        patience=options.early_stop_patience,
        mode=best,
        check_on_train_epoch_end=False,  # after validations: patience counts these
    )
    return [callback]


def has_stopped(trainer: L.Trainer) -> bool:
    """Whether the run has ended early; its checkpoint says so, and it is not gone on with."""
    callback = trainer.early_stopping_callback
    return isinstance(callback, EarlyStopping) and callback.wait_count >= callback.patience
