"""Co-teaching+: two networks teach each other what they disagree on (Yu et al., ICML 2019).

Of a batch only the items that the networks put into different classes are looked at ("update by disagreement"), which
keeps the networks from becoming one; of these each keeps the items of small loss and hands them to the other. Where
the networks agree on everything, the whole batch is looked at. Items may be images or the pixels of a map.

Shape legend: ``B`` samples, ``C`` classes, ``*S`` the item's own axes.

| step of algorithm 1 | where |
|---|---|
| 4, disagreement | ``selection.agreement.restrict_to`` |
| 5, 6, small losses | ``selection.forgetting.ForgetRate.select`` |
| 7, 8, exchange | ``losses.cross_update.cross_update`` |
| 9, ``λ(e) = 1 − min(τ·e/E_k, τ)`` | ``selection.forgetting.ForgetRate`` |
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor

from coteach.losses.cross_update import cross_update
from coteach.losses.target import hard_label
from coteach.methods.base import Step
from coteach.methods.pair import Pair, PairMethod
from coteach.selection.agreement import restrict_to
from coteach.selection.forgetting import Balance, check_forgetting
from coteach.selection.schedules import check_not_negative
from coteach.types import Batch, LossTerms


@dataclass(frozen=True, kw_only=True, slots=True)
class CoTeachingPlusConfig:
    """Options of ``CoTeachingPlus``.

    Args:
        forget_end: share of the disputed items left out from ``e_warm`` on, in [0, 1): the noise rate. A list gives
            each class its own; ``auto`` estimates it, ``auto_by_class`` for each class.
        e_warm: epochs over which the share rises from 0.
        agree_epochs: at first this many epochs of plain co-teaching, when networks disagree by chance.
        balance: leave out that share of the whole batch (``none``), of each class of the ``batch``, or of each class of the
            ``set`` as the latest batches have shown it (images only).
        sync: with several processes, rank the items of all of them together, as one process on the whole batch would.
        inference: predictions by network ``a``, or the ``mean`` of both.

    Raises:
        OptionError: one is out of range, or rates by class come with a batch that is ranked whole.
    """

    forget_end: float | list[float] | Literal["auto", "auto_by_class"] = 0.2
    e_warm: float = 10
    agree_epochs: int = 20
    balance: Balance = "none"
    sync: bool = False
    inference: Literal["a", "mean"] = "a"

    def __post_init__(self) -> None:
        check_not_negative("agree_epochs", self.agree_epochs)
        check_forgetting(self.forget_end, self.e_warm, self.balance)


class CoTeachingPlus(PairMethod):
    """Two networks, each taught by the other among what they disagree on."""

    name: ClassVar[str] = "co_teaching_plus"
    config_type: ClassVar[type] = CoTeachingPlusConfig

    def losses(self, batches: Mapping[str, Batch], step: Step) -> LossTerms:
        """Each network's loss on what the other chose among the disputed items."""
        pair = self.see(batches, step)
        eligible = self._eligible(pair, step)
        j_a, j_b = (
            self.choose(judge, losses, pair, eligible, step)
            for judge, losses in zip(self.judges, pair.losses, strict=True)
        )
        for network, choice in (("a", j_a), ("b", j_b)):
            self.tell_choice(network, batches["train"].ids, choice.mask)
        loss_a, loss_b = cross_update(*pair.losses, pair.target.weight, j_a, j_b, sync=self.config.sync)
        return LossTerms(
            networks={"a": {"cross_update": loss_a}, "b": {"cross_update": loss_b}},
            logs=self.figures(pair, eligible, j_a, j_b, step),
            items=pair.target.valid.sum(),
        )

    def _eligible(self, pair: Pair, step: Step) -> Tensor:
        """The disputed items, once the networks have learned enough to dispute."""
        if step.epoch < self.config.agree_epochs:
            return pair.usable
        label_a, label_b = (hard_label(logits.detach()) for logits in pair.logits)
        return restrict_to("disagree", label_a, label_b, pair.usable, sync=self.config.sync)
