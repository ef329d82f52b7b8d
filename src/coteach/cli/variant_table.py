"""Figures of several runs of each variant."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from statistics import mean, stdev

from coteach.cli.variant_runs import Result
from coteach.report.metrics import Accuracy

Figure = Callable[[Accuracy], float]


def figure_columns(class_names: Sequence[str]) -> dict[str, Figure]:
    """Column -> the figure in it: overall ones, then IoU by class."""
    columns: dict[str, Figure] = {
        "mIoU": lambda a: a.mean_iou,
        "OA": lambda a: a.overall,
        "kappa": lambda a: a.kappa,
    }
    for code, name in enumerate(class_names):
        columns[name] = lambda a, code=code: float(a.iou[code])  # type: ignore[misc]  # bound per class
    return columns


def by_variant(results: Sequence[Result], split: str, figure: Figure) -> dict[str, list[float]]:
    """Variant -> the figure of each of its runs."""
    values: dict[str, list[float]] = {}
    for result in results:
        values.setdefault(result.variant, []).append(figure(result.accuracy[split]))
    return values


def spread(values: Sequence[float]) -> tuple[float, float | None]:
    """Mean, and standard deviation of a sample (n - 1) where there are several values; NaNs do not count."""
    known = [value for value in values if not math.isnan(value)]
    if not known:
        return math.nan, None
    return mean(known), stdev(known) if len(known) > 1 else None


def spelled(values: Sequence[float]) -> str:
    """``0.550 ± 0.071``; without the deviation where there is one value only."""
    middle, deviation = spread(values)
    return f"{middle:.3f}" + ("" if deviation is None else f" ± {deviation:.3f}")
