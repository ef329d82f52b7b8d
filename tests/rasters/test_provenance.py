"""The sources of a soft label, read back from its build's record."""

from pathlib import Path

import numpy as np
from label_rasters import write_image, write_map, write_sources

from coteach import build_soft_labels
from coteach.rasters.provenance import recorded_sources


def test_the_sources_of_a_build_in_the_order_they_voted(tmp_path):
    codes = np.zeros((40, 40), np.uint8)
    row = {
        "tile_id": "t",
        "image_path": write_image(tmp_path / "image.tif", 40, 40),
        "b_path": write_map(tmp_path / "b.tif", codes),
        "mask_path": write_map(tmp_path / "mask.tif", codes),
        "a_path": write_map(tmp_path / "a.tif", codes),
    }
    table = write_sources(tmp_path / "sources.csv", [row])
    build_soft_labels(table, tmp_path / "out", 2, lulc_keys=["b_path", "a_path"], max_workers=1)
    moved = (tmp_path / "out").rename(tmp_path / "moved")
    found = recorded_sources(moved / "p_soft" / "t.tif")
    assert found == {key: row[key] for key in ("mask_path", "b_path", "a_path")}
    assert list(found) == ["mask_path", "b_path", "a_path"]


def test_without_a_record_or_with_a_damaged_one_there_are_none(tmp_path):
    assert recorded_sources(tmp_path / "p_soft" / "t.tif") == {}
    record = tmp_path / "fingerprints" / "t.json"
    record.parent.mkdir()
    for text in ("", "[]", "{}", '{"made_of": {"sources": 3}}', '{"made_of": {"sources": {"a": null}}}'):
        record.write_text(text)
        assert recorded_sources(tmp_path / "p_soft" / "t.tif") == {}
    record.write_text('{"made_of": {"sources": {"a": "x.tif"}}}')
    assert recorded_sources(tmp_path / "p_soft" / "t.tif") == {"a": Path("x.tif")}
