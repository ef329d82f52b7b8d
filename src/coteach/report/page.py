"""Everything that was measured and drawn -> one HTML file that needs no other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from coteach import __version__
from coteach.legend import Legend
from coteach.report import charts as chart_frame
from coteach.report.comparison import (
    MeasuredRun,
    RunStyle,
    best_sentence,
    comparison,
)
from coteach.report.curves import run_charts, selection_charts
from coteach.report.figure_sets import MAPS, FigureSet
from coteach.report.pictures import RAMP
from coteach.report.spread import Summary
from coteach.report.templating import environment
from coteach.report.views import RIGHT, WRONG, ImageView


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """What goes into the page.

    Args:
        title: its heading.
        runs: in the order of the table.
        legend: of the classes.
        views: of the images.
        facts: (what, how it was), about the data and the measuring.
        remark: a sentence or two about the comparison; may be empty.
        warning: what makes the runs hard to compare; may be empty.
        images: how many images the data set has.
        command: how the page was asked for.
        summary: of several runs of each variant; None if there is none.
        figure_set: which figures are shown.
    """

    title: str
    runs: Sequence[MeasuredRun]
    legend: Legend
    views: Sequence[ImageView]
    facts: Sequence[tuple[str, str]]
    remark: str = ""
    warning: str = ""
    images: int
    command: str
    summary: Summary | None = None
    figure_set: FigureSet = MAPS


def render(report: Report) -> str:
    """The page as HTML. All text in it is escaped; it holds its pictures, and needs neither scripts nor a network."""
    columns, cells = comparison(report.runs, report.legend.names, report.figure_set)
    return (
        environment()
        .get_template("report.html")
        .render(
            report=report,
            runs=list(zip(report.runs, map(RunStyle.of, range(len(report.runs))), cells, strict=True)),
            columns=columns,
            best=best_sentence(report.runs, report.figure_set)
            if report.summary is None
            else report.summary.lead,
            classes=list(zip(report.legend.names, report.legend.hex_colors(), strict=True)),
            charts=run_charts(report.runs, report.figure_set),
            selection=selection_charts(report.runs, report.legend),
            linked=True,
            explained=report.figure_set.explained,
            frame=chart_frame,
            ramp=RAMP,
            right="#{:02x}{:02x}{:02x}".format(*RIGHT),
            wrong="#{:02x}{:02x}{:02x}".format(*WRONG),
            version=__version__,
        )
    )
