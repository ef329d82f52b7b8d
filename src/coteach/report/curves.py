"""The training logs of runs as charts."""

from __future__ import annotations

from collections.abc import Sequence

from coteach.legend import Legend
from coteach.report.charts import SHARES, Chart, Line, line_chart
from coteach.report.comparison import LoggedRun, MeasuredRun, RunStyle
from coteach.report.figure_sets import MAPS, FigureSet

_NETWORKS = ("a", "b")  # of methods that select


def run_charts(runs: Sequence[MeasuredRun], figure_set: FigureSet = MAPS) -> list[Chart]:
    """Charts with a line or two for each run; those without data are left out.

    Args:
        runs: in the order that decides their colours.
        figure_set: its leading figure is shown.
    """
    two = "The loss of a method with two networks is the sum of both." if _mixed(runs) else ""
    charts = [
        line_chart("Training loss", run_lines(runs, "train/loss_epoch"), note=two),
        line_chart(
            "Validation loss", run_lines(runs, "val/loss"), note="Weighted by W_conf where a run uses it."
        ),
        line_chart(
            f"Validation {figure_set.leading}",
            run_lines(runs, f"val/{next(iter(figure_set.columns))}"),
            note="Against the labels of the validation set.",
        ),
        share_chart(
            "Retention and forget rate",
            runs,
            solid=("train/retention_rate",),
            dashed=("train/forget_rate",),
            note="Solid: share of the items that the curriculum admits. Dashed: share of them that is forgotten.",
        ),
        share_chart(
            "Agreement and overlap",
            runs,
            solid=("train/agreement",),
            dashed=("train/selection_overlap",),
            note="Solid: items to which both networks give the same class. Dashed: items selected by both, of those selected by either.",
        ),
        share_chart(
            "Label precision of the selection",
            runs,
            solid=tuple(f"train/label_precision/{n}" for n in _NETWORKS),
            dashed=tuple(f"train/label_recall/{n}" for n in _NETWORKS),
            note="Solid: right labels among those that a network selects. Dashed: selected ones among those that are right.",
        ),
    ]
    return [chart for chart in charts if chart is not None]


def selection_charts(runs: Sequence[MeasuredRun], legend: Legend) -> list[Chart]:
    """For each run that selects items, the share selected of each class."""
    charts = []
    for run in runs:
        lines = [
            Line(
                f"{run.name}, {name}",
                color,
                run.log.ratio(f"train/selected_share/{code}", f"train/labelled_share/{code}"),
                mark=code,
            )
            for code, (name, color) in enumerate(zip(legend.names, legend.hex_colors(), strict=True))
        ]
        chart = line_chart(f"{run.name}: selected share by class", lines, y_range=SHARES)
        charts += [] if chart is None else [chart]
    return charts


def share_chart(
    title: str, runs: Sequence[LoggedRun], *, solid: tuple[str, ...], dashed: tuple[str, ...], note: str
) -> Chart | None:
    """Two kinds of shares of each run on an axis from 0 to 1.

    Args:
        title: what is shown.
        runs: in the order that decides their colours.
        solid: figures of the log, in [0, 1], drawn as solid lines.
        dashed: the same, drawn as dashed lines above them.
        note: which is which.

    Returns:
        The chart; None if no run logged any of the figures.
    """
    lines = [line for figure in solid for line in run_lines(runs, figure)]
    lines += [line for figure in dashed for line in run_lines(runs, figure, dashed=True)]
    return line_chart(title, lines, y_range=SHARES, note=note)


def run_lines(runs: Sequence[LoggedRun], figure: str, *, dashed: bool = False) -> list[Line]:
    """A figure of the log as a line for each run."""
    styles = [RunStyle.of(index) for index in range(len(runs))]
    return [
        Line(f"{run.name}, {figure}", style.color, run.log.points(figure), style.mark, dashed)
        for run, style in zip(runs, styles, strict=True)
    ]


def _mixed(runs: Sequence[MeasuredRun]) -> bool:
    """Whether methods with one network stand beside methods with two."""
    return len({bool(run.log.points("train/agreement")) for run in runs}) > 1
