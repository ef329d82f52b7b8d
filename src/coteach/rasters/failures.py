"""The table of what failed, beside the outputs of what did not."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from coteach.tables import write_table

FAILURES = "failures.csv"


def write_failures(file: Path, failures: Sequence[tuple[str, str]], key: str = "tile_id") -> None:
    """Write key and error of what failed; remove an old file if nothing did."""
    if failures:
        write_table(file, (key, "error"), [{key: thing, "error": error} for thing, error in failures])
    else:
        file.unlink(missing_ok=True)
