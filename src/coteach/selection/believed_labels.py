"""Which labels each of two networks believes, by what was said of every image as it passed; so nothing is scanned.

Three ways to decide: those most likely right, as many of each class as labels held out say, once networks learn labels by heart
(:mod:`coteach.selection.label_judge`, our own); with a given forget rate, those of smallest loss of each class (Han et al. 2018); or
what a mixture of normal distributions on the losses says (Li et al. 2020), with a minimum for each class.

Shape legend: ``N`` images of the training set, ``B`` of a batch, ``C`` classes.
"""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Bool, Float, Int, Int64
from torch import Tensor, nn

from coteach.selection.dividing import divide, divide_by_rank
from coteach.selection.label_judge import LabelJudge
from coteach.selection.schedules import ramp
from coteach.selection.whole_batch import gather_items
from coteach.types import Share


class BelievedLabels(nn.Module):
    """The division of the training set; all of it is in the ``state_dict``.

    Args:
        num_items: ``N``.
        num_classes: ``C``.
        seed: of the run; decides which labels are held out, and between equals.
        forget_end: of each class, the share of labels that are refused, in [0, 1); ``auto`` or ``mixture``.
        warm_epochs: epochs in which all labels are believed, or over which a given rate rises; with ``auto``
            labels are judged anew after as many again, and believed until they are learned by heart.
        threshold: of the mixture: a label is believed if that is more probable, in [0, 1).
        minimum_share: of the mixture: of each class, the part that is believed in any case, in [0, 1).

    Attributes:
        noted: ``(2, N)`` float32, the last loss of each image by network a, by b; NaN if never seen.
        labels: ``(N,)`` int64, the class as labelled; -1 if never seen or without a label.
        kept: ``(2, N)`` bool, the labels that are believed by the losses of a, of b.
        divided: 0-d int64, the last epoch before which labels were divided; -1 if none.
        judge: estimates the noise; None unless ``forget_end`` is ``auto``.
    """

    judge: LabelJudge | None
    noted: Tensor
    labels: Tensor
    kept: Tensor
    divided: Tensor

    def __init__(
        self,
        num_items: int,
        num_classes: int,
        seed: int,
        *,
        forget_end: float | Literal["auto", "mixture"],
        warm_epochs: int,
        threshold: float,
        minimum_share: float,
    ) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.seed = seed
        self.forget_end = forget_end
        self.warm_epochs = warm_epochs
        self.threshold = threshold
        self.minimum_share = minimum_share
        self.register_buffer("noted", torch.full((2, num_items), torch.nan))
        self.register_buffer("labels", torch.full((num_items,), -1))
        self.register_buffer("kept", torch.ones(2, num_items, dtype=torch.bool))
        self.register_buffer("divided", torch.tensor(-1))
        self.judge = None
        if forget_end == "auto":
            self.judge = LabelJudge(num_items, num_classes, seed)
            self.kept[:] = ~self.judge.held_out()

    def begin_epoch(self, epoch: int) -> None:
        """Divide the labels by what was noted, if it is time to and was not done before the run was interrupted."""
        if int(self.divided) == epoch:
            return
        known = (self.labels >= 0) & ~self.noted.isnan()
        if self._is_due(epoch, known):
            unseen = self.noted.isnan()
            if self.judge is not None:
                unseen = unseen & ~self.judge.held_out()
            # nothing speaks against the label of an image that no batch has had yet
            self.kept[:] = self._divide(self.labels.clamp(min=0), known, epoch) | unseen
            self.divided.fill_(epoch)

    def note(
        self,
        ids: Int64[Tensor, " b"],
        label: Int[Tensor, " b"],
        losses: Float[Tensor, "2 b"],
        said: Float[Tensor, "2 b c"],
    ) -> None:
        """Remember a batch; tables are the same in all processes.

        Args:
            ids: of the images in the training set.
            label: class of each; -1 without one.
            losses: of network a, of b; NaN without a label.
            said: class probabilities of both.
        """
        rows = [] if self.judge is None else [said.movedim(0, 1)]
        (ids, label, losses, *rows), _ = gather_items(ids, label, losses.T, *rows)
        if self.judge is not None:
            self.judge.said[:, ids] = rows[0].movedim(0, 1)
        self.noted[:, ids] = losses.T
        self.labels[ids] = label.long()

    def shares(self) -> dict[str, Share]:
        """``kept_share/a`` and ``/b``: of the labels that were seen, those that are believed by the losses of each network."""
        seen = self.labels >= 0
        return {
            f"kept_share/{name}": Share((kept & seen).sum(), seen.sum())
            for name, kept in zip("ab", self.kept, strict=True)
        }

    def _is_due(self, epoch: int, known: Bool[Tensor, "2 n"]) -> bool:
        """Whether labels are divided before this epoch.

        With ``auto`` once they are learned by heart, and then after every ``warm_epochs`` only: what networks say of a class changes
        most when they are given other labels, and one that changes during an epoch forms no cluster.
        """
        if self.judge is None:
            return epoch >= (self.warm_epochs if self.forget_end == "mixture" else 1)
        if int(self.divided) >= 0:
            return epoch - int(self.divided) >= self.warm_epochs
        return epoch >= self.warm_epochs and self.judge.by_heart(self.noted, known)

    def _divide(
        self, label: Int64[Tensor, " n"], known: Bool[Tensor, "2 n"], epoch: int
    ) -> Bool[Tensor, "2 n"]:
        if self.judge is not None:
            return self.judge.divide(label, known, step=epoch)
        if isinstance(self.forget_end, str):
            return divide(
                self.noted,
                label,
                known,
                num_classes=self.num_classes,
                threshold=self.threshold,
                minimum_share=self.minimum_share,
                seed=self.seed,
            )[1]
        rate = ramp(epoch, self.warm_epochs, 0.0, self.forget_end)
        return divide_by_rank(
            self.noted, label, known, rate, num_classes=self.num_classes, seed=self.seed, step=epoch
        )
