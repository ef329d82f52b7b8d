"""Preflight of a sources table: everything that is wrong with it, at once and in seconds."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from typing import NamedTuple

from coteach.errors import TableError
from coteach.labels.votes import check_num_classes
from coteach.rasters.check_row import RowCheck, check_row, died
from coteach.rasters.check_source import RowRules, row_finding
from coteach.rasters.findings import Finding
from coteach.rasters.options import check_columns, check_ignored, check_size, check_workers
from coteach.rasters.pool import Progress, run_tasks, silent
from coteach.rasters.sources import Row, no_rows, read_rows, unused_columns
from coteach.tables import Table, read_table

MASK = "mask_path"
_FEW = 64  # rows that are looked at sooner than processes start


class CheckReport(NamedTuple):
    """What :func:`check_sources` found.

    Args:
        findings: about the table first, then in the order of rows.
        rows: how many were looked at.
        source_keys: columns of the label maps.
    """

    findings: list[Finding]
    rows: int
    source_keys: tuple[str, ...]


def check_sources(
    sources_csv: str | os.PathLike[str],
    *,
    num_classes: int | None = None,
    image_key: str = "image_path",
    mask_key: str | None = None,
    use_mask: bool = True,
    lulc_keys: Sequence[str] = (),
    ignore_codes: Sequence[int] = (),
    legends: Mapping[str, Mapping[int, int]] | None = None,
    patch_size: int | None = None,
    max_workers: int = 4,
    progress: Progress | None = None,
) -> CheckReport:
    """Look for everything that would stop a build of soft labels, or make it other than wanted. Nothing is written.

    Args:
        sources_csv: as :func:`coteach.build_soft_labels` takes it.
        num_classes: C, to judge a sample of the codes; None judges only whether they are whole numbers.
        image_key: column of the image.
        mask_key: column of the mask, which must be there; None takes ``mask_path`` if it is there.
        use_mask: False leaves the mask out.
        lulc_keys: columns of the other label maps; all other columns whose names end in ``_path`` if empty.
        ignore_codes: codes that are no class, and are known to mean no vote.
        legends: column -> code -> class, or -1 for no vote, for maps whose codes are no classes.
        patch_size: side in pixels that every image must have room for.
        max_workers: processes; only for many rows.
        progress: called with the number of rows and a label, a context manager that gives what to call after each.

    Returns:
        What was found.

    Raises:
        OptionError: an option is out of range, or a column has two uses.

    Example:
        >>> check_sources("sources.csv", num_classes=4).findings  # doctest: +SKIP
        []
    """
    if num_classes is not None:
        check_num_classes(num_classes)
        check_ignored(ignore_codes, num_classes)
    check_size("patch_size", patch_size)
    check_workers(max_workers)
    rules = RowRules(
        image_key=image_key,
        patch_size=patch_size,
        num_classes=num_classes,
        legends=legends or {},
        ignore_codes=tuple(ignore_codes),
    )
    try:
        table = read_table(sources_csv)
    except TableError as error:
        return CheckReport([Finding.of_error(error)], 0, ())
    wanted = _source_keys(table, image_key, mask_key, lulc_keys, use_mask=use_mask)
    check_columns(image_key, wanted)
    findings = _column_findings(table, image_key, wanted)
    keys = tuple(key for key in wanted if key in table.columns)
    if image_key not in table.columns or not keys or not table.rows:
        return CheckReport(findings, 0, keys)
    findings += check_rows(read_rows(table, image_key, keys), rules, max_workers, progress)
    return CheckReport(findings, len(table.rows), keys)


def check_rows(
    rows: Sequence[Row], rules: RowRules, max_workers: int, progress: Progress | None = None
) -> list[Finding]:
    """What is wrong with rows and their files.

    Args:
        rows: of one table.
        rules: what they are held against.
        max_workers: processes; few rows are looked at in this one.
        progress: as for :func:`check_sources`.

    Returns:
        The findings in the order of rows.
    """
    checks = []
    workers = max_workers if len(rows) >= _FEW else 1
    with (progress or silent)(len(rows), "rows checked") as advance:
        for check in run_tasks(partial(check_row, rules=rules), rows, workers, died):
            checks.append(check)
            advance()
    checks.sort(key=lambda check: check.row.number)
    between = _same_images(checks, rules.image_key) + _other_bands(checks, rules.image_key)
    findings = [finding for check in checks for finding in check.findings] + between
    return sorted(findings, key=lambda finding: finding.row or 0)


def _source_keys(
    table: Table, image_key: str, mask_key: str | None, lulc_keys: Sequence[str], *, use_mask: bool
) -> tuple[str, ...]:
    """The columns that vote, the mask's first."""
    mask = mask_key or MASK
    others = tuple(lulc_keys) or tuple(unused_columns(table, image_key, (mask,)))
    with_mask = use_mask and (mask_key is not None or (mask in table.columns and mask not in others))
    return (mask, *others) if with_mask else others


def _column_findings(table: Table, image_key: str, source_keys: Sequence[str]) -> list[Finding]:
    """What is wrong with the table as a whole."""
    findings = []
    for key in (image_key, *source_keys):
        try:
            table.require(key)
        except TableError as error:
            findings.append(Finding.of_error(error, column=key))
    if not source_keys:
        cause, remedy = "has no column of a label map (…_path)", "add one, or name it (--lulc-key)"
        findings.append(Finding(severity="error", file=str(table.path), cause=cause, remedy=remedy))
    if not table.rows:
        findings.append(Finding.of_error(no_rows(table)))
    findings += [
        Finding(
            severity="note",
            column=name,
            file=str(table.path),
            cause=f"the column {name!r} is not used",
            remedy="name it (--lulc-key) if it is a label map",
        )
        for name in unused_columns(table, image_key, source_keys)
    ]
    return findings


def _same_images(checks: Sequence[RowCheck], image_key: str) -> list[Finding]:
    """Images that have several names."""
    first: dict[str, Row] = {}
    findings = []
    for check in checks:
        if check.bands is None:
            continue
        row = check.row
        earlier = first.setdefault(os.path.realpath(str(row.image)), row)
        if earlier.tile_id.casefold() != row.tile_id.casefold():
            cause = f"is the image of row {earlier.number} ({earlier.tile_id}) already"
            remedy = "drop one of the rows, lest the image count twice"
            findings.append(row_finding(row, "warning", image_key, str(row.image), cause, remedy))
    return findings


def _other_bands(checks: Sequence[RowCheck], image_key: str) -> list[Finding]:
    """Images with another number of bands than most have."""
    counts = Counter(check.bands for check in checks if check.bands is not None)
    if len(counts) < 2:
        return []
    usual = counts.most_common(1)[0][0]
    remedy = "give images of the same bands: a network takes one number of them"
    return [
        row_finding(
            check.row,
            "warning",
            image_key,
            str(check.row.image),
            f"has another number of bands ({check.bands}) than most of the images ({usual})",
            remedy,
        )
        for check in checks
        if check.bands not in {None, usual}
    ]
