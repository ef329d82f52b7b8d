"""What is wrong with one label map of a row: the file, how it lies over the image, and its codes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from rasterio.crs import CRS
from rasterio.enums import MaskFlags
from rasterio.io import DatasetReader

from coteach.errors import RasterError
from coteach.rasters.code_meaning import CodeMeaning
from coteach.rasters.codes import sample_codes
from coteach.rasters.dataset import opened
from coteach.rasters.findings import Finding, Severity
from coteach.rasters.grid import Grid
from coteach.rasters.overlap import coverage, pixel_ratio
from coteach.rasters.rules import broken_rules, label_map_rules
from coteach.rasters.sources import Row

_LISTED = 8  # codes named in a finding
_OTHER_RESOLUTION = 1.5  # times coarser or finer
_ANY_CODE = 32767  # the most classes that codes are looked up for


@dataclass(frozen=True, slots=True, kw_only=True)
class RowRules:
    """What a row is held against.

    Args:
        image_key: column of the image.
        patch_size: side in pixels that every image must have room for; None for any size.
        codes: whether a sample of the codes is judged.
        num_classes: C; None if any code may be a class.
        ignore_codes: codes that are no class, and are known to mean no vote.
        legends: column -> code -> class, for maps whose codes are no classes.
    """

    image_key: str
    patch_size: int | None = None
    codes: bool = True
    num_classes: int | None = None
    ignore_codes: tuple[int, ...] = ()
    legends: Mapping[str, Mapping[int, int]] = field(default_factory=dict)


def source_findings(row: Row, key: str, path: Path, image: Grid | None, rules: RowRules) -> Iterator[Finding]:
    """What is wrong with a label map, or worth knowing about it; nothing is raised.

    Args:
        row: the row that names it.
        key: its column.
        path: its file.
        image: the image's grid; None if that cannot be told.
        rules: what it is held against.
    """
    try:
        with opened(path) as dataset:
            broken = broken_rules(dataset, label_map_rules())
            yield from (broken_finding(row, key, error) for error in broken)
            if _declares_no_nodata(dataset):
                cause = "declares no NoData: every one of its pixels votes"
                remedy = "declare it if some code means unknown (gdal_edit.py -a_nodata …)"
                yield row_finding(row, "note", key, path, cause, remedy)
            label_map = grid_of(dataset)
            if image is None or label_map is None:
                return
            yield from _place_findings(row, key, path, image, label_map)
            if rules.codes and not broken:
                yield from _code_findings(row, key, path, dataset, image, rules)
    except RasterError as error:
        yield broken_finding(row, key, error)


def _place_findings(row: Row, key: str, path: Path, image: Grid, label_map: Grid) -> Iterator[Finding]:
    """How the map lies over the image.

    Raises:
        RasterError: it does not.
    """
    share = coverage(path, image, label_map)
    if share < 1:
        cause = f"covers {_percent(share)} of the image; elsewhere it does not vote"
        yield row_finding(
            row, "warning", key, path, cause, "give a raster that covers the image, if there is one"
        )
    if image.crs.to_wkt() != label_map.crs.to_wkt():  # rasterio's == takes some that differ for the same
        cause = f"has another CRS ({_crs_name(label_map.crs)}) than the image ({_crs_name(image.crs)})"
        remedy = "nothing needs doing: the image's pixels are looked up in it"
        yield row_finding(row, "note", key, path, cause, remedy)
    ratio = pixel_ratio(image, label_map)
    if ratio > _OTHER_RESOLUTION or ratio < 1 / _OTHER_RESOLUTION:
        side = abs(image.transform.determinant) ** 0.5
        unit = _unit(image.crs)
        cause = f"has pixels of {side * ratio:.4g} {unit}, those of the image have {side:.4g} {unit}"
        remedy = "nothing needs doing: each pixel of the image takes the code at its centre"
        yield row_finding(row, "note", key, path, cause, remedy)


def _code_findings(
    row: Row, key: str, path: Path, dataset: DatasetReader, image: Grid, rules: RowRules
) -> Iterator[Finding]:
    """What a sample of its codes tells.

    Raises:
        RasterError: they are no whole numbers.
    """
    if rules.num_classes is None:
        if np.dtype(dataset.dtypes[0]).kind == "f":
            sample_codes(path, dataset, image, CodeMeaning(_ANY_CODE))
        return
    num_classes, legend = rules.num_classes, rules.legends.get(key)
    votes, unknown = sample_codes(path, dataset, image, CodeMeaning(num_classes, legend))
    strange = Counter({code: count for code, count in unknown.items() if code not in rules.ignore_codes})
    if not strange:
        return
    total = votes + sum(unknown.values())
    listed = ", ".join(f"{code} ({_percent(count / total)})" for code, count in strange.most_common(_LISTED))
    listed += ", …" if len(strange) > _LISTED else ""
    if legend is not None:
        cause = f"holds codes that its legend lacks; in a sample: {listed}"
        remedy = f"add them to the legend (--legend {key}=…), as a class or as ignore"
        yield row_finding(row, "error", key, path, cause, remedy)
    elif votes:
        cause = f"holds codes other than 0 to {num_classes - 1}, which do not vote; in a sample: {listed}"
        remedy = "recode them, or name them with --ignore-code if they mean no vote"
        yield row_finding(row, "warning", key, path, cause, remedy)
    else:
        cause = f"holds no class, 0 to {num_classes - 1}, in a sample, but {listed}"
        yield row_finding(row, "error", key, path, cause, f"recode it to 0 to {num_classes - 1}")


def _declares_no_nodata(dataset: DatasetReader) -> bool:
    return dataset.nodata is None and MaskFlags.all_valid in dataset.mask_flag_enums[0]


def grid_of(dataset: DatasetReader) -> Grid | None:
    """Where a raster lies; None if it does not say so."""
    try:
        return Grid.of_dataset(dataset)
    except RasterError:
        return None


def _crs_name(crs: CRS) -> str:
    """The name of a CRS as its definition has it, and its code where one is known."""
    wkt, code = crs.to_wkt(), crs.to_authority()
    name = wkt.split('"')[1] if '"' in wkt else "unnamed"
    return name if code is None else f"{name}, {':'.join(code)}"


def _unit(crs: CRS) -> str:
    units = {"metre": "m", "unknown": "units"}
    return "degrees" if crs.is_geographic else units.get(crs.linear_units, crs.linear_units)


def _percent(share: float) -> str:
    """A share in words that say neither 0 % nor 100 % of what is more or less."""
    if share < 0.01:
        return "less than 1 %"
    return "more than 99 %" if 0.99 < share < 1 else f"{share:.0%}".replace("%", " %")


def broken_finding(row: Row, key: str, error: RasterError) -> Finding:
    """The finding that an error about a file is."""
    return row_finding(row, "error", key, error.thing, error.cause, error.remedy)


def row_finding(
    row: Row, severity: Severity, column: str, file: str | Path, cause: str, remedy: str
) -> Finding:
    """A finding about a row."""
    return Finding(
        severity=severity,
        row=row.number,
        tile_id=row.tile_id,
        column=column,
        file=str(file),
        cause=cause,
        remedy=remedy,
    )
