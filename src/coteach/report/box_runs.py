"""Runs whose labels are boxes, side by side: a table of average precision, and their logs as charts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from coteach.legend import Legend
from coteach.report.charts import SHARES, Chart, Line, line_chart
from coteach.report.comparison import (
    Cell,
    described,
    figure_text,
    marked_cells,
    seconds_text,
)
from coteach.report.curves import run_lines, share_chart
from coteach.report.logs import RunLog
from coteach.report.views import Panel

EXPLAINED = (
    "AP is COCO's average precision, the mean over overlaps (IoU) from 0.50 to 0.95; AP50 and AP75 are those at one "
    "overlap. All are means over the classes."
)
_FIGURES = ("AP", "AP50", "AP75")
_NOTHING = "-"


@dataclass(frozen=True, slots=True)
class BoxRun:
    """What the report knows of a run.

    Args:
        name: how it is called; unique.
        folder: where it lies.
        method: name and options.
        figures: what ``coteach evaluate`` measures: ``AP`` and others, and ``classes``: name -> the same.
        pr_curves: class -> ``recall``, ``precision_50`` and ``precision_75``, of equal lengths.
        log: its figures by epoch.
        state: ``run.json``.
        config: its configuration as text.
        pictures: pseudo boxes on unlabelled images.
        pictures_epoch: after which epoch, counted from 1, they were drawn.
    """

    name: str
    folder: Path
    method: Mapping[str, Any]
    figures: Mapping[str, Any]
    pr_curves: Mapping[str, Mapping[str, Sequence[float]]]
    log: RunLog
    state: Mapping[str, Any]
    config: str
    pictures: Sequence[Panel] = ()
    pictures_epoch: int = 0

    @property
    def described(self) -> str:
        """Method and options in words."""
        return described(self.method)

    def figure(self, name: str, class_name: str | None = None) -> float:
        """A figure, of all classes or one; NaN where there is none."""
        source = self.figures if class_name is None else self.figures["classes"].get(class_name, {})
        value = source.get(name)
        return math.nan if value is None else float(value)


def box_table(runs: Sequence[BoxRun], class_names: Sequence[str]) -> tuple[list[str], list[list[Cell]]]:
    """The columns and, for each run, the cells of the table."""
    figures = {name: [run.figure(name) for run in runs] for name in _FIGURES}
    figures |= {f"AP {name}": [run.figure("AP", name) for run in runs] for name in class_names}
    marked = [marked_cells(values) for values in figures.values()]
    cells = [
        [*own, Cell(str(run.log.num_epochs or _NOTHING)), Cell(seconds_text(run.state.get("seconds")))]
        for run, *own in zip(runs, *marked, strict=True)
    ]
    return [*figures, "epochs", "time"], cells


def box_sentence(runs: Sequence[BoxRun]) -> str:
    """Which run has the highest AP."""
    best = max(runs, key=lambda run: -1.0 if math.isnan(run.figure("AP")) else run.figure("AP"))
    ap, ap50 = figure_text(best.figure("AP")), figure_text(best.figure("AP50"))
    if len(runs) == 1:
        return f"{best.name} reaches an AP of {ap}, and of {ap50} at an overlap of 0.5."
    return f"{best.name} has the highest AP, {ap}; its AP50 is {ap50}."


def box_charts(runs: Sequence[BoxRun]) -> list[Chart]:
    """Charts with a line or two for each run; those without data are left out."""
    pseudo = "train/pseudo_boxes"
    charts = [
        line_chart("Training loss", run_lines(runs, "train/loss_epoch")),
        share_chart(
            "Validation AP and AP50",
            runs,
            solid=("val/AP",),
            dashed=("val/AP50",),
            note="Solid: AP. Dashed: AP50.",
        ),
        share_chart(
            "Precision and recall of pseudo boxes",
            runs,
            solid=(f"{pseudo}/precision",),
            dashed=(f"{pseudo}/recall",),
            note="Of the kept ones, at IoU 0.5. Solid: right ones of the kept. Dashed: found ones of the true.",
        ),
        share_chart(
            "Teacher and student",
            runs,
            solid=("val/F1_teacher",),
            dashed=("val/F1_student",),
            note="F1 of boxes of at least 0.5 on a few validation images. Solid: teacher. Dashed: student.",
        ),
        line_chart(
            "Kept pseudo boxes an image",
            run_lines(runs, f"{pseudo}/per_image"),
            note="Boxes that are sure enough of their class.",
        ),
        share_chart(
            "Jitter and reliability",
            runs,
            solid=(f"{pseudo}/still_share",),
            dashed=(f"{pseudo}/reliability",),
            note="Solid: share of the candidates that stay where they are when jittered. "
            "Dashed: mean reliability of background.",
        ),
    ]
    return [chart for chart in charts if chart is not None]


def kept_charts(runs: Sequence[BoxRun], legend: Legend) -> list[Chart]:
    """For each run with a teacher, the kept pseudo boxes of each class."""
    charts = []
    for run in runs:
        lines = [
            Line(f"{run.name}, {name}", color, run.log.points(f"train/pseudo_boxes/class_{label}"), label - 1)
            for label, (name, color) in enumerate(zip(legend.names, legend.hex_colors(), strict=True), 1)
        ]
        chart = line_chart(f"{run.name}: kept pseudo boxes an image", lines)
        charts += [] if chart is None else [chart]
    return charts


def pr_charts(runs: Sequence[BoxRun], legend: Legend) -> list[Chart]:
    """For each run, precision against recall of each class, at an overlap of 0.50 and (dashed) of 0.75."""
    charts = []
    for run in runs:
        lines = [
            line
            for label, (name, color) in enumerate(zip(legend.names, legend.hex_colors(), strict=True))
            if (curve := run.pr_curves.get(name))
            for line in _pr_lines(name, color, label, curve)
        ]
        chart = line_chart(
            f"{run.name}: precision and recall", lines, x_range=SHARES, y_range=SHARES, x_name="recall"
        )
        charts += [] if chart is None else [chart]
    return charts


def _pr_lines(name: str, color: str, mark: int, curve: Mapping[str, Sequence[float]]) -> list[Line]:
    lines = []
    for percent, dashed in ((50, False), (75, True)):
        points = [
            (recall, precision)
            for recall, precision in zip(curve["recall"], curve[f"precision_{percent}"], strict=True)
            if math.isfinite(precision)
        ]
        lines.append(Line(f"{name}, IoU 0.{percent}", color, points, mark, dashed))
    return lines
