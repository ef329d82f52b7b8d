"""Soft labels with confidence (Xiao et al. 2026, E1 to E5): the mean of ``W_conf · (−Σ_c P_soft log p)``.

E1 is this method on data without confidence (weight 1); the E2 family differs in how W_conf was built.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, get_args

from coteach.errors import OptionError
from coteach.losses.soft_cross_entropy import Normalisation, SoftLabelWeightedCELoss
from coteach.methods.base import LabelMethod, Step
from coteach.types import Batch, LossTerms


@dataclass(frozen=True, kw_only=True, slots=True)
class SoftLabelConfig:
    """Options of ``SoftLabel``.

    Args:
        normalize_by: divide the weighted loss by the number of labelled ``items`` or by the sum of ``weights``.

    Raises:
        OptionError: it is neither.
    """

    normalize_by: Normalisation = "items"

    def __post_init__(self) -> None:
        if self.normalize_by not in get_args(Normalisation):
            raise OptionError("normalize_by", f"{self.normalize_by!r} is unknown", "use 'items' or 'weights'")


class SoftLabel(LabelMethod):
    """Confidence-weighted soft cross-entropy with one network."""

    name: ClassVar[str] = "soft_label"
    config_type: ClassVar[type] = SoftLabelConfig

    def losses(self, batches: Mapping[str, Batch], step: Step) -> LossTerms:
        """Mean of ``W·l`` over the labelled items."""
        batch = batches["train"]
        loss = SoftLabelWeightedCELoss(self.name, self.num_classes, normalize_by=self.config.normalize_by)
        return LossTerms(
            networks={"a": {"soft_cross_entropy": loss.compute(self.logits("a", batch, step), batch.target)}}
        )
