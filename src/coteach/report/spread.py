"""Dot charts: one row a variant, a dot a run, the mean and the standard deviation. ``templates/spread.svg`` draws them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import mean, stdev

from coteach.report.charts import nice_ticks, tick_text
from coteach.report.templating import environment

WIDTH, LEFT, RIGHT, TOP = 640.0, 150.0, 620.0, 14.0
ROW, FOOT = 26.0, 44.0  # height of a row, and of what stands below the last
_MARGIN = 0.02  # around the values, at least, in their unit


@dataclass(frozen=True, slots=True)
class DotRow:
    """A variant in the chart's coordinates.

    Args:
        label: its name.
        color: ``#rrggbb``.
        y: of its line.
        dots: x of each run.
        middle: x of the mean.
        ends: x of mean ± standard deviation; None for a single run.
        tooltip: the figures as text.
    """

    label: str
    color: str
    y: float
    dots: tuple[float, ...]
    middle: float
    ends: tuple[float, float] | None
    tooltip: str


@dataclass(frozen=True, slots=True)
class DotChart:
    """A chart that is ready to be drawn.

    Args:
        title: what is shown.
        height: of the drawing.
        ticks: (x coordinate, text).
        rows: from top to bottom.
    """

    title: str
    height: float
    ticks: tuple[tuple[float, str], ...]
    rows: tuple[DotRow, ...]


@dataclass(frozen=True, slots=True)
class Summary:
    """What a report says of all runs together.

    Args:
        heading: of the section.
        lead: what came out, in a sentence, at the head of the page.
        note: what the figures are.
        chart: the figure.
        tables: (caption, rows of column -> text).
    """

    heading: str
    lead: str
    note: str
    chart: DotChart
    tables: Sequence[tuple[str, Sequence[Mapping[str, str]]]]


def dot_chart(title: str, values: Mapping[str, Sequence[float]], colors: Sequence[str]) -> DotChart:
    """Lay out a chart.

    Args:
        title: what is shown.
        values: label -> the figure of each run; none of them empty.
        colors: one a label.

    Example:
        >>> chart = dot_chart("mIoU", {"E1": [0.4, 0.6], "E2": [0.5]}, ["#332288", "#cc6677"])
        >>> [row.label for row in chart.rows], chart.rows[0].middle == chart.rows[1].middle
        (['E1', 'E2'], True)
    """
    ranges = [_range(runs) for runs in values.values()]
    shown = [value for runs, ends in zip(values.values(), ranges, strict=True) for value in (*runs, *ends)]
    ticks = nice_ticks(min(shown) - _MARGIN, max(shown) + _MARGIN)

    def place(value: float) -> float:
        return LEFT + (value - ticks[0]) / (ticks[-1] - ticks[0]) * (RIGHT - LEFT)

    rows = []
    for index, ((label, runs), color, ends) in enumerate(zip(values.items(), colors, ranges, strict=True)):
        middle = mean(runs)
        spread = f" ± {stdev(runs):.3f}, {len(runs)} runs" if len(runs) > 1 else ", 1 run"
        rows.append(
            DotRow(
                label=label,
                color=color,
                y=TOP + (index + 0.5) * ROW,
                dots=tuple(map(place, runs)),
                middle=place(middle),
                ends=(place(ends[0]), place(ends[1])) if len(runs) > 1 else None,
                tooltip=f"{label}: {middle:.3f}{spread}",
            )
        )
    return DotChart(
        title=title,
        height=TOP + len(rows) * ROW + FOOT,
        ticks=tuple((place(tick), tick_text(tick, ticks)) for tick in ticks),
        rows=tuple(rows),
    )


def draw_dots(chart: DotChart) -> str:
    """The chart as an SVG that stands by itself."""
    template = environment().get_template("spread.svg")
    drawn: str = template.module.dots(chart)  # type: ignore[attr-defined]  # a macro of the template
    return drawn


def _range(runs: Sequence[float]) -> tuple[float, float]:
    deviation = stdev(runs) if len(runs) > 1 else 0.0
    return mean(runs) - deviation, mean(runs) + deviation
