"""Write where a source is probably wrong: rows come in, whole blocks go to the file.

``{tile_id}_{source}.tif`` has two bands of uint8, 255 for NoData: ``p_wrong``, percent, and ``suggested``, the class
that is most probable where the source is wrong rather than right. Class names are the tag ``CLASS_NAMES``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int64
from rasterio.io import DatasetWriter

from coteach.errors import OptionError
from coteach.rasters.grid import Grid, Window
from coteach.rasters.legend import legend_tags
from coteach.rasters.scene_writer import WholeBlocks
from coteach.rasters.sources import Tile, check_tile_id
from coteach.rasters.write import RasterLayout, raster_writer

NOTHING = 255  # the source says nothing there, or the image has no data
MAX_CLASSES = NOTHING
_SUFFIX = "_path"


def source_name(key: str) -> str:
    """What the source of a column is called: the column without ``_path``."""
    return key.removesuffix(_SUFFIX) or key


def error_map_paths(folder: Path, tile: Tile) -> dict[str, Path]:
    """Column -> file, of the sources that a tile has."""
    return {key: folder / f"{tile.tile_id}_{source_name(key)}.tif" for key in tile.sources}


def check_error_maps(folder: Path, tiles: Sequence[Tile]) -> None:
    """Refuse tiles and columns whose names lead to the same file, to none, or to a file that is read.

    Args:
        folder: gets the maps.
        tiles: with their sources.

    Raises:
        OptionError: two lead to the same, or a map would take the place of an image or a source.
        TableError: the name of a column cannot be a file's.
    """
    used: dict[str, str] = {}
    inputs = {path.resolve() for tile in tiles for path in (tile.image, *tile.sources.values())}
    for tile in tiles:
        for key, path in error_map_paths(folder, tile).items():
            check_tile_id(source_name(key), f"column {key!r}")
            if path.resolve() in inputs:
                cause = "is read, and would be replaced by a map of errors"
                raise OptionError(str(path), cause, "choose another --output-dir")
            own = f"tile {tile.tile_id!r}, column {key!r}"
            other = used.setdefault(path.name.casefold(), own)
            if other != own:
                remedy = "rename the column or the tile"
                raise OptionError(path.name, f"would be the map of {other}, and of {own}", remedy)


class ErrorMapWriter:
    """Takes finished rows; made by :func:`error_map_writer`.

    Args:
        dataset: the file.
    """

    def __init__(self, dataset: DatasetWriter) -> None:
        self._blocks = WholeBlocks(dataset)

    def write(
        self, window: Window, p_wrong: Float[np.ndarray, "h w"], suggested: Int64[np.ndarray, "h w"]
    ) -> None:
        """Write rows, those of one band of columns from top to bottom.

        Args:
            window: where they lie.
            p_wrong: in [0, 1]; NaN where nothing can be said.
            suggested: most probable class; it is kept where ``p_wrong`` is above 0.5.
        """
        percent = np.where(np.isnan(p_wrong), NOTHING, np.rint(100 * p_wrong))
        classes = np.where(p_wrong > 0.5, suggested, NOTHING)
        self._blocks.add(window, np.stack([percent, classes]).astype(np.uint8))


@contextmanager
def error_map_writer(path: Path, grid: Grid, source: str, names: Sequence[str]) -> Iterator[ErrorMapWriter]:
    """The map of one source, to be written part by part; it gets its name when the block ends without an error.

    Args:
        path: the file.
        grid: of the image.
        source: whose errors they are, written as the tag ``SOURCE``.
        names: of at most 255 classes.

    Raises:
        RasterError: the file cannot be written.
    """
    tags = legend_tags(names, None) | {"SOURCE": source, "P_WRONG_UNIT": "percent"}
    layout = RasterLayout(grid, 2, "uint8", NOTHING)
    with raster_writer(path, layout, tags=tags, descriptions=["p_wrong", "suggested"]) as dataset:
        yield ErrorMapWriter(dataset)
