"""Which labels look wrong: of a run's history, or of probabilities from anywhere."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Float64, Int, Int64

from coteach.errors import CoteachWarning, InputError, TrainingError
from coteach.labels.quality import known_items
from coteach.labels.readings import judge_labels, probs_by_loss
from coteach.report.audit_input import as_labels, as_probs
from coteach.report.label_audit import LabelAudit


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
            what that gains), but for rows of zeros or NaN, which say nothing.

    Warns:
        CoteachWarning: the networks agree with few of the labels (``caution``).

    Raises:
        InputError: labels are missing, are given beside a run, or those that can be judged are of one class only; they or
            the probabilities are of another shape or type, or are scores; ``out_of_fold`` does not fit the run.
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
    from coteach.training.history_recording import find_history

    folder = source if isinstance(source, (str, os.PathLike)) else source.output_dir
    if folder is None:
        raise InputError("the fit", "was kept in no folder", "give coteach.fit an output_dir")
    outside = None if out_of_fold is None else as_probs(out_of_fold, "out_of_fold")
    history = find_history(Path(folder))
    if history is None:
        remedy = "train on images with record_history on, or audit what coteach.out_of_fold gives: audit(found.probs, found.labels)"
        raise TrainingError(str(folder), "has recorded no history of its labels", remedy)
    return audit_history(history, outside)


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
    known = _judged(probs, given)
    quality = judge_labels([probs], given)
    return LabelAudit(given, quality, nothing, nothing, nothing, nothing, _followed(probs, given, known))


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
        # rows that say nothing leave the history alone, and of items that the run never saw the folds alone speak
        total = np.nan_to_num(out_of_fold.sum(1, keepdims=True, dtype=np.float64))
        share = out_of_fold / np.where(total > 0, total, 1)
        readings = [
            np.where(total > 0, (np.where(np.isnan(reading), share, reading) + share) / 2, reading)
            for reading in readings
        ]
    known = _judged(readings[0], given)
    return LabelAudit(
        given=given,
        quality=judge_labels(readings, given),
        loss=labelled * loss,
        margin=labelled * _mean(history["margin"], weight),
        forgetting=labelled * _share(history["forgotten"].sum(0), (weight > 0).sum(0)),
        agreement=labelled * _share(history["agreed"], history["compared"]),
        followed=_followed(probs, given, known),
    )


def _judged(probs: Float[np.ndarray, "n c"], given: Int[np.ndarray, " n"]) -> Bool[np.ndarray, " n"]:
    """Which labels there is something to say of.

    Raises:
        InputError: they are of one class only, or do not fit the probabilities.
    """
    known = known_items(probs, given)
    classes = np.unique(given[known])
    if len(classes) == 1:
        cause = f"hold only class {classes[0]}" + (
            "" if known[given >= 0].all() else ", of the items that can be judged"
        )
        remedy = "give labels of two classes at least: one says nothing of wrong ones"
        raise InputError("labels", cause, remedy)
    return known


def _followed(
    probs: Float[np.ndarray, "n c"], given: Int[np.ndarray, " n"], known: Bool[np.ndarray, " n"]
) -> float:
    """The share of the labels that the probabilities favour."""
    return float((probs[known].argmax(1) == given[known]).mean())


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
