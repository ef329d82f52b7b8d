"""The checkpoints of a run: the best and the last, whole files that hold data only."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import lightning as L
import numpy as np
import torch
from lightning.fabric.plugins import TorchCheckpointIO
from lightning.pytorch.callbacks import ModelCheckpoint
from torch.nn.parameter import is_lazy

from coteach.errors import TrainingError
from coteach.files import whole_file

FOLDER = "checkpoints"
# of what a checkpoint holds and of what methods do with it; raised where a run that was begun before cannot be gone on with as one
FORMAT = 3


def checkpoint_path(run_dir: Path, which: str) -> Path:
    """File of the ``best`` or ``last`` checkpoint of a run, or ``which`` itself if it is a file.

    Raises:
        TrainingError: there is no such checkpoint, or it is another program's.
    """
    if which.endswith(".pth"):
        cause = "weights of mmdetection and other programs are not supported: other layers under other names"
        raise TrainingError(which, cause, "give best, last or a .ckpt file that coteach train wrote")
    path = Path(which) if which.endswith(".ckpt") else run_dir / FOLDER / f"{which}.ckpt"
    if not path.is_file():
        if which == "best" and path.with_name("last.ckpt").is_file():
            cause = f"has no best checkpoint ({path.name}), as of a run without validation"
            raise TrainingError(str(run_dir), cause, "give --checkpoint last")
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
        cause = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise TrainingError(str(path), f"cannot be read: {cause}", "delete it to start over") from error
    if not isinstance(content, dict) or "coteach" not in content:
        raise TrainingError(str(path), "is no checkpoint of coteach", "give one that coteach train wrote")
    return content


def without_numpy(value: Any) -> Any:
    """The same with numbers of Python: a checkpoint with one of NumPy could not be read as data only.

    Args:
        value: any nesting of lists, tuples and dictionaries.

    Example:
        >>> without_numpy({"betas": (np.float64(0.5), 0.999)})
        {'betas': (0.5, 0.999)}
    """
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    if type(value) in (list, tuple):
        return type(value)(without_numpy(one) for one in value)
    if isinstance(value, dict):  # a Counter stays one
        plain = value.copy()
        plain.clear()
        plain.update({without_numpy(key): without_numpy(one) for key, one in value.items()})
        return plain
    return value


def method_weights(checkpoint: Mapping[str, Any]) -> dict[str, Any]:
    """The method's part of a checkpoint: what its ``load_state_dict`` takes."""
    prefix = "method."
    return {k.removeprefix(prefix): v for k, v in checkpoint["state_dict"].items() if k.startswith(prefix)}


def first_difference(weights: Mapping[str, Any], own: Mapping[str, Any]) -> str | None:
    """Why weights do not fit a model, by the first tensor that differs; None if they fit.

    Args:
        weights: of the checkpoint.
        own: the model's ``state_dict``.
    """
    for name, value in own.items():
        if name not in weights:
            return f"it has no {name}"
        if not is_lazy(value) and weights[name].shape != value.shape:
            return f"{name} is {_size(weights[name])}, in the model {_size(value)}"
    extra = next((name for name in weights if name not in own), None)
    return None if extra is None else f"it has {extra}, the model has not"


def refuse_to_go_on(
    path: Path, reached: Mapping[str, Any], weights: Mapping[str, Any], own: Mapping[str, Any]
) -> None:
    """Refuse a checkpoint that another network, or another version of coteach, was trained with.

    Args:
        path: of the checkpoint.
        reached: where it stands.
        weights: the method's part of it.
        own: the ``state_dict`` of the method that is to go on.

    Raises:
        TrainingError: it cannot be gone on from.
    """
    if (found := reached.get("format", 1)) != FORMAT:
        cause = f"is of another version of coteach (format {found}; this one goes on from {FORMAT})"
    elif difference := first_difference(weights, own):
        cause = f"is of another network or version of coteach: {difference}"
    else:
        return
    raise TrainingError(
        str(path), cause, "choose another output_dir, or go on with the version that wrote it"
    )


def _size(tensor: torch.Tensor) -> str:
    return " x ".join(map(str, tensor.shape)) or "one number"


class WholeCheckpointIO(TorchCheckpointIO):
    """Writes beside the file and renames: a run that is killed meanwhile keeps the old checkpoint."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:  # noqa: ARG002
        """Write a checkpoint whole or not at all."""
        file = Path(path)
        file.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(file) as partial, partial.open("wb") as stream:
            try:
                torch.save(checkpoint, stream)
            except (
                RuntimeError
            ) as error:  # torch's own, about an archive's positions, hides what the disk said
                raise (error.__context__ if isinstance(error.__context__, OSError) else error) from None


class KeptCheckpoint(ModelCheckpoint):
    """A checkpoint that is kept, the last or the best; it knows the best score also when the run's folder was moved.

    Args:
        run_dir: the run's folder.
        monitor: figure of the best; None keeps the last.
        mode: whether the best is the ``min`` or the ``max``.
    """

    def __init__(
        self, run_dir: Path, monitor: str | None = None, mode: Literal["min", "max"] = "min"
    ) -> None:
        super().__init__(
            run_dir / FOLDER,
            filename="last" if monitor is None else "best",
            monitor=monitor,
            mode=mode,
            save_on_train_epoch_end=monitor is None,
            enable_version_counter=False,
        )

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """A run that ``max_steps`` ended within an epoch has its last checkpoint: that of the batch it ended with."""
        if trainer.is_last_batch:
            self._save_anyway()
            super().on_train_epoch_end(trainer, pl_module)

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """As Lightning does, also after an epoch that changed no weight."""
        self._save_anyway()
        super().on_validation_end(trainer, pl_module)

    def _save_anyway(self) -> None:
        """Lightning counts no steps in which gradients overflow, and saves nothing after an epoch that has only such steps."""
        self._last_global_step_saved = -1

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Lightning forgets the score when the folder is another: here the folder is the one the run lies in."""
        moved = dict(state_dict)
        for key in ("best_model_path", "last_model_path", "kth_best_model_path"):
            moved[key] = self._here(moved[key])
        moved["best_k_models"] = {self._here(path): score for path, score in moved["best_k_models"].items()}
        super().load_state_dict(moved | {"dirpath": self.dirpath})

    def _here(self, path: str) -> str:
        assert self.dirpath is not None
        return str(Path(self.dirpath) / Path(path).name) if path else path
