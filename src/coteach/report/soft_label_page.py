"""What is known of a build of soft labels -> one HTML file that can be mailed."""

from __future__ import annotations

import math
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from coteach import __version__
from coteach.labels.patterns import PatternCounts
from coteach.legend import Legend
from coteach.report import charts as chart_frame
from coteach.report.comparison import figure_text
from coteach.report.pictures import RAMP
from coteach.report.soft_label_figures import Overview
from coteach.report.soft_label_histogram import entropy_histogram
from coteach.report.soft_label_pictures import PANELS
from coteach.report.templating import count_text, environment, percent_text

MOST_LISTED = 50  # tiles in the table; the CSV has all
_MOST_FAILURES = 100
_PACKAGES = ("numpy", "scipy", "rasterio")


@dataclass(frozen=True, slots=True)
class SummaryTile:
    """A tile that is done.

    Args:
        tile_id: its id.
        image: the image.
        p_soft: its P_soft file.
        w_conf: its W_conf file.
        patterns: how often the sources vote in which way; a column a source.
        no_embedding: share of the pixels with a vote that have no embedding; None if embeddings were not asked for.
    """

    tile_id: str
    image: Path
    p_soft: Path
    w_conf: Path
    patterns: PatternCounts
    no_embedding: float | None = None


@dataclass(frozen=True, slots=True)
class Look:
    """The thumbnail of a tile.

    Args:
        tile_id: of the tile.
        mean_entropy: in nats.
        file: the picture, as a link.
        uri: the thumbnail as a data URI; empty if there is none.
        trouble: why there is none.
    """

    tile_id: str
    mean_entropy: float
    file: str
    uri: str = ""
    trouble: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class SummaryPage:
    """What goes into the page.

    Args:
        tiles: the most disputed first, each with its figures.
        total: of all tiles; None if there is none.
        sources: their names.
        legend: of the classes.
        looks: thumbnails.
        pictures: tile_id -> link to its picture.
        failures: tile_id and error.
        command: how the soft labels were asked for.
        reliability: ``weights``, ``accuracy`` and ``confusion`` by source; None if they were not estimated.
        table: name of the CSV with the figures of all tiles.
    """

    tiles: Sequence[tuple[SummaryTile, Overview]]
    total: Overview | None
    sources: Sequence[str]
    legend: Legend
    looks: Sequence[Look]
    pictures: Mapping[str, str]
    failures: Sequence[tuple[str, str]]
    command: str
    reliability: Mapping[str, Any] | None
    table: str


def render_summary(page: SummaryPage) -> str:
    """The page as HTML: all text in it is escaped, and it needs neither scripts nor a network."""
    classes = list(zip(page.legend.names, page.legend.hex_colors(), strict=True))
    total = page.total
    return (
        environment()
        .get_template("soft_labels.html")
        .render(
            page=page,
            title=f"Soft labels of {_counted(len(page.tiles), 'tile')}",
            lead=_lead(page),
            facts=_facts(page),
            total=total,
            classes=classes,
            votes=[] if total is None else list(enumerate(total.by_votes / total.spread.pixels)),
            coverage=[] if total is None else list(zip(page.sources, total.coverage, strict=True)),
            bins=None if total is None else entropy_histogram(total.entropy_shares, len(classes)),
            highest=math.log(len(classes)),
            listed=[(tile, figures.spread) for tile, figures in page.tiles[:MOST_LISTED]],
            embeddings=_without_embedding(page) is not None,
            failed=page.failures[:_MOST_FAILURES],
            pictures=page.pictures,
            panels=PANELS,
            table=page.table,
            frame=chart_frame,
            ramp=RAMP,
            versions=", ".join(
                [f"coteach {__version__}", f"Python {platform.python_version()}"]
                + [f"{name} {version(name)}" for name in _PACKAGES]
            ),
            version=__version__,
        )
    )


def _lead(page: SummaryPage) -> str:
    if page.total is None:
        return "No tile could be made."
    spread = page.total.spread
    if not spread.voted:
        return "No source votes at any pixel."
    return (
        f"{percent_text(spread.voted / spread.pixels)} of the pixels have a vote; at {percent_text(spread.united_share)} "
        f"of these one class has all of P_soft. Mean entropy is {figure_text(spread.mean_entropy)} of at most "
        f"{figure_text(math.log(len(page.legend.names)))} nats."
    )


def _facts(page: SummaryPage) -> list[tuple[str, str]]:
    facts = [("tiles", count_text(len(page.tiles))), ("failed", count_text(len(page.failures)))]
    if page.total is not None:
        spread = page.total.spread
        facts += [
            ("pixels", count_text(spread.pixels)),
            ("without a vote", percent_text(spread.silent_share)),
            ("ties", percent_text(spread.tied_share)),
        ]
    without = _without_embedding(page)
    if without is not None:
        facts.append(("without an embedding", percent_text(without)))
    return [*facts, ("sources", str(len(page.sources))), ("classes", str(len(page.legend.names)))]


def _without_embedding(page: SummaryPage) -> float | None:
    """Share of the pixels with a vote, of those tiles that were to have embeddings; None if none was."""
    asked = [
        (figures.spread.voted, tile.no_embedding)
        for tile, figures in page.tiles
        if tile.no_embedding is not None
    ]
    if not asked:
        return None
    voted = sum(pixels for pixels, _ in asked)
    return sum(pixels * share for pixels, share in asked if pixels) / voted if voted else math.nan


def _counted(number: int, thing: str) -> str:
    return f"{count_text(number)} {thing}{'' if number == 1 else 's'}"
