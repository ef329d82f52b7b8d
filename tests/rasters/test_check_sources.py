from __future__ import annotations

import os
import signal
from contextlib import contextmanager

import numpy as np
from label_rasters import write_image, write_map, write_sources

from coteach.rasters import check as check_module
from coteach.rasters.check import check_sources
from coteach.rasters.check_row import check_row
from coteach.rasters.findings import Finding, gather


def table_of(tmp_path, number):
    """Rows with nothing wrong."""
    codes = np.zeros((5, 6), np.uint8)
    source = write_map(tmp_path / "m.tif", codes, nodata=255)
    rows = [
        {"image_path": write_image(tmp_path / f"i{n}.tif", 5, 6).name, "mask_path": source.name}
        for n in range(number)
    ]
    return write_sources(tmp_path / "s.csv", rows)


def die_at_row_2(row, rules):
    if row.number == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return check_row(row, rules)


def test_a_process_that_dies_is_a_finding_about_its_row(tmp_path, monkeypatch):
    monkeypatch.setattr(check_module, "check_row", die_at_row_2)
    monkeypatch.setattr(check_module, "_FEW", 2)
    report = check_sources(table_of(tmp_path, 3), max_workers=2)
    ((row, tile_id, cause),) = [(one.row, one.tile_id, one.cause) for one in report.findings]
    assert (row, tile_id) == (2, "i1")
    assert cause.startswith("the process that looked at it was killed or crashed")


def test_progress_is_told_of_every_row(tmp_path):
    seen = []

    @contextmanager
    def progress(total, label):
        seen.append((total, label))
        yield lambda: seen.append("done")

    report = check_sources(table_of(tmp_path, 3), progress=progress)
    assert seen == [(3, "rows checked"), "done", "done", "done"]
    assert (report.findings, report.rows, report.source_keys) == ([], 3, ("mask_path",))


def about(severity, row, file, cause="c"):
    return Finding(severity=severity, row=row, column="x_path", file=file, cause=cause, remedy="r")


def test_gathering():
    found = [
        about("note", 1, "a.tif"),
        about("note", 2, "b.tif"),  # the same of another file: one thing to know
        about("error", 2, "a.tif"),
        about("error", 3, "a.tif"),  # the same of the same file: once
        about("error", 4, "b.tif"),
        about("error", 5, ""),
        about("error", 6, ""),  # of the rows themselves: each
        about("warning", 7, "a.tif"),
        about("error", 8, "a.tif", cause="other"),
    ]
    assert [(one.severity, one.row, further) for one, further in gather(found)] == [
        ("error", 2, 1), ("error", 4, 0), ("error", 5, 0), ("error", 6, 0), ("error", 8, 0),
        ("warning", 7, 0),
        ("note", 1, 1),
    ]  # fmt: skip


def test_a_fourth_band_that_counts_as_alpha_is_told(tmp_path):
    # GDAL's default for four bands of uint8: the fourth, near infrared as a rule, is alpha.
    table = table_of(tmp_path, 2)
    write_map(tmp_path / "i0.tif", np.ones((4, 5, 6), np.uint8))
    write_map(tmp_path / "i1.tif", np.ones((4, 5, 6), np.uint8), photometric="minisblack")
    findings = [one for one in check_sources(table).findings if "alpha" in one.cause]
    assert [(one.severity, one.tile_id) for one in findings] == [("warning", "i0")]
    assert "gdal_edit.py -colorinterp_4 undefined" in findings[0].remedy
