"""A project as a user of pytorch-segmentation-models-trainer has it: images, label maps, tables."""

import csv
import shutil
from pathlib import Path

import numpy as np
import rasterio
from label_rasters import rows_of, write_map, write_sources
from web_maps import web_map_of

from coteach import build_soft_labels
from coteach.cli.main import main

LEGACY = Path(__file__).parent / "legacy_configs"
_SPLITS = {"train": slice(0, 4), "val": slice(4, 5), "test": slice(5, 6)}
_LULC = ["mapbiomas_path", "esri_path"]


def coteach(*args) -> int:
    """Exit code of the command, run in this process."""
    try:
        main([str(arg) for arg in args])
    except SystemExit as end:
        return end.code or 0
    return 0


def make_project(folder: Path) -> Path:
    """A folder whose ``data`` has soft labels of six tiles of 32 pixels, split, and the tables of their sources."""
    data = folder / "data"
    (data / "splits").mkdir(parents=True)
    sources = [_write_tile(data, index) for index in range(6)]
    table = write_sources(data / "sources.csv", sources)
    for suffix, options in {"": {}, "_patches": {"patch_size": 16}}.items():
        report = build_soft_labels(
            table, data / f"soft{suffix}", 4, lulc_keys=_LULC, max_workers=1, **options
        )
        assert report.failures == ()
        rows = rows_of(report.manifest)
        for row in rows:
            row |= {
                key: str(report.manifest.parent / row[key])
                for key in row
                if key.endswith("_path") and row[key]
            }
        per_tile = len(rows) // 6
        for split, tiles in _SPLITS.items():
            part = rows[tiles.start * per_tile : tiles.stop * per_tile]
            _write_rows(data / "splits" / f"{split}{suffix}.csv", part)
    for split, tiles in _SPLITS.items():
        _write_rows(data / f"sources_{split}.csv", sources[tiles])
    _write_web_map(data)
    return folder


def _write_web_map(data: Path) -> None:
    """The first tile's images as MBTiles, and its maps where the configuration looks for them."""
    (data / "masks").mkdir()
    shutil.copy(data / "mask_0.tif", data / "masks" / "mask_0.tif")
    shutil.copy(data / "mask_1.tif", data / "masks" / "mask_1.tif")
    shutil.copy(data / "mapbiomas_0.tif", data / "mapbiomas.tif")
    with rasterio.open(data / "image_0.tif") as file:
        web_map_of(file, data / "tiles.mbtiles")


def _write_tile(folder: Path, index: int) -> dict[str, str]:
    """An image of three bands whose classes are quadrants, and three maps that disagree along a seam."""
    rng = np.random.default_rng(index)
    true = np.kron(rng.permutation(4).reshape(2, 2), np.ones((16, 16))).astype(np.uint8)
    image = (60 * true + rng.integers(0, 20, (3, 32, 32))).astype(np.uint8)
    maps = {"mask_path": true, "mapbiomas_path": np.roll(true, 2, 0), "esri_path": np.roll(true, 3, 1)}
    write_map(folder / f"image_{index}.tif", image)
    row = {"tile_id": f"tile_{index}", "image_path": f"image_{index}.tif"}
    for key, codes in maps.items():
        row[key] = f"{key[:-5]}_{index}.tif"
        write_map(folder / row[key], codes)
    return row


def _write_rows(path: Path, rows: list[dict[str, str]]) -> None:
    with path.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
