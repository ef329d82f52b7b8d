"""A training run in a folder: starts, resumes, or finds itself already finished."""

from __future__ import annotations

import json
import platform
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint, RichProgressBar
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger

from coteach.data.keyed import stable_seed
from coteach.errors import TrainingError
from coteach.files import write_json, write_text
from coteach.methods.base import Method, NetworkFactory, TaskInfo
from coteach.training.module import MethodModule, OptimizerFactory
from coteach.training.options import SchedulerOptions, TrainerOptions
from coteach.training.quiet import quiet_lightning
from coteach.training.streams import LoaderOptions

_CHECKPOINTS = "checkpoints"


@dataclass(frozen=True, kw_only=True)
class TrainingRun:
    """Everything that a run needs.

    Args:
        method: not yet set up.
        make_network: gives a freshly initialised network.
        make_optimizer: parameters -> optimizer.
        datasets: source name -> data set; ``train`` is required, ``val`` is validated on.
        num_classes: ``C``.
        output_dir: folder of the run; made if it is not there.
        seed: seed of everything random.
        scheduler: learning-rate schedule or None.
        loader: how samples are loaded.
        options: length, precision and so on.
        fingerprint: identifies the configuration; a folder with another one is not resumed.
        files: name -> text, written into the folder when the run starts (its configuration).
        progress: show a progress bar.
    """

    method: Method
    make_network: NetworkFactory
    make_optimizer: OptimizerFactory
    datasets: Mapping[str, Any]
    num_classes: int
    output_dir: Path
    seed: int = 0
    scheduler: SchedulerOptions | None = None
    loader: LoaderOptions = field(default_factory=LoaderOptions)
    options: TrainerOptions = field(default_factory=TrainerOptions)
    fingerprint: str = ""
    files: Mapping[str, str] = field(default_factory=dict)
    progress: bool = False


def checkpoint_path(run_dir: Path, which: str) -> Path:
    """File of the ``best`` or ``last`` checkpoint of a run, or ``which`` itself if it is a file.

    Raises:
        TrainingError: there is no such checkpoint.
    """
    path = Path(which) if which.endswith(".ckpt") else run_dir / _CHECKPOINTS / f"{which}.ckpt"
    if not path.is_file():
        raise TrainingError(
            str(path), "no such checkpoint", "train first, or give best, last or a .ckpt file"
        )
    return path


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint as data; code inside it is refused.

    Raises:
        TrainingError: the file is damaged or holds more than data.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise TrainingError(str(path), f"cannot be read: {error}", "delete it to start over") from error
    if not isinstance(content, dict) or "coteach" not in content:
        raise TrainingError(str(path), "is no checkpoint of coteach", "give one that coteach train wrote")
    return content


def method_weights(checkpoint: Mapping[str, Any]) -> dict[str, Any]:
    """The method's part of a checkpoint: what its ``load_state_dict`` takes."""
    prefix = "method."
    return {k.removeprefix(prefix): v for k, v in checkpoint["state_dict"].items() if k.startswith(prefix)}


def train(run: TrainingRun) -> Path:
    """Train; if the folder holds an unfinished run of the same configuration, go on where it was.

    Args:
        run: what to do.

    Returns:
        The last checkpoint.

    Raises:
        TrainingError: the folder holds a run of another configuration, or training cannot go on.
    """
    last = run.output_dir / _CHECKPOINTS / "last.ckpt"
    state = _read_state(run.output_dir)
    if last.is_file() and state.get("fingerprint") != run.fingerprint:
        raise TrainingError(
            str(run.output_dir),
            "holds a run of another configuration",
            "choose another output_dir or delete it",
        )
    if state.get("finished") and last.is_file():
        return last
    if last.is_file():
        load_checkpoint(last)  # refuses a damaged file by name
    info = TaskInfo(num_classes=run.num_classes, num_items=len(run.datasets["train"]), seed=run.seed)
    run.method.setup(run.make_network, info)  # before anything is written: the network may be refused
    run.output_dir.mkdir(parents=True, exist_ok=True)
    for name, text in run.files.items():
        write_text(run.output_dir / name, text)
    _write_state(run, finished=False)
    with quiet_lightning():
        trainer, module = _assemble(run)
        trainer.fit(module, ckpt_path=str(last) if last.is_file() else None, weights_only=True)
    if trainer.interrupted:
        raise KeyboardInterrupt
    _write_state(run, finished=True)
    return last


def _assemble(run: TrainingRun) -> tuple[L.Trainer, MethodModule]:
    # Whatever random number is drawn outside the keyed places is at least the same from run to run.
    L.seed_everything(stable_seed(run.seed, "run") % 2**32, workers=True, verbose=False)
    options = run.options
    module = MethodModule(
        method=run.method,
        datasets=run.datasets,
        make_optimizer=run.make_optimizer,
        scheduler=run.scheduler,
        loader=run.loader,
        options=options,
        seed=run.seed,
    )
    trainer = L.Trainer(
        max_epochs=options.max_epochs,
        accelerator=options.accelerator,
        devices=options.devices,
        strategy=options.strategy,
        log_every_n_steps=options.log_every_n_steps,
        check_val_every_n_epoch=options.check_val_every_n_epoch,
        deterministic=options.deterministic,
        reload_dataloaders_every_n_epochs=1,
        num_sanity_val_steps=0,
        callbacks=_callbacks(run),
        logger=[
            CSVLogger(run.output_dir, name="logs"),
            TensorBoardLogger(run.output_dir, name="tensorboard"),
        ],
        enable_progress_bar=run.progress,
        enable_model_summary=False,
        use_distributed_sampler=False,
    )
    return trainer, module


def _callbacks(run: TrainingRun) -> list[Callback]:
    folder = run.output_dir / _CHECKPOINTS
    callbacks: list[Callback] = [
        ModelCheckpoint(folder, filename="last", save_on_train_epoch_end=True, enable_version_counter=False)
    ]
    if "val" in run.datasets:
        callbacks.insert(
            0,
            ModelCheckpoint(
                folder,
                filename="best",
                monitor=run.options.monitor,
                mode=run.options.monitor_mode,
                save_on_train_epoch_end=False,
                enable_version_counter=False,
            ),
        )
    return [*callbacks, RichProgressBar()] if run.progress else callbacks


def _read_state(folder: Path) -> dict[str, Any]:
    path = folder / "run.json"
    if not path.is_file():
        return {}
    content = json.loads(path.read_text())
    assert isinstance(content, dict)
    return content


def _write_state(run: TrainingRun, *, finished: bool) -> None:
    packages = {}
    for name in (
        "coteach",
        "torch",
        "lightning",
        "segmentation-models-pytorch",
        "albumentations",
        "rasterio",
    ):
        try:
            packages[name] = version(name)
        except PackageNotFoundError:
            continue
    state = {
        "finished": finished,
        "fingerprint": run.fingerprint,
        "command": " ".join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        "method": run.method.name,
        "seed": run.seed,
        "python": platform.python_version(),
        "packages": packages,
    }
    write_json(run.output_dir / "run.json", state)
