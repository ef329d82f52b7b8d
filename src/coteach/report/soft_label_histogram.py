"""A histogram of entropy: shares -> coordinates. ``templates/histogram.svg`` draws them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from coteach.report.charts import BOTTOM, LEFT, RIGHT, TOP, nice_ticks, tick_text
from coteach.report.templating import percent_text


@dataclass(frozen=True, slots=True)
class Bar:
    """A bar in the chart's coordinates: its left edge, its top, its width, and what its tooltip says."""

    x: float
    y: float
    width: float
    tooltip: str


@dataclass(frozen=True, slots=True)
class Histogram:
    """A histogram that is ready to be drawn.

    Args:
        bars: from left to right.
        x_ticks: (x coordinate, text), in nats.
        y_ticks: (y coordinate, text), in percent.
    """

    bars: tuple[Bar, ...]
    x_ticks: tuple[tuple[float, str], ...]
    y_ticks: tuple[tuple[float, str], ...]


def entropy_histogram(shares: Float64[np.ndarray, " bins"], num_classes: int) -> Histogram | None:
    """Lay out the histogram.

    Args:
        shares: of the pixels, in equal bins from 0 to log C.
        num_classes: C.

    Returns:
        The histogram; None if there is no pixel in it.
    """
    if np.isnan(shares).any():
        return None
    highest = math.log(num_classes)
    ticks = nice_ticks(0, 100 * float(shares.max()))
    width = (RIGHT - LEFT) / len(shares)

    def y_of(percent: float) -> float:
        return BOTTOM - percent / ticks[-1] * (BOTTOM - TOP)

    bars = []
    for place, share in enumerate(shares.tolist()):
        low, high = (highest * edge / len(shares) for edge in (place, place + 1))
        tooltip = f"{low:.2f} to {high:.2f} nats: {percent_text(share)}"
        bars.append(Bar(LEFT + place * width, y_of(100 * share), width, tooltip))
    x_ticks = [tick for tick in nice_ticks(0, highest) if tick <= highest]
    return Histogram(
        tuple(bars),
        tuple((LEFT + tick / highest * (RIGHT - LEFT), tick_text(tick, x_ticks)) for tick in x_ticks),
        tuple((y_of(tick), tick_text(tick, ticks)) for tick in ticks),
    )
