"""What compare_existing.py gives to all packages: arrays, label maps, tables."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import rasterio
from rasterio import Affine


def write_raster(path: Path, values: np.ndarray, nodata: float | None = None) -> Path:
    bands = values if values.ndim == 3 else values[None]
    shape = {"count": bands.shape[0], "height": bands.shape[1], "width": bands.shape[2], "dtype": bands.dtype}
    place = {"crs": "EPSG:32617", "transform": Affine(10, 0, 500_000, 0, -10, 4_000_000)}
    with rasterio.open(path, "w", driver="GTiff", nodata=nodata, **shape, **place) as file:
        file.write(bands)
    return path


def write_rows(path: Path, rows: list[dict[str, object]]) -> Path:
    with path.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def make_arrays(folder: Path) -> None:
    """Logits of a small batch of images, and logits, votes and confidences of one map with 5 classes."""
    rng = np.random.default_rng(0)
    margin = rng.normal(size=100).astype(np.float32)
    mirrored = np.zeros(
        (200, 2), np.float32
    )  # items 2i of class 0 and 2i + 1 of class 1 are equally difficult
    mirrored[0::2, 0] = mirrored[1::2, 1] = margin
    np.savez(folder / "images.npz", logits=rng.normal(size=(64, 3)).astype(np.float32), mirrored=mirrored)
    shape = (1, 1, 128, 128)
    votes = rng.integers(0, 5, shape[2:])
    p_soft = np.where(votes[None, None] == np.arange(5)[None, :, None, None], 0.6, 0.1)
    column = np.array([0, -1, 1, 2, 3, 4, 1, 2])[np.arange(128) % 8]  # -1: nobody votes; as often as class 0
    gap = (column == np.arange(5)[:, None])[None, :, None, :].repeat(128, 2)
    np.savez(
        folder / "selection.npz",
        logits=rng.normal(size=(1, 5, 128, 128)).astype(np.float32),
        p_soft=p_soft.astype(np.float32),
        with_gap=gap.astype(np.float32),
        varied=rng.uniform(0.2, 1, shape).astype(np.float32),
        unanimous=np.where(rng.permutation(128 * 128).reshape(shape) < 0.7 * 128 * 128, 1, 0.6).astype(
            np.float32
        ),
        two_levels=(np.where(rng.random(shape) < 0.5, 0.5, 1.0) + rng.uniform(0, 1e-3, shape)).astype(
            np.float32
        ),
    )


def make_rasters(folder: Path) -> None:
    """Three tiles, the same with a damaged map, a table of overlapping patches, a dark and a bright image."""
    image = write_raster(folder / "image.tif", np.arange(10_000, dtype=np.uint8).reshape(100, 100))
    first = np.where(np.arange(100) < 50, 1, 2).astype(np.uint8) * np.ones((100, 1), np.uint8)
    second = np.where(np.arange(100)[:, None] < 30, 3, first).astype(np.uint8)
    hole = np.where(np.arange(100) < 40, second, 255).astype(np.uint8)
    maps = {
        "full": write_raster(folder / "second.tif", second),
        "nodata": write_raster(folder / "hole.tif", hole, nodata=255),
        "short": write_raster(folder / "short.tif", second[:, :40]),
    }
    mask = write_raster(folder / "first.tif", first)
    rows = [
        {"tile_id": tile, "image_path": image, "mask_path": mask, "b_path": path}
        for tile, path in maps.items()
    ]
    write_rows(folder / "good.csv", rows)
    damaged = folder / "damaged.tif"
    damaged.write_bytes(mask.read_bytes()[:60])
    write_rows(folder / "broken.csv", [*rows, rows[0] | {"tile_id": "broken", "b_path": damaged}])
    places = [(tile, row, col) for tile in range(20) for row in (0, 32, 64) for col in (0, 32, 64)]
    file = {"image_path": image, "p_soft_path": image, "patch_size": 64}
    write_rows(
        folder / "patches.csv",
        [{"tile_id": f"t{t}", **file, "row_off": r, "col_off": c} for t, r, c in places],
    )
    labels = write_raster(folder / "labels.tif", np.full((4, 8, 8), 0.25, np.float32))
    bright = np.full((3, 8, 8), 255, np.uint8)
    bright[:, 0, 0] = 1
    dark = (bright == 1).astype(np.uint8)
    images = [
        write_raster(folder / f"{name}.tif", values) for name, values in (("dark", dark), ("bright", bright))
    ]
    write_rows(folder / "images.csv", [{"image_path": path, "p_soft_path": labels} for path in images])
