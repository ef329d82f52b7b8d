"""What methods of two networks and one batch share: both networks' losses, and a forget rate that may be estimated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, NamedTuple

from torch import Tensor

from coteach.losses.figures import agreement, selection_figures
from coteach.losses.soft_cross_entropy import check_same_items, soft_cross_entropy
from coteach.losses.target import as_soft_target, hard_label
from coteach.methods.base import NetworkFactory, Scan, Step, TaskInfo
from coteach.methods.label_method import LabelMethod
from coteach.selection.forgetting import ForgetRate, check_balance
from coteach.types import Batch, Figure, Selection, SoftTarget


class Pair(NamedTuple):
    """One batch as both networks see it.

    Args:
        target: the labels.
        label: ``(B, *S)`` the hard ones.
        usable: ``(B, *S)`` bool, which items may be learned from: they have a label and are not held out.
        logits: ``(B, C, *S)`` of networks a and b.
        losses: ``(B, *S)`` plain cross-entropy of a and b.
    """

    target: SoftTarget
    label: Tensor
    usable: Tensor
    logits: tuple[Tensor, Tensor]
    losses: tuple[Tensor, Tensor]


class PairMethod(LabelMethod):
    """Base of methods whose two networks choose items of small loss from the same batch.

    Its configuration has ``forget_end``, ``e_warm``, ``balance`` and ``sync``.
    """

    trained: ClassVar[tuple[str, ...]] = ("a", "b")
    judges: ClassVar[tuple[str, ...]] = ("a", "b")  # who chooses: each network, or both together

    def setup(self, factory: NetworkFactory, info: TaskInfo) -> None:
        """Build both networks; there must be one forget rate a class, if they differ."""
        # that of a step is each process's own: by it they would hold out, and break ties, apart
        self.seed = info.seed
        config = self.config
        self.forget = ForgetRate(
            config.forget_end, config.e_warm, info.num_classes, balance=config.balance, judges=self.judges
        )
        super().setup(factory, info)

    def check_extent(self, extent: Sequence[int]) -> None:
        """Shares of the set are of images.

        Raises:
            OptionError: they are asked for of maps.
        """
        check_balance(self.config.balance, extent)

    def prepare_epoch(self, epoch: int, scan: Scan) -> None:  # noqa: ARG002 -- the losses passed by already
        """Estimate the noise from the epoch before, if that is wanted."""
        if self.forget.noise is not None:
            self.forget.noise.begin_epoch(epoch)

    def always_learns(self, epoch: int) -> bool:
        """Unless labels are held out, or a whole batch may be judged by others."""
        return self.forget.always_keeps(epoch)

    def see(self, batches: Mapping[str, Batch], step: Step) -> Pair:
        """What both networks say of the batch; the noise rate, if it is estimated, learns what they say of images held out.

        Args:
            batches: with ``train``, the only stream.
            step: where the run stands.

        Raises:
            InputError: scores and labels do not fit each other.
        """
        batch = batches["train"]
        target = as_soft_target(batch.target, self.num_classes)
        logits = self.logits("a", batch, step), self.logits("b", batch, step)
        for scores in logits:
            check_same_items(scores, target.probs)
        losses = soft_cross_entropy(logits[0], target.probs), soft_cross_entropy(logits[1], target.probs)
        label = hard_label(target.probs)
        usable = self.forget.usable(
            logits, label, target.valid, batch.ids, epoch=step.epoch, seed=self.seed, step=step.index
        )
        return Pair(target, label, usable, logits, losses)

    def choose(self, judge: str, losses: Tensor, pair: Pair, eligible: Tensor, step: Step) -> Selection:
        """The items of small loss among the eligible ones, as many as the epoch's forget rate leaves.

        Args:
            judge: whose losses they are.
            losses: ``(B, *S)`` plain losses, of one network or of both together.
            pair: the batch, for its labels.
            eligible: ``(B, *S)`` bool, the items to choose from.
            step: where the run stands.

        Returns:
            Mask ``(B, *S)`` bool.
        """
        return self.forget.select(
            losses,
            pair.label,
            eligible,
            judge=judge,
            epoch=step.epoch,
            seed=self.seed,
            step=step.index,
            sync=self.config.sync,
        )

    def figures(
        self, pair: Pair, eligible: Tensor, by_a: Selection, by_b: Selection, step: Step
    ) -> dict[str, Figure]:
        """For the log: what was learned from, and how far the networks agree.

        Args:
            pair: the batch.
            eligible: ``(B, *S)`` bool, the items that could be chosen.
            by_a: what network a chose.
            by_b: what network b chose.
            step: where the run stands.

        Returns:
            Name -> scalar: forget rate, shares in [0, 1].
        """
        valid = pair.target.valid
        return {
            **self.forget.figures(step.epoch),
            **selection_figures(pair.label, valid, self.num_classes, eligible, by_a.mask, by_b.mask),
            "agreement": agreement(*pair.logits, valid),
        }
