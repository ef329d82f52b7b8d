"""The templates of the pages, and how numbers read in them."""

from __future__ import annotations

import math
from typing import SupportsInt

from jinja2 import Environment, PackageLoader, StrictUndefined

from coteach.report.comparison import figure_text

NOTHING = "n/a"


def environment() -> Environment:
    """Where the templates are found; all text that is put into them is escaped."""
    found = Environment(
        loader=PackageLoader("coteach.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters |= {"figure": figure_text, "count": count_text, "percent": percent_text}
    return found


def count_text(count: SupportsInt) -> str:
    """A number of things, its thousands apart by a narrow space that does not break."""
    return f"{int(count):,}".replace(",", "\u202f")


def percent_text(share: float) -> str:
    """A share in percent with one decimal; ``n/a`` for NaN. What is not quite nothing or all does not read so."""
    if math.isnan(share):
        return NOTHING
    if share in {0.0, 1.0}:
        return f"{100 * share:.0f}\u00a0%"
    if share < 0.001:
        return "<\u00a00.1\u00a0%"
    if share > 0.999:
        return ">\u00a099.9\u00a0%"
    return f"{100 * share:.1f}\u00a0%"
