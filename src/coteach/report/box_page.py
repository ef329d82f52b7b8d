"""Runs whose labels are boxes -> one HTML file that needs no other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from coteach import __version__
from coteach.legend import Color, Legend
from coteach.report import charts as chart_frame
from coteach.report.box_runs import (
    EXPLAINED,
    BoxRun,
    box_charts,
    box_sentence,
    box_table,
    kept_charts,
    pr_charts,
)
from coteach.report.comparison import RunStyle
from coteach.report.templating import environment


@dataclass(frozen=True, kw_only=True, slots=True)
class BoxReport:
    """What goes into the page.

    Args:
        title: its heading.
        runs: in the order of the table.
        legend: of the classes, label 1 first.
        signs: what the colours of pseudo boxes mean, in order.
        facts: (what, how it was), about the data and the measuring.
        warning: what makes the runs hard to compare; may be empty.
        command: how the page was asked for.
    """

    title: str
    runs: Sequence[BoxRun]
    legend: Legend
    signs: Sequence[tuple[str, Color]]
    facts: Sequence[tuple[str, str]]
    warning: str = ""
    command: str


def render_boxes(report: BoxReport) -> str:
    """The page as HTML. All text in it is escaped; it holds its pictures, and needs neither scripts nor a network."""
    columns, cells = box_table(report.runs, report.legend.names)
    styles = map(RunStyle.of, range(len(report.runs)))
    return (
        environment()
        .get_template("boxes.html")
        .render(
            report=report,
            runs=list(zip(report.runs, styles, cells, strict=True)),
            columns=columns,
            lead=box_sentence(report.runs),
            linked=False,
            explained=EXPLAINED,
            classes=list(zip(report.legend.names, report.legend.hex_colors(), strict=True)),
            signs=[(name, "#{:02x}{:02x}{:02x}".format(*color)) for name, color in report.signs],
            charts=box_charts(report.runs),
            kept=kept_charts(report.runs, report.legend),
            precision=pr_charts(report.runs, report.legend),
            frame=chart_frame,
            version=__version__,
        )
    )
