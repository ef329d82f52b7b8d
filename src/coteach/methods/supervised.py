"""Plain supervised training: the baseline of everything here, and E0 of Xiao et al. 2026.

``l_i = −log p(y_i | x_i)`` with ``y_i`` the hard label, the argmax of P_soft (ties to the lowest code); every
labelled item weighs 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch.nn import functional as F

from coteach.errors import OptionError
from coteach.losses.soft_cross_entropy import check_same_items, masked_mean
from coteach.losses.target import as_soft_target, hard_label
from coteach.methods.base import LabelMethod, Step
from coteach.types import Batch, LossTerms


@dataclass(frozen=True, kw_only=True, slots=True)
class SupervisedConfig:
    """Options of ``Supervised``.

    Args:
        label_smoothing: share of the target spread evenly over all classes, in [0, 1].

    Raises:
        OptionError: it is out of range.
    """

    label_smoothing: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.label_smoothing <= 1:
            raise OptionError("label_smoothing", f"{self.label_smoothing} is not in [0, 1]", "give a share")


class Supervised(LabelMethod):
    """Hard-label cross-entropy with one network."""

    name: ClassVar[str] = "supervised"
    config_type: ClassVar[type] = SupervisedConfig

    def losses(self, batches: Mapping[str, Batch], step: Step) -> LossTerms:
        """Mean cross-entropy over the labelled items."""
        batch = batches["train"]
        target = as_soft_target(batch.target, self.num_classes)
        logits = self.logits("a", batch, step)
        check_same_items(logits, target.probs)
        smoothing: float = self.config.label_smoothing
        losses = F.cross_entropy(
            logits.float(), hard_label(target.probs).long(), reduction="none", label_smoothing=smoothing
        )
        labelled = target.valid.sum() / torch.tensor(target.valid.numel())
        return LossTerms(
            networks={"a": {"cross_entropy": masked_mean(losses, target.valid)}},
            logs={"labelled_share": labelled},
        )
