"""Synthetic tiles for ``soft_labels.py``: a smooth truth and four land-cover maps that err in their own ways."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import rasterio
from rasterio import Affine
from scipy import ndimage

CLASSES = 6
MAPS = {"mask": (0, 0, 1, 0.1), "esa": (1, 1, 1, 0.15), "esri": (0, 2, 2, 0.2), "glc": (2, 0, 3, 0.3)}


def make_tiles(folder: Path, tiles: int, side: int) -> Path:
    """Write the rasters and ``sources.csv``, unless they are there; a tile is drawn from its number alone."""
    table = folder / "sources.csv"
    if table.is_file():
        return table
    folder.mkdir(parents=True, exist_ok=True)
    rows = [_make_tile(folder, number, side) for number in range(tiles)]
    with table.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return table


def _make_tile(folder: Path, number: int, side: int) -> dict[str, str]:
    rng = np.random.default_rng(number)
    truth = 0.7 * _smooth(side, 64, rng) + 0.3 * _smooth(side, 16, rng)
    profile = {
        "driver": "GTiff",
        "height": side,
        "width": side,
        "count": 1,
        "dtype": "uint8",
        "crs": "EPSG:32617",
        "transform": Affine(10, 0, 500000 + number * side * 10, 0, -10, 4000000),
        "tiled": True,
        "compress": "deflate",
    }
    row = {"tile_id": f"tile_{number}", "image_path": f"image_{number}.tif"}
    with rasterio.open(folder / row["image_path"], "w", **profile) as file:
        file.write((truth * 200 + 20).astype(np.uint8), 1)
    for name, (down, right, cell, noise) in MAPS.items():
        moved = np.roll(truth, (down, right), (0, 1))
        coarse = np.repeat(np.repeat(moved[::cell, ::cell], cell, 0), cell, 1)[:side, :side]
        coarse += noise * (_smooth(side, 32, rng) - np.float32(0.5))
        codes = np.clip((coarse - 0.2) / 0.6 * CLASSES, 0, CLASSES - 1).astype(np.uint8)
        row[f"{name}_path"] = f"{name}_{number}.tif"
        with rasterio.open(folder / row[f"{name}_path"], "w", nodata=255, **profile) as file:
            file.write(codes, 1)
    return row


def _smooth(side: int, cell: int, rng: np.random.Generator) -> np.ndarray:
    """Values in [0, 1] that change over about ``cell`` pixels."""
    coarse = rng.random((side // cell + 2, side // cell + 2), dtype=np.float32)
    return ndimage.zoom(coarse, cell, order=1)[:side, :side]
