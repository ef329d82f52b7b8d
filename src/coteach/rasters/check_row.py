"""What is wrong with one row of a sources table: its cells, its files, and how they lie over each other."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from rasterio.enums import ColorInterp
from rasterio.io import DatasetReader

from coteach.errors import RasterError
from coteach.rasters.check_source import RowRules, broken_finding, grid_of, row_finding, source_findings
from coteach.rasters.dataset import opened
from coteach.rasters.findings import Finding
from coteach.rasters.rules import broken_rules, image_rules
from coteach.rasters.sources import Row


class RowCheck(NamedTuple):
    """What was seen of a row.

    Args:
        row: the row.
        findings: in the order of its columns.
        bands: of its image; None if it cannot be opened.
    """

    row: Row
    findings: list[Finding]
    bands: int | None


def check_row(row: Row, rules: RowRules) -> RowCheck:
    """Look at a row and its files; nothing is raised."""
    findings = [
        row_finding(row, "error", fault.column, "", fault.error.cause, fault.error.remedy)
        for fault in row.faults
    ]
    grid, bands = None, None
    if row.image is not None:
        try:
            with opened(row.image) as dataset:
                bands = dataset.count
                broken = broken_rules(dataset, image_rules(rules.patch_size))
                grid = grid_of(dataset)
                findings += _alpha_finding(row, rules.image_key, dataset)
        except RasterError as error:
            broken = [error]
        findings += [broken_finding(row, rules.image_key, error) for error in broken]
    seen: dict[Path, str] = {}
    for key, path in row.sources.items():
        earlier = seen.setdefault(path, key)
        if earlier != key:
            cause = f"is the file of {earlier!r} already, so that it votes twice"
            findings.append(
                row_finding(
                    row, "warning", key, path, cause, "empty one of the two cells, or give its own file"
                )
            )
        findings += source_findings(row, key, path, grid, rules)
    return RowCheck(row, findings, bands)


def _alpha_finding(row: Row, key: str, dataset: DatasetReader) -> list[Finding]:
    """GDAL takes the last of four (or two) bands for alpha, unless the file says otherwise: near infrared, often."""
    alpha = [n for n, band in enumerate(dataset.colorinterp, start=1) if band == ColorInterp.alpha]
    if not alpha:
        return []
    cause = f"declares band {alpha[0]} as alpha, so that its zeros count as NoData"
    remedy = f"if it holds a measurement, take the mark away (gdal_edit.py -colorinterp_{alpha[0]} undefined)"
    return [row_finding(row, "warning", key, row.image or "", cause, remedy)]


def died(row: Row) -> RowCheck:
    """What is seen of a row whose process was killed."""
    cause = "the process that looked at it was killed or crashed, perhaps for want of memory"
    return RowCheck(row, [row_finding(row, "error", "", "", cause, "try fewer --max-workers")], None)
