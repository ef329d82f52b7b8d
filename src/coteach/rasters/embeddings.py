"""Bring AlphaEarth embeddings onto the image's grid: rasters of a vector a pixel, and files of a vector a tile.

Vectors are never interpolated: a pixel takes one vector, or the sum of whole ones, and is normalised.

Shape legend: ``b`` bands (components of a vector), ``h`` rows, ``w`` columns.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType

import numpy as np
from jaxtyping import Float32, Int64

from coteach.errors import OptionError, RasterError
from coteach.labels.embeddings import check_resampling, group_sums, unit
from coteach.rasters.dataset import check_whole, open_raster, translated
from coteach.rasters.embedding_grids import bounds, cut, has_room, same_grid
from coteach.rasters.embedding_values import StoredVectors
from coteach.rasters.grid import Grid, Window
from coteach.rasters.overlap import coverage, laid_over

SUFFIXES = {"gcs": ".tif", "hf": ".npy"}

_VALUES = 1 << 23  # components held at once, of the file or of the window

_Fill = Callable[[Float32[np.ndarray, "b h w"], Window], None]


class EmbeddingRaster:
    """Reads the unit vectors of ``{tile_id}.tif`` at the image's pixels.

    Args:
        path: a raster of any number of bands, CRS, resolution and orientation: int8 as AlphaEarth has it, or floats.
        grid: the image's.
        resampling: ``"aggregate"``: a pixel gets the sum of the unit vectors whose pixels' centres lie in it;
            ``"nearest"``: that of the pixel which holds its centre; both are normalised. ``"auto"``: aggregate where
            the image's pixels are coarser and each has room for a whole pixel of the embeddings, so that none stays
            empty between two; else nearest. ``"none"``: as nearest, for a raster on the image's own grid.

    Attributes:
        bands: b.
        resampling: what is done: ``"aggregate"`` or ``"nearest"``.

    Raises:
        RasterError: the raster is missing or damaged, tells no scale or place, or does not overlap the image; or its grid
            is not the image's, with ``"none"``.
        OptionError: there is no such resampling.

    Example:
        >>> with EmbeddingRaster(Path("tile_7.tif"), Grid.of(Path("image.tif"))) as raster:  # doctest: +SKIP
        ...     vectors = raster.read(Window(0, 0, 256, 256))
    """

    def __init__(self, path: Path, grid: Grid, resampling: str = "auto") -> None:
        check_resampling(resampling)
        self._path = path
        self._image = grid
        self._dataset = open_raster(path)
        try:
            with translated(str(path)):
                self._grid = Grid.of_dataset(self._dataset)
                self._stored = StoredVectors(str(path), self._dataset)
                check_whole(self._dataset)
                coverage(path, grid, self._grid)
                self.resampling = self._decided(resampling)
        except BaseException:
            self._dataset.close()
            raise
        self.bands = len(self._stored.indexes)

    def __enter__(self) -> EmbeddingRaster:  # noqa: PYI034 -- the shape checks know no Self
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._dataset.close()

    def read(self, window: Window) -> Float32[np.ndarray, "b h w"]:
        """The vectors of a window of the image; the same whichever the window is.

        Args:
            window: within the image. The result is all that is held of it; windows near square cost least.

        Returns:
            ``(b, h, w)`` of unit length; NaN where the raster has no vector.

        Raises:
            RasterError: it is damaged there, or holds values that are none.
        """
        found = np.full((self.bands, window.height, window.width), np.nan, np.float32)
        fill = self._sum if self.resampling == "aggregate" else self._pick
        with translated(str(self._path)):
            fill(found, window)
        return found

    def _pick(self, found: Float32[np.ndarray, "b h w"], window: Window) -> None:
        """Nearest neighbour: the vector of the pixel that holds the centre."""
        rows, cols = laid_over(self._path, self._image, self._grid, window)
        inside = (rows >= 0) & (rows < self._grid.height) & (cols >= 0) & (cols < self._grid.width)
        if not inside.any():
            return
        rows, cols = rows[inside], cols[inside]
        part = Window(int(rows.min()), int(cols.min()), int(np.ptp(rows)) + 1, int(np.ptp(cols)) + 1)
        if self._too_large(part, window):
            self._by_halves(self._pick, found, window)
            return
        values, valid = self._stored.read(part)
        places = (rows - part.row_off) * part.width + cols - part.col_off
        picked = values.reshape(self.bands, -1).take(places, axis=1)
        units = unit(self._stored.vectors(picked, None if valid is None else valid.ravel()[places]))
        if inside.all():
            found[:] = units.reshape(found.shape)
        else:
            found[:, inside] = units

    def _sum(self, found: Float32[np.ndarray, "b h w"], window: Window) -> None:
        """The direction of the sum of the vectors whose centres lie in a pixel."""
        reached = bounds(self._path, self._image, self._grid, window)
        if reached is None:
            return
        if self._too_large(reached, window):
            self._by_halves(self._sum, found, window)
            return
        sums = np.zeros((self.bands, window.height * window.width), np.float64)
        for part in cut(reached, _VALUES // self.bands):
            targets = self._targets(part, window)
            if (targets >= 0).any():
                units = unit(self._stored.vectors(*self._stored.read(part)))
                sums += group_sums(units, targets, sums.shape[1])
        found[:] = unit(sums).reshape(found.shape)

    def _targets(self, part: Window, window: Window) -> Int64[np.ndarray, "h w"]:
        """In which pixel of the window, counted row by row, the centres of the embeddings' pixels lie; -1 for none."""
        rows, cols = self._grid.pixels_on(self._image, part)
        rows, cols = rows - window.row_off, cols - window.col_off
        inside = (rows >= 0) & (rows < window.height) & (cols >= 0) & (cols < window.width)
        return np.where(inside, rows * window.width + cols, -1)

    def _too_large(self, part: Window, window: Window) -> bool:
        """Whether there is too much to hold at once of the file or of the window, and halves have less."""
        pixels = window.height * window.width
        return max(part.height * part.width, pixels) * self.bands > _VALUES and pixels > 1

    @staticmethod
    def _by_halves(fill: _Fill, found: Float32[np.ndarray, "b h w"], window: Window) -> None:
        for half in window.halves():
            inside = Window(half.row_off - window.row_off, half.col_off - window.col_off, *half[2:])
            fill(inside.cut(found), half)

    def _decided(self, resampling: str) -> str:
        if resampling == "none":
            self._check_same_grid()
            return "nearest"
        if resampling == "auto":
            return "aggregate" if has_room(self._image, self._grid) else "nearest"
        return resampling

    def _check_same_grid(self) -> None:
        if same_grid(self._image, self._grid):
            return
        cause = "is not on the image's grid (CRS, geotransform and size), which resampling 'none' asks for"
        raise RasterError(
            str(self._path), cause, "warp it without interpolation, or use --aef-resampling auto"
        )


def embedding_path(folder: Path, tile_id: str, source: str) -> Path:
    """Where the embeddings of a tile are.

    Args:
        folder: of all embeddings.
        tile_id: the tile's id.
        source: ``"gcs"``, a raster; or ``"hf"``, one vector.
    """
    return folder / f"{tile_id}{SUFFIXES[source]}"


def check_embeddings(folder: Path, tile_ids: Sequence[str], source: str) -> None:
    """Refuse a folder that has nothing for any tile.

    Raises:
        OptionError: it is missing, or there is no file of this source for any tile.
    """
    thing = "--aef-embeddings-dir"
    if not folder.is_dir():
        raise OptionError(
            thing, f"there is no folder {folder}", "download them (coteach download-aef-embeddings)"
        )
    if not tile_ids or any(embedding_path(folder, tile, source).is_file() for tile in tile_ids):
        return
    cause = f"{folder} has no file for any tile, as {embedding_path(folder, tile_ids[0], source).name}"
    for other in SUFFIXES:
        if any(embedding_path(folder, tile, other).is_file() for tile in tile_ids):
            raise OptionError(thing, cause, f"its files are those of --aef-source {other}")
    raise OptionError(thing, cause, "name files by the tile_id of the sources table")
