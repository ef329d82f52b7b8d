"""Figures by epoch as an SVG that stands by itself, with a legend: for documentation and papers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from coteach.report import charts
from coteach.report.charts import Line, line_chart
from coteach.report.comparison import RunStyle
from coteach.report.templating import environment


def draw_by_epoch(
    title: str,
    values: Mapping[str, Sequence[float]],
    *,
    y_range: tuple[float, float] | None = None,
    note: str = "",
) -> str:
    """Draw a line a label.

    Args:
        title: what is shown.
        values: label -> a value for each epoch, in order; NaN is left out. A label without values is left out.
        y_range: ends of the y axis; None goes by the data.
        note: a line below the title; may be empty.

    Returns:
        The SVG; empty if there is nothing to draw.

    Example:
        >>> draw_by_epoch("label precision", {"co_teaching": [0.5, 0.8]}, y_range=(0.0, 1.0))[:4]
        '<svg'
    """
    styles = [RunStyle.of(index) for index in range(len(values))]
    lines = [
        Line(label, style.color, [(e + 1, y) for e, y in enumerate(own) if math.isfinite(y)], style.mark)
        for (label, own), style in zip(values.items(), styles, strict=True)
    ]
    chart = line_chart(title, lines, y_range=y_range, note=note)
    if chart is None:
        return ""
    template = environment().get_template("lines.svg")
    drawn: str = template.module.lines(chart, charts).strip()  # type: ignore[attr-defined]  # a macro of the template
    return drawn
