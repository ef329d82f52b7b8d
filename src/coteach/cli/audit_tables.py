"""What ``coteach audit`` writes of images to be corrected and trained on again: ``labels.csv`` and ``labels.npz``."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from coteach.errors import InputError

if TYPE_CHECKING:
    from coteach.report.audit import LabelAudit

TABLE = "labels.csv"
ARRAYS = "labels.npz"
CHECKSUM = "labels_csv_sha256"


def refuse_edited(folder: Path, summary: str) -> None:
    """Refuse to replace a table that somebody has corrected.

    Args:
        folder: of an audit.
        summary: its JSON file, which knows the table's checksum.

    Raises:
        InputError: the table is there, and not as the audit wrote it.
    """
    table = folder / TABLE
    if not table.is_file():
        return
    try:
        known = json.loads((folder / summary).read_text(encoding="utf-8")).get(CHECKSUM)
    except (OSError, ValueError, AttributeError):  # it is gone or damaged: nobody knows
        known = None
    if known != _checksum(table):
        cause = "is not as an audit wrote it, and would be replaced"
        raise InputError(
            str(table), cause, "move it, if it was corrected by hand, or give another --output-dir"
        )


def write_tables(
    folder: Path, found: LabelAudit, classes: Sequence[str] | None, paths: Mapping[int, str]
) -> dict[str, str]:
    """Write both.

    Args:
        folder: where to.
        found: the audit.
        classes: names by which the training set knows its classes; None if it knows them by number.
        paths: id -> file, of items that are one.

    Returns:
        The table's checksum, for the summary.
    """
    words = [str(code) for code in range(len(found.quality.transition))] if classes is None else classes
    found.write(folder / TABLE, words, paths)
    found.write_arrays(folder / ARRAYS)
    return {CHECKSUM: _checksum(folder / TABLE)}


def _checksum(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
