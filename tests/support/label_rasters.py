"""Label maps, images and source tables for tests, written with rasterio itself."""

from __future__ import annotations

import csv
import warnings
from pathlib import Path

import numpy as np
import rasterio
from rasterio import Affine
from rasterio.errors import NotGeoreferencedWarning

UTM = "EPSG:32617"
NORTH_UP = Affine(10, 0, 500000, 0, -10, 4000000)


def write_map(
    path: Path,
    codes: np.ndarray,
    *,
    transform: Affine | None = NORTH_UP,
    crs: str | None = UTM,
    nodata: float | None = None,
    valid: np.ndarray | None = None,
    **profile,
) -> Path:
    """A GeoTIFF of ``(h, w)`` or ``(bands, h, w)``."""
    bands = codes if codes.ndim == 3 else codes[None]
    path.parent.mkdir(parents=True, exist_ok=True)
    profile |= {"driver": "GTiff", "count": len(bands), "height": bands.shape[1], "width": bands.shape[2]}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with (
            rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True),
            rasterio.open(
                path, "w", dtype=bands.dtype, nodata=nodata, crs=crs, transform=transform, **profile
            ) as file,
        ):
            file.write(bands)
            if valid is not None:
                file.write_mask(valid)
    return path


def write_image(path: Path, height: int, width: int, **options) -> Path:
    """A one-band image; its values do not matter."""
    values = np.arange(height * width).reshape(height, width) % 251
    return write_map(path, values.astype(np.uint8), **options)


def two_class_scene(rng: np.random.Generator, size: int) -> tuple[np.ndarray, np.ndarray]:
    """``(h, w)`` codes 0 and 1, apart at a diagonal, and a noisy image whose second band is larger where it is 1."""
    truth = (np.indices((size, size)).sum(0) > rng.integers(size // 2, 3 * size // 2)).astype(np.uint8)
    image = np.stack([200 - 150 * truth, 50 + 150 * truth]) + rng.integers(-40, 40, (2, size, size))
    return truth, image.astype(np.uint8)


def two_class_tiles(folder: Path, *, count: int, size: int, seed: int = 5) -> Path:
    """A sources table of ``two_class_scene``s with their truth, and a mask and the maps a and b, where a fifth is wrong."""
    rng = np.random.default_rng(seed)
    rows = []
    for index in range(count):
        truth, image = two_class_scene(rng, size)
        row = {
            "tile_id": f"t{index}",
            "image_path": write_map(folder / f"image{index}.tif", image),
            "truth_path": write_map(folder / f"truth{index}.tif", truth),
        }
        for name in ("mask", "a", "b"):
            wrong = rng.random(truth.shape) < 0.2
            row[f"{name}_path"] = write_map(folder / f"{name}{index}.tif", np.where(wrong, 1 - truth, truth))
        rows.append(row)
    return write_sources(folder / "sources.csv", rows)


def read_band(path: Path) -> np.ndarray:
    with rasterio.open(path) as file:
        return file.read(1)


def write_sources(path: Path, rows: list[dict[str, object]]) -> Path:
    """A sources table."""
    with path.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))
