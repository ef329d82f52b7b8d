"""Files as AlphaEarth's are published, but small: GeoTIFFs, a STAC GeoParquet index, a table of grid cells."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import rasterio
from rasterio import Affine, warp

BUCKET = "s3://us-west-2.opendata.source.coop/"
ORIGIN = (500000.0, 4000000.0)  # of most files here: upper left corner, EPSG:32617
CRS = "EPSG:32617"


def random_values(seed: int, height: int, width: int, bands: int = 64) -> np.ndarray:
    """Bytes that do not compress, none of them NoData."""
    return np.random.default_rng(seed).integers(-127, 128, (bands, height, width)).astype(np.int8)


def write_cog(
    path: Path, values: np.ndarray, *, origin=ORIGIN, crs=CRS, south_up=False, block=64, nodata=-128
) -> Path:
    """``values`` are north-up whatever the order of the rows in the file."""
    bands, height, width = values.shape
    x, y = origin
    transform = Affine(10, 0, x, 0, -10, y)
    if south_up:
        values, transform = values[:, ::-1], Affine(10, 0, x, 0, 10, y - 10 * height)
    path.parent.mkdir(parents=True, exist_ok=True)
    with rasterio.open(
        path, "w", driver="GTiff", count=bands, height=height, width=width, dtype=values.dtype, nodata=nodata,
        crs=crs, transform=transform, tiled=True, blockxsize=block, blockysize=block, interleave="band",
    ) as file:  # fmt: skip
        file.write(values)
        for band in range(bands):
            file.set_band_description(band + 1, f"A{band:02}")
    return path


def index_row(href: str, file: Path, year: int) -> dict:
    """What an index says of a file."""
    with rasterio.open(file) as dataset:
        west, south, east, north = warp.transform_bounds(dataset.crs, "EPSG:4326", *dataset.bounds)
    return {
        "id": Path(href).stem,
        "datetime": dt.datetime(year, 1, 1, tzinfo=dt.UTC),
        "bbox": {"xmin": west, "ymin": south, "xmax": east, "ymax": north},
        "assets": {"data": {"href": href, "type": "image/tiff"}},
    }


def write_stac_index(path: Path, rows: list[dict], *, row_group_size: int = 1000) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=row_group_size)
    return path


def write_flat_index(path: Path, rows: list[dict]) -> Path:
    """The same as Google writes it."""
    flat = [
        {
            "path": row["assets"]["data"]["href"],
            "year": row["datetime"].year,
            "wgs84_west": row["bbox"]["xmin"],
            "wgs84_south": row["bbox"]["ymin"],
            "wgs84_east": row["bbox"]["xmax"],
            "wgs84_north": row["bbox"]["ymax"],
        }
        for row in rows
    ]
    pq.write_table(pa.Table.from_pylist(flat), path)
    return path


def write_cells(path: Path, lats, lons, vectors, *, column="embedding", row_group_size=1000, **more) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = {
        "grid_cell": [f"cell {number}" for number in range(len(lats))],
        "centre_lat": lats,
        "centre_lon": lons,
        column: list(vectors),
        "thumbnail": [np.random.default_rng(number).bytes(2000) for number in range(len(lats))],
        **more,
    }
    pq.write_table(pa.table(columns), path, row_group_size=row_group_size)
    return path
