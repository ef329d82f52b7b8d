"""What the networks thought of each training image while they learned, for the audit of its label.

Everything is summed up as the batches pass, in memory that does not grow with the epochs. The scores are those of
training: of an augmented view, in training mode, *before* the step that learns from the batch. In the first epoch they
are therefore out of sample.

Networks that learn labels by heart say most of them early; the averages of ``peer_ensemble`` know little then, and
hardly learn wrong labels by heart. There each epoch weighs as much as its number.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from lightning.pytorch.callbacks import Callback
from torch import Tensor

from coteach.errors import ConfigError, TrainingError
from coteach.files import whole_file
from coteach.losses.target import as_soft_target, hard_label
from coteach.methods.base import TaskInfo
from coteach.methods.label_method import LabelMethod
from coteach.training.checkpoints import FOLDER, load_checkpoint
from coteach.types import Batch

HISTORY_FILE = "label_history.npz"
_LARGEST = 50_000_000  # probabilities held of all networks (200 MB) before nobody is asked any more
_UNSEEN = -1


class LabelHistory:
    """Sums over the epochs, of every item and network.

    Shape legend: ``N`` items, ``M`` networks, ``C`` classes.

    Args:
        networks: their names, in the order of the first axis of what is kept.
        num_items: ``N``; ids are 0 to ``N - 1``.
        num_classes: ``C``.
        rising: an epoch weighs its number, from 1; else each weighs 1.

    Attributes:
        values: name -> tensor, on the device of the scores. ``seen (M, N)`` int32, how often the network scored the
            item; ``weight (M, N)`` float32, sum of the epochs' weights; ``probs (M, N, C)`` float32, weighted sum of its
            class probabilities; ``loss (M, N)`` float32, that of the cross-entropy of the given label in nats;
            ``margin (M, N)`` float32, that of the given label's score less the highest other one (Pleiss et al. 2020);
            ``forgotten (M, N)`` int32, how often the prediction went from
            the given label to another (Toneva et al. 2019); ``predicted (M, N)`` int32, the last prediction, -1
            before; ``epoch (M, N)`` int32, when that was; ``label (N,)`` int32, the given label, -1 without one;
            ``agreed`` and ``compared (N,)`` int32, how often two networks predicted the same class in the same
            epoch, of how many times.
    """

    def __init__(
        self, networks: tuple[str, ...], num_items: int, num_classes: int, *, rising: bool = False
    ) -> None:
        self.networks = networks
        self.num_items = num_items
        self.num_classes = num_classes
        self.rising = rising
        self.values: dict[str, Tensor] = {}
        self._labelled: tuple[Any, Tensor] | None = None  # the target that was seen last, and its classes

    def __len__(self) -> int:
        """How many probabilities are kept."""
        return len(self.networks) * self.num_items * self.num_classes

    def _start(self, device: torch.device) -> None:
        size = (len(self.networks), self.num_items)
        self.values = {name: torch.zeros(size, device=device) for name in ("weight", "loss", "margin")}
        for name in ("seen", "forgotten"):
            self.values[name] = torch.zeros(size, dtype=torch.int32, device=device)
        self.values["probs"] = torch.zeros(*size, self.num_classes, device=device)
        for name in ("predicted", "epoch"):
            self.values[name] = torch.full(size, _UNSEEN, dtype=torch.int32, device=device)
        self.values["label"] = torch.full(size[1:], _UNSEEN, dtype=torch.int32, device=device)
        for name in ("agreed", "compared"):
            self.values[name] = torch.zeros(size[1:], dtype=torch.int32, device=device)

    @torch.no_grad()
    def see(self, network: str, batch: Batch, scores: Float[Tensor, "b c *s"], epoch: int) -> None:
        """Add a batch; maps of pixels, and networks that are not recorded, are passed over.

        Args:
            network: whose scores these are.
            batch: what was scored; its target is the given label.
            scores: before the softmax.
            epoch: counted from 0.
        """
        if scores.ndim != 2 or network not in self.networks or batch.target is None:
            return
        if not self.values or self.values["probs"].device != scores.device:
            self._place(scores.device)
        if self._labelled is None or self._labelled[0] is not batch.target:  # once for all networks
            target = as_soft_target(batch.target, self.num_classes)
            self._labelled = batch.target, torch.where(target.valid, hard_label(target.probs), _UNSEEN)
        label = self._labelled[1]
        self._add(self.networks.index(network), batch.ids, scores.detach().float(), label, epoch)

    def let_go(self) -> None:
        """Of the last batch."""
        self._labelled = None

    def _place(self, device: torch.device) -> None:
        """Make the tensors, or bring those of a checkpoint to where the scores are."""
        if not self.values:
            self._start(device)
        self.values = {name: value.to(device) for name, value in self.values.items()}

    def _add(
        self,
        k: int,
        ids: Int[Tensor, " b"],
        scores: Float[Tensor, "b c"],
        label: Int[Tensor, " b"],
        epoch: int,
    ) -> None:
        values, labelled = self.values, label >= 0
        weight = float(epoch + 1) if self.rising else 1.0
        index = label.clamp(min=0).long()[:, None]
        log_probs = scores.log_softmax(1)
        own = scores.gather(1, index)[:, 0]
        other = scores.scatter(1, index, -torch.inf).amax(1)
        predicted = hard_label(scores)
        was = values["predicted"][k, ids]
        forgotten = labelled & (was == label) & (predicted != label)
        values["seen"][k].index_add_(0, ids, torch.ones_like(label))
        values["weight"][k].index_add_(0, ids, torch.full_like(own, weight))
        values["probs"][k].index_add_(0, ids, log_probs.exp(), alpha=weight)
        loss = torch.where(labelled, -log_probs.gather(1, index)[:, 0], 0.0)
        values["loss"][k].index_add_(0, ids, loss, alpha=weight)
        values["margin"][k].index_add_(0, ids, torch.where(labelled, own - other, 0.0), alpha=weight)
        values["forgotten"][k].index_add_(0, ids, forgotten.int())
        values["predicted"][k, ids] = predicted
        values["epoch"][k, ids] = epoch
        values["label"][ids] = label
        self._compare(k, ids, epoch)

    def _compare(self, k: int, ids: Int[Tensor, " b"], epoch: int) -> None:
        """Count the agreement with the networks that have scored these items in this epoch already."""
        values = self.values
        for first, second in combinations(range(len(self.networks)), 2):
            if k not in (first, second):
                continue
            other = first if k == second else second
            both = values["epoch"][other, ids] == epoch
            same = both & (values["predicted"][other, ids] == values["predicted"][k, ids])
            values["compared"].index_add_(0, ids, both.int())
            values["agreed"].index_add_(0, ids, same.int())


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
        """Go on where the run was; epochs of before there were weights weigh 1."""
        values = {name: value.clone() for name, value in state_dict["values"].items()}
        if "seen" in values:
            values.setdefault("weight", values["seen"].float())
        self.history.values = values


def write_history(path: Path, networks: tuple[str, ...], values: Mapping[str, Tensor]) -> None:
    """Write a history as an npz file, whole or not at all."""
    arrays: dict[str, Any] = {name: value.cpu().numpy() for name, value in values.items()}
    with whole_file(path) as partial, partial.open("wb") as stream:
        np.savez_compressed(stream, networks=np.array(networks), **arrays)


def read_history(run_dir: Path) -> dict[str, np.ndarray]:
    """The history of a run: of its file, or of its last checkpoint where it is not finished.

    Args:
        run_dir: the run's folder.

    Returns:
        Arrays, see :class:`LabelHistory`, and ``networks``, their names. In files of before there were weights,
        ``weight`` is ``seen``.

    Raises:
        TrainingError: there is no such folder, the run has recorded nothing, or its file is damaged.
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
        remedy = "train on images with trainer.record_history: true, or name label maps (--sources)"
        raise TrainingError(str(run_dir), "has recorded no history of its labels", remedy)
    arrays = {name: value.numpy() for name, value in kept["values"].items()}
    return _weighted(arrays | {"networks": np.array(kept["networks"])})


def _weighted(history: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {"weight": history["seen"].astype(np.float32)} | history
