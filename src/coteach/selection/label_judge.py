"""Which labels two networks believe of each other's, with as many refused as labels held out say are wrong.

What each network last said of every image is kept. A tenth of the labels, of many images less, is never learned from; at each
division the noise is estimated on them, by clusters of all images (:mod:`coteach.labels.noise_model`), and the same model says of
every other label how likely it is right. Of each class the least likely are refused, as many as are wrong. So it does not matter
whether a wrong label has a large loss: where all sevens are half labelled 8, its loss is that of a right one.

Labels are refused only once networks learn them by heart. Before that those that are wrong in many ways contradict each other and do
little harm, and to refuse what a network finds unlikely keeps it from learning what is difficult. It shows in the labels held out:
by heart, labels that are learned have a far smaller loss than these.

Shape legend: ``N`` images of the training set, ``C`` classes.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Int64
from torch import Tensor, nn

from coteach.errors import OptionError
from coteach.labels.noise_model import NoiseModel, noise_model
from coteach.selection.dividing import divide_by_rank
from coteach.selection.noise_rate import HELD_OUT, HIGHEST, held_out, most_rows
from coteach.selection.noise_trust import enough, warn_of_doubt
from coteach.selection.ties import tie_order
from coteach.selection.whole_batch import as_in_first

_AT_ONCE = 1 << 14  # labels that are judged together
_BY_HEART = 0.1  # memorization from which labels are refused
_ENOUGH = 200  # labels held out of each class: more tell little more, and are missing where networks learn
_LARGEST = 1 << 28  # probabilities that are kept (1 GiB), on the device and in each checkpoint


class LabelJudge(nn.Module):
    """What both networks said, and what follows from it; all of it is in the ``state_dict``.

    Args:
        num_items: ``N``.
        num_classes: ``C``.
        seed: of the run; decides which labels are held out, and between equals.

    Attributes:
        said: ``(2, N, C)`` float32, the last class probabilities of network a, of b; NaN if never seen.
        rate: 0-d float64, the estimated share of wrong labels; 0 until there is an estimate.
        memorization: 0-d float64, how far labels were learned by heart when that was last asked: by which share the mean loss of
            learned labels is below that of labels held out, less a standard error of that; at most 1.

    Raises:
        OptionError: what is to be kept takes more than 1 GiB.
    """

    said: Tensor
    rate: Tensor
    memorization: Tensor

    def __init__(self, num_items: int, num_classes: int, seed: int) -> None:
        super().__init__()
        if 2 * num_items * num_classes > _LARGEST:
            cause = (
                f"auto keeps {8e-9 * num_items * num_classes:.1f} GB of probabilities of {num_items} images and "
                f"{num_classes} classes, also in each checkpoint; {4e-9 * _LARGEST:.1f} GB is the most"
            )
            raise OptionError("forget_end", cause, "give the rate as a number, or 'mixture'")
        self.seed = seed
        self.register_buffer("said", torch.full((2, num_items, num_classes), torch.nan))
        self.register_buffer("rate", torch.zeros((), dtype=torch.float64))
        self.register_buffer("memorization", torch.zeros((), dtype=torch.float64))

    def held_out(self) -> Bool[Tensor, " n"]:
        """Which labels are never learned from: a tenth, or, if that is less, some 200 a class on average."""
        _, images, classes = self.said.shape
        share = min(HELD_OUT, _ENOUGH * classes / max(images, 1))
        return held_out(torch.arange(images, device=self.said.device), self.seed, share)

    def by_heart(self, losses: Float[Tensor, "2 n"], known: Bool[Tensor, "2 n"]) -> bool:
        """Whether labels are learned by heart; ``memorization`` then says how far. Asked by all processes at once.

        Our own (docs/decisions/0016-refuse-once-learned-by-heart.md). It means something while all labels that are not held out are learned.

        Args:
            losses: of the labels, >= 0; NaN where they are not known.
            known: which have a label and were seen by this network.

        Returns:
            False, with a warning, if fewer than 20 labels are held out.
        """
        apart = self.held_out()
        of_each = losses[:, apart & known.all(0)].double().mean(0)
        if not enough(len(of_each)):
            return False
        mean, error = of_each.mean(), of_each.std() / len(of_each) ** 0.5
        learned = losses[known & ~apart].double().mean()
        self.memorization.copy_((mean - error - learned) / mean.clamp(min=torch.finfo(torch.float64).tiny))
        # processors that round differently decide alike
        return bool(as_in_first(self.memorization)[0] >= _BY_HEART)

    def divide(
        self, label: Int[Tensor, " n"], known: Bool[Tensor, "2 n"], *, step: int
    ) -> Bool[Tensor, "2 n"]:
        """The labels that each network believes; never one that is held out. To be asked once labels are learned by heart.

        Args:
            label: the class of each image, 0 to ``C - 1``, also of one without a label.
            known: which have a label and were seen by this network.
            step: counter of the divisions, for ties.
        """
        apart = self.held_out()
        measured = self._drawn((known.all(0) & apart).nonzero()[:, 0], step)
        learned = self._drawn((known.all(0) & ~apart).nonzero()[:, 0], step)
        model = noise_model(*self._rows_of(measured, label), copies=2, beside=self._rows_of(learned, label))
        if self.rate == 0:  # once: later ones are of the same labels, and of networks that know more
            warn_of_doubt(model, len(measured), "warm_epochs")
        self.rate.fill_(model.overall)
        rates = torch.from_numpy(model.by_class).clamp(max=HIGHEST).to(self.said.device)
        doubt = torch.stack(
            [self._doubt(model, rows, label, there) for rows, there in zip(self.said, known, strict=True)]
        )
        kept = divide_by_rank(
            doubt, label, known & ~apart, rates, num_classes=len(rates), seed=self.seed, step=step
        )
        # processors that round differently may divide equals differently
        return as_in_first(kept, self.rate)[0]

    def _rows_of(
        self, ids: Int64[Tensor, " d"], label: Int[Tensor, " n"]
    ) -> tuple[Float[np.ndarray, "m c"], Int[np.ndarray, " m"]]:
        """What both networks said of these images, and their labels, one network after the other."""
        return self.said[:, ids].flatten(0, 1).cpu().numpy(), np.tile(label[ids].cpu().numpy(), 2)

    def _drawn(self, ids: Int64[Tensor, " m"], step: int) -> Int64[Tensor, " d"]:
        """As many as the memory takes; by hash, for data sets are often sorted by class."""
        most = most_rows(self.said.shape[2])
        return ids[tie_order(ids, self.seed, step).argsort()[:most].sort().values]

    def _doubt(
        self,
        model: NoiseModel,
        rows: Float[Tensor, "n c"],
        label: Int[Tensor, " n"],
        there: Bool[Tensor, " n"],
    ) -> Float[Tensor, " n"]:
        """Minus the logarithm of how likely each label is right; 0 of images that were not seen."""
        doubt = torch.zeros_like(rows[:, 0], dtype=torch.float64)
        for part in torch.split(there.nonzero()[:, 0], _AT_ONCE):
            right = model.p_right(rows[part].cpu().numpy(), label[part].cpu().numpy())
            doubt[part] = -torch.from_numpy(right).clamp(min=torch.finfo(torch.float64).tiny).log().to(doubt)
        return doubt
