"""Which labels look wrong: a run's history, or probabilities from anywhere, as one table."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Float64, Int, Int64

from coteach.errors import CoteachWarning, InputError
from coteach.labels.quality import JudgedLabels
from coteach.labels.readings import judge_labels, probs_by_loss
from coteach.report.audit_input import as_labels, as_probs
from coteach.tables import table_text

_CLASSES = ("given", "suggested", "alternative")
_NUMBERS = ("p_wrong", "loss", "margin", "forgetting", "agreement")
COLUMNS = ("id", "path", *_CLASSES, *_NUMBERS)
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
        return table_text(COLUMNS, self.rows(names, paths))

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


def audit(
    source: str | os.PathLike[str] | Any,
    labels: Any = None,
    *,
    out_of_fold: Any = None,
) -> LabelAudit:
    """Say of each label how likely it is wrong.

    Args:
        source: the folder of a run on images, what :func:`coteach.fit` gave (with an ``output_dir``), or ``(N, C)``
            class probabilities, of any model, as array, tensor or lists; best are out-of-fold ones.
        labels: ``(N,)`` given classes, -1 for none, beside probabilities, in any such form; a run knows its own.
        out_of_fold: beside a run: ``(N, C)`` class probabilities by networks that have not seen the item, such as those
            of :func:`coteach.out_of_fold`; each reading of the history is averaged with them (docs/audit.md says
            what that gains).

    Warns:
        CoteachWarning: the networks agree with few of the labels (``caution``).

    Raises:
        InputError: labels are missing, or are given beside a run; they or the probabilities are of another shape or
            type; ``out_of_fold`` does not fit the run.
        TrainingError: the run has recorded no history.

    Example:
        >>> probs = np.array([[0.9, 0.1]] * 40 + [[0.2, 0.8]] * 40)
        >>> found = audit(probs, np.array([0] * 39 + [1] + [1] * 40))
        >>> found.ranked()[0], found.suggested[39]
        (np.int64(39), np.int64(0))
    """
    if isinstance(source, (str, os.PathLike)) or hasattr(source, "output_dir"):
        found = _audit_run(source, labels, out_of_fold)
    else:
        found = _audit_probs(source, labels, out_of_fold)
    if found.caution:
        warnings.warn(found.caution, CoteachWarning, stacklevel=2)
    return found


def _audit_run(source: Any, labels: Any, out_of_fold: Any) -> LabelAudit:
    """The audit of what a run recorded."""
    if labels is not None:
        raise InputError("labels", "are given beside a run", "leave them out: the run knows its labels")
    from coteach.training.history_recording import read_history

    folder = source if isinstance(source, (str, os.PathLike)) else source.output_dir
    if folder is None:
        raise InputError("the fit", "was kept in no folder", "give coteach.fit an output_dir")
    outside = None if out_of_fold is None else as_probs(out_of_fold, "out_of_fold")
    return audit_history(read_history(Path(folder)), outside)


def _audit_probs(source: Any, labels: Any, out_of_fold: Any) -> LabelAudit:
    """The audit without a history."""
    probs = as_probs(source, "source")
    if labels is None:
        raise InputError("labels", "are missing", "give one class an item beside the probabilities")
    if out_of_fold is not None:
        raise InputError("out_of_fold", "is given beside probabilities", "give it alone, or beside a run")
    return audit_probs(probs, as_labels(labels))


def audit_probs(probs: Float[np.ndarray, "n c"], given: Int64[np.ndarray, " n"]) -> LabelAudit:
    """The audit of labels of which nothing was recorded; for the rest, see :func:`audit`."""
    nothing = np.full(len(given), np.nan)
    quality = judge_labels([probs], given)
    return LabelAudit(given, quality, nothing, nothing, nothing, nothing, _followed(probs, given))


def audit_history(
    history: Mapping[str, np.ndarray], out_of_fold: Float[np.ndarray, "n c"] | None = None
) -> LabelAudit:
    """The audit of a history, see :class:`coteach.training.history.LabelHistory`; for the rest, see :func:`audit`."""
    weight = history["weight"]
    given = history["label"].astype(np.int64)
    labelled = np.where(given >= 0, 1.0, np.nan)
    probs, loss = _mean(history["probs"], weight[..., None]), _mean(history["loss"], weight)
    readings = [probs, probs_by_loss(probs, given, loss)]
    if out_of_fold is not None:
        if out_of_fold.shape != probs.shape:
            cause = f"are {out_of_fold.shape}, the history of the run is {probs.shape}"
            raise InputError(
                "out_of_fold", cause, "give probabilities of the images that the run was trained on"
            )
        readings = [(reading + out_of_fold) / 2 for reading in readings]
    return LabelAudit(
        given=given,
        quality=judge_labels(readings, given),
        loss=labelled * loss,
        margin=labelled * _mean(history["margin"], weight),
        forgetting=labelled * _share(history["forgotten"].sum(0), (weight > 0).sum(0)),
        agreement=labelled * _share(history["agreed"], history["compared"]),
        followed=_followed(probs, given),
    )


def _followed(probs: Float[np.ndarray, "n c"], given: Int[np.ndarray, " n"]) -> float:
    """The share of labels that the probabilities favour, of items that have both; 0 if none has."""
    known = (given >= 0) & ~np.isnan(probs).any(1)
    return float((probs[known].argmax(1) == given[known]).mean()) if known.any() else 0.0


def _mean(
    total: Float[np.ndarray, "m n *c"], weight: Float[np.ndarray, "m n *ones"]
) -> Float64[np.ndarray, "n *c"]:
    """Mean over epochs and networks by their weight, of networks that saw the item; NaN where none did."""
    mean: Float64[np.ndarray, "n *c"] = _share(
        total.sum(0, dtype=np.float64), weight.sum(0, dtype=np.float64)
    )
    return mean


def _share(part: np.ndarray, whole: np.ndarray) -> Any:
    return np.where(whole > 0, part / np.maximum(whole, 1), np.nan)


def _text(value: float) -> str:
    """A number for the table; empty if there is none."""
    return "" if np.isnan(value) else f"{value:.{_DIGITS}g}"
