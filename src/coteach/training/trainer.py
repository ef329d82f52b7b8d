"""Lightning's ``Trainer`` as a run needs it."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import lightning as L
from lightning.pytorch.callbacks import Callback, LambdaCallback
from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_only

from coteach.data.keyed import stable_seed
from coteach.errors import ConfigError, CoteachWarning
from coteach.training.checkpoints import KeptCheckpoint, WholeCheckpointIO
from coteach.training.early_stop import early_stop
from coteach.training.loader_workers import EndLoaderWorkers
from coteach.training.loss_bar import LossBar
from coteach.training.options import TrainerOptions
from coteach.training.within_epoch import WithinEpoch

LOGGER_BASE: type = Logger  # what a logger of a configuration derives from


def make_trainer(
    folder: Path,
    options: TrainerOptions,
    *,
    seed: int,
    best: Literal["min", "max"] | None,
    progress: bool,
    after_epoch: Callable[[], None] | None,
    loggers: Sequence[Logger] = (),
    listeners: Sequence[Callback] = (),
) -> L.Trainer:
    """A trainer that keeps checkpoints and logs in the run's folder; nothing is written yet.

    Args:
        folder: of the run.
        options: length, hardware and so on.
        seed: of the run.
        best: which of the monitored figure is the best; None keeps the last checkpoint only.
        progress: show a progress bar.
        after_epoch: called when an epoch has been trained.
        loggers: beside those for CSV and TensorBoard.
        listeners: what else follows the training: pictures for the log, the history of the labels.

    Raises:
        ConfigError: this computer has no such accelerator, devices or strategy, or synchronises no batch normalisation.
    """
    # Whatever random number is drawn outside the keyed places is at least the same from run to run.
    L.seed_everything(stable_seed(seed, "run") % 2**32, workers=True, verbose=False)
    _check_hardware(options)
    trainer = L.Trainer(
        max_epochs=-1 if options.epoch_limit is None else options.epoch_limit,
        accelerator=options.accelerator,
        devices=options.devices,
        num_nodes=options.num_nodes,
        strategy=options.strategy,
        sync_batchnorm=options.sync_batchnorm,
        log_every_n_steps=options.log_every_n_steps,
        check_val_every_n_epoch=options.check_val_every_n_epoch,
        deterministic=options.deterministic,
        reload_dataloaders_every_n_epochs=1,
        num_sanity_val_steps=0,
        callbacks=[
            *_callbacks(folder, options, best, after_epoch, progress=progress),
            *listeners,
        ],
        logger=[CSVLogger(folder, name="logs"), TensorBoardLogger(folder, name="tensorboard"), *loggers],
        plugins=[WholeCheckpointIO()],
        enable_progress_bar=progress,
        enable_model_summary=False,
        use_distributed_sampler=False,
    )
    if trainer.strategy.root_device.type == "cpu":
        if options.sync_batchnorm:
            raise ConfigError("trainer.sync_batchnorm", "torch has it for GPUs only", "set it to false")
        if options.precision == "16-mixed" and trainer.is_global_zero:
            cause = "16-mixed may be a hundred times slower than 32-true on a processor"
            warnings.warn(f"{cause}; take bf16-mixed or 32-true", CoteachWarning, stacklevel=3)
    return trainer


def is_first_process() -> bool:
    """Whether this is the process that speaks for all that train together."""
    rank: int = getattr(rank_zero_only, "rank", 0) or 0
    return rank == 0


def _check_hardware(options: TrainerOptions) -> None:
    """Name the key that Lightning refuses: each is tried with those before it."""
    given: dict[str, Any] = {}
    for key in ("accelerator", "devices", "strategy"):
        given[key] = getattr(options, key)
        try:
            L.Trainer(**given, logger=False, enable_checkpointing=False, enable_progress_bar=False)
        except Exception as error:
            cause = f"{given[key]!r} is not to be had here: {' '.join(str(error).split())}"
            raise ConfigError(f"trainer.{key}", cause, "choose another, or auto") from error


def _callbacks(
    folder: Path,
    options: TrainerOptions,
    best: Literal["min", "max"] | None,
    after_epoch: Callable[[], None] | None,
    *,
    progress: bool,
) -> list[Callback]:
    within = WithinEpoch(folder, options.checkpoint_every_steps)
    callbacks: list[Callback] = [
        *early_stop(options, best),
        KeptCheckpoint(folder),
        within,
        EndLoaderWorkers(),
    ]
    if best is not None:
        callbacks.insert(0, KeptCheckpoint(folder, options.monitored, best))
    if after_epoch is not None:
        callbacks.append(LambdaCallback(on_train_epoch_end=lambda _trainer, _module: after_epoch()))
    return [*callbacks, LossBar()] if progress else callbacks
