"""Soft labels with confidence (Xiao et al. 2026, E1 to E5): the mean of ``W_conf · (−Σ_c P_soft log p)``.

E1 is this method on data without confidence (weight 1); the E2 family differs in how W_conf was built.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, get_args

from coteach.errors import OptionError
from coteach.losses.class_weights import all_weigh, check_class_weights, weighted
from coteach.losses.soft_cross_entropy import (
    Normalisation,
    check_same_items,
    masked_mean,
    soft_cross_entropy,
)
from coteach.losses.soft_dice import soft_dice
from coteach.losses.target import as_soft_target
from coteach.methods.base import NetworkFactory, Step, TaskInfo
from coteach.methods.label_method import LabelMethod
from coteach.selection.schedules import check_not_negative
from coteach.types import Batch, LossTerms


@dataclass(frozen=True, kw_only=True, slots=True)
class SoftLabelConfig:
    """Options of ``SoftLabel``.

    Args:
        normalize_by: divide the weighted loss by the number of labelled ``items`` or by the sum of ``weights``.
        class_weights: one a class; an item weighs as the classes of its label do. None weighs all classes alike.
        dice_weight: adds this much of the soft Dice loss, >= 0; 0 leaves it out.

    Raises:
        OptionError: one is out of range.
    """

    normalize_by: Normalisation = "items"
    class_weights: list[float] | None = None
    dice_weight: float = 0.0

    def __post_init__(self) -> None:
        if self.normalize_by not in get_args(Normalisation):
            raise OptionError("normalize_by", f"{self.normalize_by!r} is unknown", "use 'items' or 'weights'")
        check_class_weights(self.class_weights)
        check_not_negative("dice_weight", self.dice_weight, "use 0 to leave the term out")


class SoftLabel(LabelMethod):
    """Confidence-weighted soft cross-entropy with one network."""

    name: ClassVar[str] = "soft_label"
    config_type: ClassVar[type] = SoftLabelConfig

    def setup(self, factory: NetworkFactory, info: TaskInfo) -> None:
        """Build the network; there must be one class weight a class."""
        check_class_weights(self.config.class_weights, info.num_classes)
        super().setup(factory, info)

    def always_learns(self, epoch: int) -> bool:  # noqa: ARG002
        """Unless a class weighs nothing."""
        return all_weigh(self.config.class_weights)

    def losses(self, batches: Mapping[str, Batch], step: Step) -> LossTerms:
        """Mean of ``W·l`` over the labelled items, and Dice beside it."""
        config: SoftLabelConfig = self.config
        batch = batches["train"]
        target = as_soft_target(batch.target, self.num_classes)
        logits = self.logits("a", batch, step)
        check_same_items(logits, target.probs)
        weight = weighted(target.weight, target.probs, config.class_weights)
        losses = soft_cross_entropy(logits, target.probs)
        terms = {"soft_cross_entropy": masked_mean(losses, target.valid, weight, by=config.normalize_by)}
        if config.dice_weight > 0:
            terms["dice"] = config.dice_weight * soft_dice(logits, target.probs, target.valid, target.weight)
        return LossTerms(networks={"a": terms}, items=target.valid.sum())
