"""What an audit says of the labels: one value an item, as a table, and in sum."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float64, Int64

from coteach.labels.quality import JudgedLabels
from coteach.tables import table_text

_CLASSES = ("given", "suggested", "alternative")
_NUMBERS = ("p_wrong", "loss", "margin", "forgetting", "agreement")
_COLUMNS = ("id", "path", *_CLASSES, *_NUMBERS)
_DIGITS = 6
_FEW = 0.6  # of the labels: networks that agree with fewer have learned little, or very many labels are wrong


@dataclass(frozen=True, slots=True, eq=False)
class LabelAudit:
    """The audit of the labels of ``N`` items.

    Args:
        given: ``(N,)`` int64, the labels as they are; -1 for none, and of a run also where no network saw the item.
        quality: what was estimated; its ``p_wrong`` and ``suggested`` matter most.
        loss: ``(N,)`` float64, mean cross-entropy of the given label over epochs (by their weights) and networks, nats.
        margin: ``(N,)`` float64, mean score of the given label less the highest other one.
        forgetting: ``(N,)`` float64, how often a network went from the given label to another, mean over networks that saw the item.
        agreement: ``(N,)`` float64 in [0, 1], how often two networks predicted the same class; NaN with one network.
        All of these four are NaN where nothing was recorded, and if only probabilities were given.
        followed: share in [0, 1] of the labels that are also the class the mean probabilities favour.
    """

    given: Int64[np.ndarray, " n"]
    quality: JudgedLabels
    loss: Float64[np.ndarray, " n"]
    margin: Float64[np.ndarray, " n"]
    forgetting: Float64[np.ndarray, " n"]
    agreement: Float64[np.ndarray, " n"]
    followed: float

    @property
    def recorded(self) -> bool:
        """Whether a history was judged, not probabilities alone."""
        return bool(np.isfinite(self.loss).any())

    @property
    def caution(self) -> str:
        """Why the estimates are not to be believed as they are; empty if nothing speaks against them."""
        if self.followed >= _FEW:
            return ""
        return (
            f"the networks agree with {self.followed:.0%} of the labels only: unless so many are wrong, they have learned too "
            "little, and far too many labels look wrong; train longer and audit again"
        )

    @property
    def p_wrong(self) -> Float64[np.ndarray, " n"]:
        """``(N,)`` in [0, 1], how likely each label is wrong; NaN without one."""
        return self.quality.p_wrong

    @property
    def suggested(self) -> Int64[np.ndarray, " n"]:
        """``(N,)`` the most probable true class; -1 where ``p_wrong`` is NaN."""
        return self.quality.suggested

    @property
    def alternative(self) -> Int64[np.ndarray, " n"]:
        """``(N,)`` int64, the most probable class but the given one, ties to the lowest; -1 where ``p_wrong`` is NaN.

        What the item probably is if its label is wrong: ``suggested``, where that is not the label itself. Found anew
        each time: keep it, to loop over items.
        """
        found = self.suggested.copy()
        same = np.flatnonzero((found >= 0) & (found == self.given))
        others = self.quality.posterior[same]
        others[np.arange(len(same)), self.given[same]] = -1
        found[same] = others.argmax(1)
        return found

    @property
    def noise_rate(self) -> float:
        """Estimated share of the labels that are wrong."""
        return self.quality.noise_rate

    def ranked(self) -> Int64[np.ndarray, " m"]:
        """Ids of the items with a label, the most probably wrong first."""
        return self.quality.ranked()

    @property
    def corrected(self) -> Int64[np.ndarray, " n"]:
        """``(N,)`` int64, ``suggested``, and ``given`` where that is -1; -1 where both are."""
        return np.where(self.suggested < 0, self.given, self.suggested)

    def rows(self, names: Sequence[str], paths: Mapping[int, str] | None = None) -> list[dict[str, str]]:
        """The table of all items: the most probably wrong first, at the end those without a label or that no network saw.

        What is not known is an empty cell, but ``suggested`` is :attr:`corrected`, which can be trained on.

        Args:
            names: one a class.
            paths: id -> file, of items that are one.
        """
        classes = {name: getattr(self, name) for name in _CLASSES} | {"suggested": self.corrected}
        numbers = {name: getattr(self, name) for name in _NUMBERS}
        judged = self.ranked()
        others = np.setdiff1d(np.arange(len(self.given)), judged)
        return [
            {"id": str(i), "path": (paths or {}).get(i, "")}
            | {name: names[of_items[i]] if of_items[i] >= 0 else "" for name, of_items in classes.items()}
            | {name: _text(of_items[i]) for name, of_items in numbers.items()}
            for i in [*judged.tolist(), *others.tolist()]
        ]

    def table(self, names: Sequence[str], paths: Mapping[int, str] | None = None) -> str:
        """The table as CSV; see :meth:`rows`."""
        return table_text(_COLUMNS, self.rows(names, paths))

    def summary(self, names: Sequence[str]) -> dict[str, Any]:
        """Plain numbers and lists for JSON."""
        return {
            "labels": len(self.ranked()),
            "noise_rate": self.noise_rate,
            "labels_networks_agree_with": self.followed,
            "classes": list(names),
            "transition": self.quality.transition.tolist(),
            "true_by_given": self.quality.joint.tolist(),
        }


def _text(value: float) -> str:
    """A number for the table; empty if there is none."""
    return "" if np.isnan(value) else f"{value:.{_DIGITS}g}"
