"""What is said at the end of ``coteach build-soft-labels``."""

from __future__ import annotations

from collections.abc import Container, Mapping
from pathlib import Path

from coteach.cli.incomplete import incomplete
from coteach.cli.output import detail, print_failures, say, warn
from coteach.errors import IncompleteError
from coteach.rasters.manifest import BuildReport
from coteach.rasters.needs import Needs

_LISTED = 8  # codes listed
_MIB, _MUCH = 1 << 20, 1 << 30  # bytes


def print_needs(needs: Needs) -> None:
    """Say what the largest tile takes: always if that is much, else for ``--verbose``."""
    if not needs.tile_id:
        return
    text = f"needed a worker, for {needs.tile_id}: about {needs.memory / _MIB:.0f} MiB of memory"
    if needs.disk:
        text += f", and {needs.disk / _MIB:.0f} MiB of disk in the output folder while it is worked on"
    (say if needs.disk or needs.memory > _MUCH else detail)(text)


def print_report(report: BuildReport, listed: Container[str]) -> None:
    """Print what was done, what was not used, and what failed.

    Args:
        report: of the build.
        listed: ids of tiles of which an error is printed already.
    """
    _print_tiles(report)
    _print_summary(report)
    if report.unused:
        warn(f"not used: {', '.join(report.unused)}; a label map votes if its column is a --lulc-key")
    print_failures([error for tile_id, error in report.failures if tile_id not in listed])


def _print_tiles(report: BuildReport) -> None:
    """What became of each tile, for ``--verbose``."""
    for tile_id in report.built:
        detail(f"{tile_id}: built")
    for tile_id in report.up_to_date:
        detail(f"{tile_id}: up to date")
    for tile_id, _ in report.failures:
        detail(f"{tile_id or 'a row without an id'}: failed")


def _print_summary(report: BuildReport) -> None:
    counts = f"{len(report.built)} built, {len(report.up_to_date)} up to date, {len(report.failures)} failed"
    say(f"tiles: {counts}: {report.manifest}")
    if report.pixels:
        voted = report.pixels - report.no_vote
        say(f"pixels without a vote: {report.no_vote / report.pixels:.2%}")
        if report.no_embedding is not None:
            say(f"without an embedding: {report.no_embedding:.2%} of pixels with a vote")
        say(f"ties, given to the lowest code: {report.ties / max(voted, 1):.2%} of pixels with a vote")


def check_complete(sources: Path, report: BuildReport, num_classes: int) -> None:
    """End the command with an error unless all tiles are there and all codes are accounted for.

    Raises:
        IncompleteError: they are not.
    """
    codes = codes_in_words(report.unknown, num_classes)
    if report.failures:
        if codes:
            warn(codes)
        count = len(report.built) + len(report.up_to_date) + len(report.failures)
        raise incomplete(sources, len(report.failures), count, "tiles", report.manifest)
    if codes:
        remedy = "recode them, or name those that mean no vote with --ignore-code; all tiles are built"
        raise IncompleteError(str(sources), codes, remedy)


def codes_in_words(unknown: Mapping[str, Mapping[int, int]], num_classes: int) -> str:
    """The unknown codes of all columns; empty if there are none.

    Args:
        unknown: column -> code -> pixels.
        num_classes: C.
    """
    return "; ".join(_listed(key, found, num_classes) for key, found in unknown.items())


def _listed(key: str, codes: Mapping[int, int], num_classes: int) -> str:
    """The unknown codes of a column in words, the most frequent first."""
    most = sorted(codes.items(), key=lambda item: (-item[1], item[0]))[:_LISTED]
    listed = ", ".join(f"{code} ({count} pixel{'s' * (count != 1)})" for code, count in most)
    more = ", …" if len(codes) > _LISTED else ""
    return f"{key} holds codes other than 0 to {num_classes - 1}, which did not vote: {listed}{more}"
