"""A run's label history in its checkpoints and in its folder: recorded as it trains, read by the audit."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from lightning.pytorch.callbacks import Callback
from torch import Tensor

from coteach.errors import ConfigError, TrainingError
from coteach.files import whole_file
from coteach.methods.base import TaskInfo
from coteach.methods.label_method import LabelMethod
from coteach.training.checkpoints import FOLDER, load_checkpoint
from coteach.training.history import LabelHistory

HISTORY_FILE = "label_history.npz"
_LARGEST = 50_000_000  # probabilities held of all networks (200 MB) before nobody is asked any more


class HistoryRecording(Callback):
    """Records a run's history: listens to its method, is part of its checkpoints, writes the file at its end.

    Args:
        method: that is trained.
        task: how many items and classes there are.
        wanted: True records; None does so unless that needs more than 200 MB, or several processes train.
        file: what is written.
    """

    def __init__(self, method: LabelMethod, task: TaskInfo, *, wanted: bool | None, file: Path) -> None:
        self.method = method
        self.wanted = wanted
        self.file = file
        self.history = LabelHistory(
            tuple(method.trained), task.num_items, task.num_classes, rising=method.later_knows_more
        )

    def on_fit_start(self, trainer: Any, pl_module: Any) -> None:  # noqa: ARG002 -- Lightning's signature
        """Start to listen.

        Raises:
            ConfigError: recording is asked of several processes, each of which sees only its share.
        """
        if trainer.world_size > 1 and self.wanted:
            cause = (
                f"is not possible with {trainer.world_size} processes, which see a share of the items each"
            )
            raise ConfigError("trainer.record_history", cause, "leave it out, or train with devices: 1")
        if self.wanted or (trainer.world_size == 1 and len(self.history) <= _LARGEST):
            self.method.recorder = self.history.see

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:  # noqa: ARG002
        """Write what was recorded, if the items are images."""
        if self.history.values:
            write_history(self.file, self.history.networks, self.history.values)

    def teardown(self, trainer: Any, pl_module: Any, stage: str) -> None:  # noqa: ARG002
        """Listen no more."""
        self.method.recorder = None
        self.history.let_go()

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint holds."""
        return {"networks": list(self.history.networks), "values": dict(self.history.values)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on where the run was."""
        self.history.values = {name: value.clone() for name, value in state_dict["values"].items()}


def write_history(path: Path, networks: tuple[str, ...], values: Mapping[str, Tensor]) -> None:
    """Write a history as an npz file, whole or not at all."""
    arrays: dict[str, Any] = {name: value.cpu().numpy() for name, value in values.items()}
    with whole_file(path) as partial, partial.open("wb") as stream:
        np.savez_compressed(stream, networks=np.array(networks), **arrays)


def read_history(run_dir: Path) -> dict[str, np.ndarray]:
    """The history of a run, see :func:`find_history`.

    Raises:
        TrainingError: as there, or the run has recorded nothing.
    """
    found = find_history(run_dir)
    if found is None:
        remedy = "train on images with trainer.record_history: true, audit with --folds, or name label maps (--sources)"
        raise TrainingError(str(run_dir), "has recorded no history of its labels", remedy)
    return found


def find_history(run_dir: Path) -> dict[str, np.ndarray] | None:
    """The history of a run: of its file, or of its last checkpoint where it is not finished.

    Args:
        run_dir: the run's folder.

    Returns:
        Arrays, see :class:`~coteach.training.history.LabelHistory`, and ``networks``, their names; None if the run has
        recorded nothing. In files of before there were weights, ``weight`` is ``seen``.

    Raises:
        TrainingError: there is no such folder, or its file is damaged.
    """
    if not run_dir.is_dir():
        raise TrainingError(str(run_dir), "no such folder", "give the output_dir of a run")
    path, last = run_dir / HISTORY_FILE, run_dir / FOLDER / "last.ckpt"
    if path.is_file():
        try:
            with path.open("rb") as stream, np.load(stream) as content:
                return _weighted(dict(content))
        except Exception as error:  # a truncated archive fails in many ways
            raise TrainingError(
                str(path), f"cannot be read ({error})", "delete it: the last checkpoint holds the same"
            ) from error
    kept = (
        load_checkpoint(last).get("callbacks", {}).get(HistoryRecording.__name__, {})
        if last.is_file()
        else {}
    )
    if not kept.get("values"):
        return None
    arrays = {name: value.numpy() for name, value in kept["values"].items()}
    return _weighted(arrays | {"networks": np.array(kept["networks"])})


def _weighted(history: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {"weight": history["seen"].astype(np.float32)} | history
