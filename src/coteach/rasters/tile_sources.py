"""The label maps of one tile, open, and seen from its image's grid."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import numpy as np
from jaxtyping import Int16

from coteach.errors import RasterError
from coteach.rasters.codes import LabelMap
from coteach.rasters.dataset import open_raster
from coteach.rasters.embeddings import EmbeddingRaster, embedding_path
from coteach.rasters.grid import Grid, Window
from coteach.rasters.options import BuildOptions
from coteach.rasters.overlap import no_overlap
from coteach.rasters.rules import checked_grid, label_map_rules
from coteach.rasters.sources import Tile


class TileSources:
    """Opens what a tile is made of, once a thread; to be closed by whoever made it.

    Args:
        tile: whose label maps.
        options: of the build.
        grid: the image's.

    Raises:
        RasterError: a map cannot be used.
    """

    def __init__(self, tile: Tile, options: BuildOptions, grid: Grid) -> None:
        self._tile = tile
        self._options = options
        self._grid = grid
        self._own = threading.local()
        self._lock = threading.Lock()
        self._all: list[dict[str, LabelMap]] = []
        self._open = ExitStack()

    def close(self) -> None:
        """Close all files."""
        self._open.close()

    def votes(self, key: str, window: Window, counted: Window | None = None) -> Int16[np.ndarray, "h w"]:
        """What one map votes for in a window; see :meth:`~coteach.rasters.codes.LabelMap.votes`.

        Args:
            key: column of the map.
            window: of the image.
            counted: the part of it where values that mean nothing are counted, lest one counts twice where windows
                overlap or are read again; None counts nowhere.

        Raises:
            RasterError: it is damaged there, or cannot be used.
        """
        label_map = self._maps()[key]
        with named(self._tile, f"source {key!r}"):
            before = label_map.unknown.copy()
            votes = label_map.votes(window)
            if counted != window and label_map.unknown != before:
                label_map.unknown = before
                if counted is not None:
                    label_map.votes(counted)
        return votes

    @property
    def embeddings(self) -> EmbeddingRaster | None:
        """The embeddings of the tile's pixels; None if there is no file of them."""
        self._maps()
        raster: EmbeddingRaster | None = self._own.embeddings
        return raster

    def unknown(self) -> dict[str, dict[str, int]]:
        """Of each source the values met that mean nothing, and how often.

        Raises:
            RasterError: a map was never met by the image; or it has a legend that does not tell what its values mean.
        """
        unknown = {}
        for key, path in self._tile.sources.items():
            maps = [own[key] for own in self._all if key in own]
            with named(self._tile, f"source {key!r}"):
                if not sum(one.reached for one in maps):
                    raise no_overlap(path)
                strange = sum((one.unknown for one in maps), Counter[int]())
                if strange and key in self._options.legends:
                    listed = ", ".join(f"{code} ({count} pixels)" for code, count in sorted(strange.items()))
                    remedy = f"add them to the legend (--legend {key}=…), as a class or as ignore"
                    raise RasterError(str(path), f"holds codes that its legend lacks: {listed}", remedy)
            if strange:
                unknown[key] = {str(code): count for code, count in sorted(strange.items())}
        return unknown

    def _maps(self) -> dict[str, LabelMap]:
        if not hasattr(self._own, "maps"):
            maps: dict[str, LabelMap] = {}
            with self._lock:  # the stack of open files is everybody's
                self._own.embeddings = self._opened_embeddings()
                for key, path in self._tile.sources.items():
                    with named(self._tile, f"source {key!r}"):
                        dataset = open_raster(path)
                        self._open.callback(dataset.close)  # entered, it would belong to this thread
                        if not self._all:
                            checked_grid(dataset, label_map_rules())
                        maps[key] = LabelMap(path, dataset, self._grid, self._options.meaning(key))
                self._all.append(maps)
            self._own.maps = maps
        return self._own.maps  # type: ignore[no-any-return]

    def _opened_embeddings(self) -> EmbeddingRaster | None:
        folder = self._options.pixel_embeddings
        path = None if folder is None else embedding_path(folder, self._tile.tile_id, "gcs")
        if path is None or not path.is_file():
            return None
        with named(self._tile, "embeddings"):
            return self._open.enter_context(EmbeddingRaster(path, self._grid, self._options.aef_resampling))


@contextmanager
def named(tile: Tile, what: str) -> Iterator[None]:
    """Put the tile and the column in front of what is wrong with a file."""
    try:
        yield
    except RasterError as error:
        raise RasterError(tile.tile_id, f"{what} ({error.thing}) {error.cause}", error.remedy) from error
