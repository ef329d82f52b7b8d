"""Line charts: data -> coordinates. ``templates/chart.svg`` draws them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 380.0, 230.0
LEFT, RIGHT, TOP, BOTTOM = 44.0, 368.0, 10.0, 190.0  # edges of the plot
SHARES = (0.0, 1.0)  # ends of an axis
_MOST_MARKS = 13
# relative SVG paths around a point: disc, square, triangle, diamond
MARKS = (
    "m-3 0a3 3 0 1 0 6 0a3 3 0 1 0-6 0z",
    "m-2.7-2.7h5.4v5.4h-5.4z",
    "m0-3.6l3.4 5.8h-6.8z",
    "m0-3.8l3.8 3.8-3.8 3.8-3.8-3.8z",
)


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a chart.

    Args:
        label: for its tooltips.
        color: ``#rrggbb``.
        points: (x, y), x rising.
        mark: which of ``MARKS``.
        dashed: tells a second figure of the same run from the first.
    """

    label: str
    color: str
    points: Sequence[tuple[float, float]]
    mark: int = 0
    dashed: bool = False


@dataclass(frozen=True, slots=True)
class Mark:
    """A point that is drawn: an SVG path, and what its tooltip says."""

    path: str
    tooltip: str


@dataclass(frozen=True, slots=True)
class Curve:
    """A line in the chart's coordinates; a ``pale`` one needs a darker edge on white."""

    label: str
    color: str
    path: str
    marks: tuple[Mark, ...]
    dashed: bool
    pale: bool


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart that is ready to be drawn.

    Args:
        title: what is shown.
        note: what else is to be said; may be empty.
        x_name: what x is.
        x_ticks: (x coordinate, text).
        y_ticks: (y coordinate, text).
        curves: the lines.
    """

    title: str
    note: str
    x_name: str
    x_ticks: tuple[tuple[float, str], ...]
    y_ticks: tuple[tuple[float, str], ...]
    curves: tuple[Curve, ...]


def line_chart(
    title: str,
    lines: Sequence[Line],
    *,
    x_range: tuple[float, float] | None = None,
    y_range: tuple[float, float] | None = None,
    x_name: str = "epoch",
    note: str = "",
) -> Chart | None:
    """Lay out a chart.

    Args:
        title: what is shown.
        lines: those without a point are left out.
        x_range: ends of the x axis; None goes by the data, in whole numbers.
        y_range: ends of the y axis; None goes by the data.
        x_name: see ``Chart``.
        note: see ``Chart``.

    Returns:
        The chart; None if no line has a point.
    """
    lines = [line for line in lines if line.points]
    if not lines:
        return None
    xs = [x for line in lines for x, _ in line.points]
    ys = [y for line in lines for _, y in line.points]
    x_ends = x_range or _apart(min(xs), max(xs))
    y_ticks = nice_ticks(*(y_range or _apart(min(ys), max(ys))))
    y_ends = y_range or (y_ticks[0], y_ticks[-1])
    x_ticks = [x for x in nice_ticks(*x_ends, count=6, whole=x_range is None) if x_ends[0] <= x <= x_ends[1]]
    return Chart(
        title=title,
        note=note,
        x_name=x_name,
        x_ticks=tuple((_place(x, x_ends, LEFT, RIGHT), f"{x:g}") for x in x_ticks),
        y_ticks=tuple((_place(y, y_ends, BOTTOM, TOP), tick_text(y, y_ticks)) for y in y_ticks),
        curves=tuple(_curve(line, x_name, x_ends, y_ends) for line in lines),
    )


def nice_ticks(low: float, high: float, *, count: int = 4, whole: bool = False) -> list[float]:
    """Round numbers a step of 1, 2 or 5 times a power of ten apart, from at most ``low`` to at least ``high``.

    Args:
        low: smallest value.
        high: largest value, above ``low``.
        count: about how many steps are wanted.
        whole: whole numbers only.

    Example:
        >>> nice_ticks(0.13, 0.48)
        [0.1, 0.2, 0.3, 0.4, 0.5]
    """
    rough = (high - low) / count
    power = 10.0 ** math.floor(math.log10(rough))
    step = min((power * factor for factor in (1, 2, 5, 10)), key=lambda step: abs(math.log(step / rough)))
    if whole:
        step = max(step, 1.0)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    digits = max(0, -math.floor(math.log10(step)))
    return [round(i * step, digits) for i in range(first, last + 1)]


def tick_text(value: float, ticks: Sequence[float]) -> str:
    """A tick with as many decimals as all of them need."""
    digits = max(len(f"{tick:.10g}".partition(".")[2]) for tick in ticks)
    return f"{value:.{digits}f}"


def is_pale(color: str) -> bool:
    """Whether a colour, ``#rrggbb``, is hard to see on white: less than 2 to 1 in contrast by WCAG's measure."""
    channels = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return 1.05 / (luminance + 0.05) < 2


def _curve(line: Line, x_name: str, x_ends: tuple[float, float], y_ends: tuple[float, float]) -> Curve:
    places = [
        f"{_place(x, x_ends, LEFT, RIGHT):.1f} {_place(y, y_ends, BOTTOM, TOP):.1f}" for x, y in line.points
    ]
    every = math.ceil(len(places) / _MOST_MARKS)
    shape = MARKS[line.mark % len(MARKS)]
    marks = tuple(
        Mark(f"M{places[i]}{shape}", f"{line.label}, {x_name} {line.points[i][0]:g}: {line.points[i][1]:.4g}")
        for i in range(len(places) - 1, -1, -every)
    )
    return Curve(
        line.label, line.color, "M" + "L".join(places), marks[::-1], line.dashed, is_pale(line.color)
    )


def _place(value: float, ends: tuple[float, float], start: float, stop: float) -> float:
    return start + (value - ends[0]) / (ends[1] - ends[0]) * (stop - start)


def _apart(low: float, high: float) -> tuple[float, float]:
    """Ends of an axis: a single value lies in the middle of it; what is not negative gets no axis below 0."""
    if high > low:
        return low, high
    return (low - 0.5 if low < 0 else max(low - 0.5, 0.0)), high + 0.5
