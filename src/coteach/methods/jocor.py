"""JoCoR: two networks trained as one, by a loss that also pulls them together (Wei et al., CVPR 2020).

``l_i = (1 − λ)·(CE_a + CE_b) + λ·(KL(p_a‖p_b) + KL(p_b‖p_a))``; the items of smallest ``l_i`` are learned from, the
same ones by both networks. Items may be images or the pixels of a map; the label may be soft and its confidence
weighs in the loss, never in the ranking.

Shape legend: ``B`` samples, ``C`` classes, ``*S`` the item's own axes.

| equation | where |
|---|---|
| 1, joint loss | ``JoCoR.losses`` |
| 3, contrastive term | ``losses.agreement.symmetric_divergence`` |
| 4, small-loss selection | ``selection.forgetting.ForgetRate.select`` |
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

from coteach.losses.agreement import symmetric_divergence
from coteach.losses.soft_cross_entropy import masked_mean
from coteach.methods.base import Step
from coteach.methods.pair import PairMethod
from coteach.selection.forgetting import Balance, check_forgetting
from coteach.selection.schedules import check_share
from coteach.selection.whole_batch import mean_over_processes
from coteach.types import Batch, LossTerms


@dataclass(frozen=True, kw_only=True, slots=True)
class JoCoRConfig:
    """Options of ``JoCoR``.

    Args:
        lambda_agree: ``λ`` in [0, 1], the part of the contrastive term.
        forget_end: share of the items left out from ``e_warm`` on, in [0, 1): the noise rate. A list gives each
            class its own; ``auto`` estimates it, ``auto_by_class`` for each class.
        e_warm: epochs over which the share rises from 0.
        balance: leave out that share of the whole batch (``none``), of each class of the ``batch``, or of each class of the
            ``set`` as the latest batches have shown it (images only).
        sync: with several processes, rank the items of all of them together, as one process on the whole batch would.
        inference: predictions by network ``a``, or the ``mean`` of both.

    Raises:
        OptionError: one is out of range, or rates by class come with a batch that is ranked whole.
    """

    lambda_agree: float = 0.9
    forget_end: float | list[float] | Literal["auto", "auto_by_class"] = 0.2
    e_warm: float = 10
    balance: Balance = "none"
    sync: bool = False
    inference: Literal["a", "mean"] = "mean"

    def __post_init__(self) -> None:
        check_share("lambda_agree", self.lambda_agree)
        check_forgetting(self.forget_end, self.e_warm, self.balance)


class JoCoR(PairMethod):
    """Two networks, one loss, one choice."""

    name: ClassVar[str] = "jocor"
    config_type: ClassVar[type] = JoCoRConfig
    judges: ClassVar[tuple[str, ...]] = ("both",)

    def losses(self, batches: Mapping[str, Batch], step: Step) -> LossTerms:
        """Cross-entropy of each network and the contrastive term of both, on the items of small joint loss."""
        share: float = self.config.lambda_agree
        pair = self.see(batches, step)
        target, (own_a, own_b) = pair.target, pair.losses
        apart = symmetric_divergence(*pair.logits)
        joint = (1 - share) * (own_a + own_b) + share * apart
        chosen = self.choose("both", joint, pair, pair.usable, step)
        for network in self.trained:
            self.tell_choice(network, batches["train"].ids, chosen.mask)
        count = mean_over_processes(chosen.mask.sum()) if self.config.sync else None
        mean_a, mean_b, mean_apart = (
            masked_mean(losses, chosen.mask, target.weight, count=count) for losses in (own_a, own_b, apart)
        )
        return LossTerms(
            networks={
                "a": {"cross_entropy": (1 - share) * mean_a},
                "b": {"cross_entropy": (1 - share) * mean_b},
            },
            shared={"agreement": share * mean_apart},
            logs=self.figures(pair, pair.usable, chosen, chosen, step),
            items=target.valid.sum(),
        )
