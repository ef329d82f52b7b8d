from __future__ import annotations

import numpy as np
import rasterio
from label_rasters import NORTH_UP, UTM, write_image, write_map, write_sources

from coteach.rasters.build import build_soft_labels
from coteach.rasters.needs import most_needed
from coteach.rasters.options import BuildOptions
from coteach.rasters.sources import Tile


def empty_image(path, height, width):
    """A sparse file: nothing of its pixels is written."""
    profile = {"driver": "GTiff", "count": 1, "dtype": "uint8", "crs": UTM, "transform": NORTH_UP}
    with rasterio.open(path, "w", height=height, width=width, sparse_ok=True, tiled=True, **profile):
        pass
    return path


def test_scratch_of_a_large_tile(tmp_path):
    """Four sources of six classes have 7^4 patterns, 2 bytes; a distance has 4."""
    small, large = empty_image(tmp_path / "a.tif", 100, 100), empty_image(tmp_path / "b.tif", 20000, 20000)
    sources = dict.fromkeys(("mask_path", "a", "b", "c"), tmp_path / "none.tif")
    tiles = [Tile("a", small, sources), Tile("b", large, sources), Tile("c", tmp_path / "none.tif", sources)]
    plain = BuildOptions(num_classes=6, lulc_keys=("a", "b", "c"))
    argmax = BuildOptions(num_classes=6, lulc_keys=("a", "b", "c"), border_source="argmax")
    minmax = BuildOptions(num_classes=6, lulc_keys=("a", "b", "c"), entropy_norm="minmax")
    for options, disk in ((plain, 0), (minmax, 2 * 20000**2), (argmax, 6 * 20000**2)):
        needs = most_needed(tiles, options)
        assert (needs.tile_id, needs.disk) == ("b", disk)
        assert 400 << 20 < needs.memory < 1000 << 20  # as measured, docs/benchmarks/soft_labels.md
    assert most_needed(tiles[:1], argmax).disk == 0
    assert most_needed(tiles[2:], plain).tile_id == ""


def test_needs_are_told_before_anything_is_written(tmp_path):
    row = {"tile_id": "a", "image_path": write_image(tmp_path / "i.tif", 9, 9)}
    row["mask_path"] = write_map(tmp_path / "m.tif", np.zeros((9, 9), np.uint8))
    told = []

    def tell(needs):
        assert not (tmp_path / "out").exists()
        told.append(needs.tile_id)

    table = write_sources(tmp_path / "s.csv", [row])
    build_soft_labels(table, tmp_path / "out", 2, max_workers=1, tell_needs=tell)
    assert told == ["a"]


def test_progress_of_a_single_tile_is_told_block_by_block(tmp_path):
    row = {"tile_id": "a", "image_path": write_image(tmp_path / "i.tif", 1200, 30)}
    row["mask_path"] = write_map(tmp_path / "m.tif", np.zeros((1200, 30), np.uint8))
    steps, totals = [], []

    class Bar:
        def __init__(self, total, label):
            totals.append(total)

        def __enter__(self):
            return lambda n=1: steps.append(n)

        def __exit__(self, *error):
            return None

    table = write_sources(tmp_path / "s.csv", [row])
    for border_source in ("mask", "argmax"):
        steps.clear()
        out = tmp_path / border_source
        build_soft_labels(table, out, 2, max_workers=1, border_source=border_source, progress=Bar)
        assert sum(steps) == 100
        assert len([step for step in steps if step]) >= 3
    assert totals == [100, 100]
