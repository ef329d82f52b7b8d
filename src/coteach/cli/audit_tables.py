"""What ``coteach audit`` writes of images to be corrected and trained on again: ``labels.csv`` and ``labels.npz``."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from coteach.errors import InputError
from coteach.files import whole_file, write_json, write_text

if TYPE_CHECKING:
    from coteach.report.label_audit import LabelAudit

TABLE = "labels.csv"
ARRAYS = "labels.npz"
SUMMARY = "audit.json"
_CHECKSUMS = "labels_csv_sha256"


def refuse_edited(folder: Path) -> list[str]:
    """Refuse to replace a table that somebody has corrected.

    Args:
        folder: of an audit.

    Returns:
        The checksum of the table that is there; nothing if there is none.

    Raises:
        InputError: the table is there, and not as the audit wrote it.
    """
    table = folder / TABLE
    if not table.is_file():
        return []
    found = _checksum(table.read_bytes())
    if found not in _known(folder):
        cause = "is not as the last audit wrote it, and would be replaced"
        remedy = "move it if it was corrected by hand, else delete it, or give another --output-dir"
        raise InputError(str(table), cause, remedy)
    return [found]


def write_tables(
    folder: Path,
    found: LabelAudit,
    dataset: Any,
    names: Sequence[str],
    facts: dict[str, Any],
) -> None:
    """Write both tables, and the summary.

    Args:
        folder: where to.
        found: the audit.
        dataset: what the run was trained on; the table is in its words, the classes by its names or by number.
        names: of the classes, for the summary.
        facts: what else goes into the summary.

    Raises:
        InputError: a table that is there was corrected by hand; nothing is written then.
    """
    from coteach.data.image_set import ImageSet

    if isinstance(dataset, ImageSet):  # the history knows those labels only that a network has seen
        found = replace(found, given=np.where(found.given < 0, dataset.labels.hard(), found.given))
    own = list(getattr(dataset, "class_names", None) or ())
    count = len(found.quality.transition)
    words = own if len(own) == count else [str(code) for code in range(count)]
    text = found.table(words, paths_of(dataset))
    # that of the table which is there as well: an audit that is killed before it replaces it leaves one that is known
    checksums = [_checksum(text.encode()), *refuse_edited(folder)]
    write_json(folder / SUMMARY, found.summary(names) | facts | {_CHECKSUMS: checksums})
    write_text(folder / TABLE, text)
    with whole_file(folder / ARRAYS) as partial, partial.open("wb") as stream:
        np.savez_compressed(stream, **_arrays(found, dataset))


def paths_of(dataset: Any) -> dict[int, str]:
    """Id -> absolute path, of images that are files; links are not followed."""
    return {item: str(Path(path).absolute()) for item, path in enumerate(getattr(dataset, "paths", ()))}


def _arrays(found: LabelAudit, dataset: Any) -> dict[str, Any]:
    """One value an item; of arrays for each image, -1 and NaN for those that the set does not use."""
    from coteach.data.image_arrays import ArrayDataset

    values: dict[str, Any] = {
        "given": found.given,
        "suggested": found.corrected,
        "alternative": found.alternative,
        "p_wrong": found.p_wrong,
    }
    if not isinstance(dataset, ArrayDataset):
        return values
    whole = {}
    for name, of_used in values.items():
        whole[name] = np.full(dataset.total, np.nan if name == "p_wrong" else -1, of_used.dtype)
        whole[name][dataset.positions] = of_used
    return whole


def _known(folder: Path) -> list[str]:
    """Checksums of the tables that an audit wrote, or was about to write; none if nobody knows."""
    unknown = OSError, ValueError, KeyError, TypeError  # gone, damaged, or of an earlier version
    try:
        return list(json.loads((folder / SUMMARY).read_text(encoding="utf-8"))[_CHECKSUMS])
    except unknown:
        return []


def _checksum(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
