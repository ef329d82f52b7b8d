"""Small rasters and tables, written with rasterio itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import rasterio
from rasterio import Affine

TRANSFORM = Affine(10, 0, 500000, 0, -10, 4000000)


def write_raster(
    path: Path, array: np.ndarray, nodata: float | None = None, valid: np.ndarray | None = None
) -> Path:
    """A GeoTIFF of ``(bands, h, w)``, with an internal mask where ``valid`` is given."""
    path.parent.mkdir(parents=True, exist_ok=True)
    bands, height, width = array.shape
    with (
        rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True),
        rasterio.open(
            path,
            "w",
            driver="GTiff",
            count=bands,
            height=height,
            width=width,
            dtype=array.dtype,
            nodata=nodata,
            crs="EPSG:32617",
            transform=TRANSFORM,
        ) as dataset,
    ):
        dataset.write(array)
        if valid is not None:
            dataset.write_mask(valid)
    return path


def shares(rng: np.random.Generator, classes: int, height: int, width: int, voters: int = 4) -> np.ndarray:
    """Vote shares of ``voters`` random votes a pixel, ``(classes, h, w)`` float32."""
    votes = rng.integers(classes, size=(voters, height, width))
    return np.stack([(votes == c).mean(0) for c in range(classes)]).astype(np.float32)


class Scene:
    """An image, its P_soft and W_conf as arrays and as files in ``folder``."""

    def __init__(
        self, folder: Path, *, bands=3, classes=4, height=24, width=30, seed=0, dtype="uint8"
    ) -> None:
        rng = np.random.default_rng(seed)
        self.folder = folder
        if dtype == "float32":
            self.image = rng.random((bands, height, width), dtype=np.float32)
        else:
            self.image = rng.integers(np.iinfo(dtype).max, size=(bands, height, width)).astype(dtype)
        self.p_soft = shares(rng, classes, height, width)
        self.w_conf = rng.uniform(0.1, 1, (1, height, width)).astype(np.float32)
        self.write()

    def write(self, *, nodata=None, valid=None) -> None:
        write_raster(self.folder / "image.tif", self.image, nodata=nodata)
        write_raster(self.folder / "p.tif", self.p_soft, valid=valid)
        write_raster(self.folder / "w.tif", self.w_conf, valid=valid)

    def table(self, *windows: tuple[int, int, int], name: str = "t.csv", rows: int = 1) -> Path:
        """A table of this scene: ``rows`` times all of it, or one row a window (row_off, col_off, size)."""
        cells = "tile_id,image_path,p_soft_path,w_conf_path"
        line = "s,image.tif,p.tif,w.tif"
        if windows:
            lines = [f"{cells},row_off,col_off,patch_size", *(f"{line},{r},{c},{s}" for r, c, s in windows)]
        else:
            lines = [cells, *[line] * rows]
        (self.folder / name).write_text("\n".join(lines) + "\n")
        return self.folder / name
