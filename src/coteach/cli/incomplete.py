"""How a command ends that did all of its work but some."""

from __future__ import annotations

from pathlib import Path

from coteach.errors import IncompleteError


def incomplete(where: Path, failed: int, total: int, things: str, table: Path) -> IncompleteError:
    """The error to raise when some of the things failed and the others are done.

    Args:
        where: what was worked on, or the folder of the results.
        failed: how many failed.
        total: of how many.
        things: their name, plural.
        table: of the results; ``failures.csv`` is beside it.
    """
    return IncompleteError(
        str(where),
        f"{failed} of {total} {things} failed",
        f"correct what {table.with_name('failures.csv')} lists and run it again; the rest is kept",
    )
