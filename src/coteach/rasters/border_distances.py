"""How far each pixel of a tile is from the nearest class border, kept as a raster of its own."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
from jaxtyping import Int16

from coteach.labels.borders import border_pixels
from coteach.labels.distance import MarkedRaster, root
from coteach.rasters.blocks import ROWS, blocks, padded
from coteach.rasters.grid import Grid, Window
from coteach.rasters.write import RasterLayout, raster_writer

FURTHEST_TAG = "SOFT_LABEL_FURTHEST"  # the largest distance, in pixels, of those with a class

Codes = Callable[[Window], Int16[np.ndarray, "h w"]]


def write_distances(path: Path, grid: Grid, codes: Codes, tags: dict[str, str]) -> None:
    """Write the exact distance of each pixel to the nearest border; infinite where the tile has none.

    Held at once are a bit a pixel of the tile, and a strip.

    Args:
        path: the GeoTIFF, one band of float32, in pixels.
        grid: the tile's.
        codes: the classes of a window of it, negative for none; asked twice for each pixel.
        tags: name -> text; :data:`FURTHEST_TAG` is added.

    Raises:
        RasterError: the file cannot be written, or a map not be read.
    """
    marks = MarkedRaster(grid.height, grid.width)
    for window in blocks(grid.height, grid.width):
        around, inner = padded(window, 1, grid.height, grid.width)
        marks.mark(window.row_off, window.col_off, inner.cut(border_pixels(codes(around))))
    found = marks.any()
    furthest = 0.0
    layout = RasterLayout(grid, bands=1, dtype="float32", predictor=1)
    with raster_writer(path, layout, tags=tags, descriptions=["distance"]) as dataset:
        for strip in marks.cut(ROWS):
            window = Window(strip.start, 0, strip.stop - strip.start, grid.width)
            if found:
                distance = root(marks.squared_distance(strip))
            else:
                distance = np.full((window.height, window.width), math.inf, np.float32)
            furthest = max(furthest, float(distance[codes(window) >= 0].max(initial=0)))
            dataset.write(distance, 1, window=window.for_gdal())
        dataset.update_tags(**{FURTHEST_TAG: repr(furthest)})
