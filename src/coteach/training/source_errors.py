"""What is estimated of the errors of each source, and what that says of a tile's pixels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int16, Int64

from coteach.labels.quality import LabelQuality, label_quality
from coteach.labels.quality_em import joint_counts
from coteach.labels.votes import NO_VOTE
from coteach.training.audited_tile import Drawn

_AT_ONCE = 1 << 20  # probabilities worked on at once


@dataclass(frozen=True, slots=True, eq=False)
class ErrorCounts:
    """What was found out about a source in one tile, or in many.

    Args:
        joint: ``(C, C)`` expected number of pixels by true class (rows) and class of the source.
        judged: pixels that are wrong with a probability above 0.5.
    """

    joint: Float64[np.ndarray, "c c"]
    judged: int

    @property
    def pixels(self) -> int:
        """Where the source says something."""
        return round(float(self.joint.sum()))

    @property
    def error_rate(self) -> float:
        """Expected share of wrong pixels, in [0, 1]; NaN without pixels."""
        return float(1 - self.joint.trace() / self.joint.sum()) if self.pixels else float("nan")

    @property
    def judged_wrong(self) -> float:
        """Share of pixels judged wrong, in [0, 1]; NaN without pixels."""
        return self.judged / self.pixels if self.pixels else float("nan")

    def plain(self) -> dict[str, Any]:
        """As JSON has it."""
        return {"joint": self.joint.tolist(), "judged": self.judged}

    @classmethod
    def of_plain(cls, content: Mapping[str, Any]) -> ErrorCounts:
        """From what :meth:`plain` gave."""
        return cls(np.array(content["joint"], np.float64), content["judged"])

    @classmethod
    def total(cls, counts: Sequence[ErrorCounts]) -> ErrorCounts:
        """Of at least one."""
        return cls(np.sum([one.joint for one in counts], axis=0), sum(one.judged for one in counts))


def estimate_errors(drawn: Sequence[Drawn], keys: Sequence[str]) -> dict[str, LabelQuality]:
    """Estimate how each source errs.

    The networks were trained on votes of several sources: their probabilities are taken at their word, and only the
    source's confusions are estimated (measured: sharpness and bias would be used to explain a source's errors away).

    Args:
        drawn: pixels, of each tile.
        keys: columns of the sources.

    Returns:
        Column -> estimate, of the sources that say something at a pixel drawn.
    """
    if not drawn:
        return {}
    probs = np.concatenate([one.probs for one in drawn])
    codes = np.concatenate([one.codes for one in drawn])
    told = {key: codes[:, i] for i, key in enumerate(keys) if (codes[:, i] != NO_VOTE).any()}
    return {
        key: label_quality(probs[own != NO_VOTE], own[own != NO_VOTE], sharpen=False)
        for key, own in told.items()
    }


def wrong_where(
    estimate: LabelQuality, probs: Float32[np.ndarray, "c h w"], codes: Int16[np.ndarray, "h w"]
) -> tuple[Float64[np.ndarray, "h w"], Int64[np.ndarray, "h w"], ErrorCounts]:
    """How likely a source is wrong, pixel by pixel.

    Args:
        estimate: of the source.
        probs: ``(C, h, w)`` mean of the networks' class probabilities.
        codes: ``(h, w)`` what the source says.

    Returns:
        ``(h, w)`` the probability that it is wrong, in [0, 1], NaN where it says nothing; ``(h, w)`` the most probable
        class, -1 likewise; and the sums.
    """
    classes = len(probs)
    p_wrong, suggested = np.full(codes.shape, np.nan), np.full(codes.shape, -1)
    joint, judged = np.zeros((classes, classes)), 0
    step = max(1, _AT_ONCE // (classes * codes.shape[1]))
    for top in range(0, len(codes), step):
        strip = slice(top, top + step)
        told: Bool[np.ndarray, "h w"] = codes[strip] != NO_VOTE
        given = codes[strip][told].astype(np.int64)
        posterior = estimate.posterior_of(probs[:, strip][:, told].T, given)
        wrong = np.clip(1 - posterior[np.arange(len(given)), given], 0, 1)
        p_wrong[strip][told], suggested[strip][told] = wrong, posterior.argmax(1)
        judged += int(np.count_nonzero(wrong > 0.5))
        joint += joint_counts(posterior, given)
    return p_wrong, suggested, ErrorCounts(joint, judged)
