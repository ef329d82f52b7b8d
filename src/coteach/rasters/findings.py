"""What a check finds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple, get_args

from coteach.errors import CoteachError
from coteach.tables import write_table

Severity = Literal["error", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = get_args(Severity)  # worst first

_COLUMNS = ("severity", "row", "tile_id", "column", "file", "cause", "remedy")


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is wrong with a sources table, or worth knowing about it.

    Args:
        severity: ``"error"``: this tile, or the whole table, cannot be used; ``"warning"``: it can, but it may not be
            what is wanted; ``"note"``: it is as it may be.
        row: from 1; None if it concerns the table.
        tile_id: of the row; may be empty.
        column: where; empty if it is not one column.
        file: the table or raster; empty if it is neither.
        cause: what is wrong, with the offending value.
        remedy: what can be done about it.
    """

    severity: Severity
    row: int | None = None
    tile_id: str = ""
    column: str = ""
    file: str = ""
    cause: str
    remedy: str

    @classmethod
    def of_error(cls, error: CoteachError, *, column: str = "") -> Finding:
        """An error about a table."""
        return cls(severity="error", column=column, file=error.thing, cause=error.cause, remedy=error.remedy)


class Gathered(NamedTuple):
    """A finding, and in how many further rows it was made, too."""

    finding: Finding
    further: int


def gather(findings: Iterable[Finding]) -> list[Gathered]:
    """Make one of equal findings about one file, and of equal notes about any; the worst first.

    Args:
        findings: in the order of rows.
    """
    groups: dict[tuple[str, ...], list[Finding]] = {}
    for finding in findings:
        # a thousand maps without a declared NoData are one thing to know, a thousand missing files are not
        file = "" if finding.severity == "note" else finding.file or str(finding.row)
        key = (finding.severity, finding.column, file, finding.cause, finding.remedy)
        groups.setdefault(key, []).append(finding)
    gathered = [Gathered(group[0], len(group) - 1) for group in groups.values()]
    return sorted(gathered, key=lambda one: SEVERITIES.index(one.finding.severity))


def count_severities(findings: Iterable[Finding]) -> dict[Severity, int]:
    """How many there are of each severity."""
    counts: dict[Severity, int] = dict.fromkeys(SEVERITIES, 0)
    for finding in findings:
        counts[finding.severity] += 1
    return counts


def write_findings(path: Path, findings: Sequence[Finding]) -> None:
    """Write all findings as a CSV, whole or not at all.

    Args:
        path: the file; its folder exists.
        findings: one row each; the columns are the fields of :class:`Finding`.

    Raises:
        OSError: it cannot be written.
    """
    rows = [
        {name: "" if getattr(one, name) is None else str(getattr(one, name)) for name in _COLUMNS}
        for one in findings
    ]
    write_table(path, _COLUMNS, rows)
