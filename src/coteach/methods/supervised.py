"""Plain supervised training: the baseline of everything here, and E0 of Xiao et al. 2026.

``l_i = −log p(y_i | x_i)`` with ``y_i`` the hard label, the argmax of P_soft (ties to the lowest code); every
labelled item weighs 1, or as its class does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from torch.nn import functional as F

from coteach.losses.class_weights import all_weigh, check_class_weights, expected_class_weight
from coteach.losses.soft_cross_entropy import check_same_items, masked_mean
from coteach.losses.target import as_soft_target, hard_label, one_hot
from coteach.methods.base import NetworkFactory, Step, TaskInfo
from coteach.methods.label_method import LabelMethod
from coteach.selection.schedules import check_share
from coteach.types import Batch, LossTerms, Share


@dataclass(frozen=True, kw_only=True, slots=True)
class SupervisedConfig:
    """Options of ``Supervised``.

    Args:
        label_smoothing: share of the target spread evenly over all classes, in [0, 1].
        class_weights: one a class, how much its items weigh; None weighs all classes alike.

    Raises:
        OptionError: it is out of range.
    """

    label_smoothing: float = 0.0
    class_weights: list[float] | None = None

    def __post_init__(self) -> None:
        check_share("label_smoothing", self.label_smoothing)
        check_class_weights(self.class_weights)


class Supervised(LabelMethod):
    """Hard-label cross-entropy with one network."""

    name: ClassVar[str] = "supervised"
    config_type: ClassVar[type] = SupervisedConfig

    def setup(self, factory: NetworkFactory, info: TaskInfo) -> None:
        """Build the network; there must be one class weight a class."""
        check_class_weights(self.config.class_weights, info.num_classes)
        super().setup(factory, info)

    def always_learns(self, epoch: int) -> bool:  # noqa: ARG002
        """Unless a class weighs nothing."""
        return all_weigh(self.config.class_weights)

    def losses(self, batches: Mapping[str, Batch], step: Step) -> LossTerms:
        """Mean cross-entropy over the labelled items."""
        batch = batches["train"]
        target = as_soft_target(batch.target, self.num_classes)
        logits = self.logits("a", batch, step)
        check_same_items(logits, target.probs)
        smoothing: float = self.config.label_smoothing
        label = hard_label(target.probs)
        losses = F.cross_entropy(logits.float(), label.long(), reduction="none", label_smoothing=smoothing)
        weight = expected_class_weight(one_hot(label, self.num_classes), self.config.class_weights)
        labelled = target.valid.sum()
        return LossTerms(
            networks={"a": {"cross_entropy": masked_mean(losses, target.valid, weight)}},
            logs={"labelled_share": Share(labelled, target.valid.numel())},
            items=labelled,
        )
