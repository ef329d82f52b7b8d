"""Give a categorical raster other codes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import rasterio

from coteach.errors import RasterError
from coteach.rasters.dataset import opened
from coteach.rasters.legend import color_table, legend_tags


def recode_classes(
    source: Path,
    target: Path,
    *,
    codes: Mapping[int, int],
    nodata: int,
    class_names: Sequence[str],
    class_colors: Sequence[tuple[int, int, int]],
) -> None:
    """Write the first band of a raster as uint8 with other codes; grid and CRS stay.

    The file gets a colour table and the tag ``CLASS_NAMES``, a JSON list in the order of the codes.

    Args:
        source: a raster whose first band holds whole numbers, of any dtype.
        target: the GeoTIFF to write.
        codes: code in ``source`` -> code in ``target``, 0..C-1.
        nodata: 0..255; written where ``source`` has no data, and declared.
        class_names: ``C`` names.
        class_colors: ``C`` times red, green, blue in 0..255.

    Raises:
        RasterError: ``source`` cannot be read, or holds a code that ``codes`` does not.
    """
    with opened(source) as dataset:
        values, valid = dataset.read(1), dataset.read_masks(1) > 0
        profile = {key: dataset.profile[key] for key in ("crs", "transform", "width", "height")}
    recoded = np.full(values.shape, nodata, np.uint8)
    for old, new in codes.items():
        recoded[valid & (values == old)] = new
    unknown = np.setdiff1d(values[valid], list(codes))
    if unknown.size:
        cause = f"holds the codes {', '.join(f'{code:g}' for code in unknown[:10])}, which have no new code"
        raise RasterError(str(source), cause, "name every code that the raster holds")
    with rasterio.open(
        target,
        "w",
        driver="GTiff",
        count=1,
        dtype="uint8",
        nodata=nodata,
        tiled=True,
        compress="deflate",
        **profile,
    ) as dataset:
        dataset.write(recoded, 1)
        dataset.write_colormap(1, color_table(class_colors))
        dataset.update_tags(**legend_tags(class_names, None))
