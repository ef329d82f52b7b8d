"""Images with soft labels that are made of their label maps when they are first read, and kept."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from coteach.data.embedding_input import ImageScale
from coteach.data.sample_reader import Label, SampleReader
from coteach.data.soft_label import SoftLabelBase
from coteach.data.tile_windows import Size, TileWindow, grid_windows, listed_windows, size_of
from coteach.rasters.options import BuildOptions
from coteach.rasters.read import raster_shape
from coteach.rasters.soft_label_cache import SoftLabelCache
from coteach.rasters.sources import Tile, read_rows
from coteach.tables import Table, read_table


class SoftLabelCachedDataset(SoftLabelBase):
    """Patches of tiles, with P_soft of the votes of several label maps and W_conf worked out of it.

    What ``coteach build-soft-labels`` writes beforehand is made here when a tile is first read: P_soft goes to
    ``cache_dir/{tile_id}.tif``, distances to borders to a folder beside it. Any number of loader workers and processes may
    read and make them at once. ``alpha``, ``use_border``, ``border_source``, ``border_radius`` and ``entropy_norm`` may
    change from run to run, the cache stays as it is. A tile whose image, label maps, columns, legends or source weights
    have changed (by size and time of modification) is made anew; a process looks when it first reads the tile. Data
    sets may share a ``cache_dir`` if equal tile ids mean equal tiles.

    P_soft and W_conf of a window are that part of the tile's, to the last bit. A pixel without a vote, or without image
    data, has the uniform distribution and weight 0. Codes that are no class do not vote; a warning names them when a process
    first makes a tile with them.

    Args:
        sources_csv: one row a tile, as for :func:`coteach.build_soft_labels`.
        cache_dir: folder for the tiles; made if it is not there.
        num_classes: C; codes are 0 to C - 1, others do not vote.
        alpha: weight of agreement in W_conf, see :func:`coteach.confidence_weight`.
        use_border: whether distance to class borders counts.
        entropy_norm: ``"max_entropy"`` or ``"minmax"``.
        image_key: column of the image, the reference grid.
        mask_key: column of the cartographic mask, which votes like the others; None uses none.
        lulc_keys: columns of the other label maps.
        border_radius: distance in pixels from the mask's borders that gives full weight.
        patch_size: height and width of the patches that cover each tile, those at the edge shifted inward; one number for
            both; None shows whole tiles.
        patch_stride: pixels from one patch to the next; as ``patch_size`` if None.
        windows_csv: a table of the windows to show, in place of patches: ``tile_id,row_off,col_off,patch_h,patch_w``, or
            in world coordinates ``tile_id,minx,miny,maxx,maxy`` and perhaps ``crs``.
        windows_coord_type: ``"image"`` or ``"world"``. A box in world coordinates becomes the nearest whole pixels.
        augmentation_list: as for :class:`coteach.SoftLabelDataset`.
        border_source: ``"mask"``, ``"argmax"`` of P_soft, or ``"auto"``: the mask where the tile has one.
        source_weights: column -> what its vote counts, 1 if not named.
        legends: column -> value -> class, or -1 for no vote, for sources whose values are no classes.
        image_scale: as for :class:`coteach.SoftLabelDataset`.
        in_memory: as for :class:`coteach.SoftLabelDataset`.

    Attributes:
        rows: for each item the row of its tile, and that of its window; without ``windows_csv`` the latter as
            ``row_off``, ``col_off``, ``patch_h``, ``patch_w``.
        num_bands: bands of the images.
        num_classes: ``C``.

    Raises:
        OptionError: an option is out of range, a tile is smaller than a patch, or the folder cannot be written.
        TableError: a table is missing or empty, lacks a column, or holds a bad value.
        RasterError: an image cannot be read; other files, when their tile is first read.

    Example:
        >>> train = SoftLabelCachedDataset(
        ...     "sources.csv", "cache", 4, lulc_keys=["esa_path", "esri_path"]
        ... )  # doctest: +SKIP
        >>> train[0]["mask"]["mask"].shape  # doctest: +SKIP
        torch.Size([4, 256, 256])
    """

    def __init__(
        self,
        sources_csv: str | os.PathLike[str],
        cache_dir: str | os.PathLike[str],
        num_classes: int,
        alpha: float = 0.6,
        use_border: bool = True,
        entropy_norm: str = "max_entropy",
        image_key: str = "image_path",
        mask_key: str | None = "mask_path",
        lulc_keys: Sequence[str] = (),
        border_radius: float = 10,
        patch_size: int | Sequence[int] | None = (256, 256),
        patch_stride: int | Sequence[int] | None = None,
        windows_csv: str | os.PathLike[str] | None = None,
        windows_coord_type: str = "image",
        augmentation_list: Sequence[Any] | None = None,
        *,
        border_source: str = "auto",
        source_weights: Mapping[str, float] | None = None,
        legends: Mapping[str, Mapping[int, int]] | None = None,
        image_scale: ImageScale = None,
        in_memory: bool = False,
    ) -> None:
        options = BuildOptions(
            num_classes=num_classes,
            alpha=alpha,
            use_border=use_border,
            border_source=border_source,
            border_radius=border_radius,
            entropy_norm=entropy_norm,
            image_key=image_key,
            mask_key=mask_key,
            lulc_keys=tuple(lulc_keys),
            source_weights=dict(source_weights or {}),
            legends={key: dict(legend) for key, legend in (legends or {}).items()},
        )
        patch, stride = size_of("patch_size", patch_size), size_of("patch_stride", patch_stride)
        table = read_table(sources_csv)
        tiles = _tiles(table, options)
        if windows_csv is None:
            items = grid_windows(tiles, _shape, patch, stride)
        else:
            items = listed_windows(windows_csv, windows_coord_type, tiles, _shape)
        cache = SoftLabelCache(Path(cache_dir), options)
        reader = _CachedReader(table, tiles, items, cache, image_scale, in_memory=in_memory)
        reader.num_classes = num_classes
        rows = [_row(table.rows[item.tile], item) for item in items]
        super().__init__(reader, rows, augmentation_list, scaled=image_scale != 1)


class _CachedReader(SampleReader):
    """Reads images, and makes the labels of their tiles."""

    def __init__(
        self,
        table: Table,
        tiles: Sequence[Tile],
        items: Sequence[TileWindow],
        cache: SoftLabelCache,
        image_scale: ImageScale,
        *,
        in_memory: bool,
    ) -> None:
        self._tiles = tiles
        self._cache = cache
        rows = [item.tile for item in items]
        images = [tiles[row].image for row in rows]
        windows = [item.window for item in items]
        super().__init__(table, rows, images, windows, image_scale, in_memory=in_memory)

    def _label(self, index: int) -> Label:
        tile = self._tiles[self._rows[index]]
        _, window = self.location(index)
        return Label(*self._cache.read(tile, window), self._cache.path_of(tile), None)


def _tiles(table: Table, options: BuildOptions) -> list[Tile]:
    """The tile of every row; the first thing that is wrong with a row is an error."""
    tiles = []
    for row in read_rows(table, options.image_key, options.source_keys):
        tile = row.tile()
        if not isinstance(tile, Tile):
            raise row.faults[0].error
        tiles.append(tile)
    return tiles


def _shape(tile: Tile) -> Size:
    _, height, width, _ = raster_shape(tile.image)
    return height, width


def _row(source: Mapping[str, str], item: TileWindow) -> dict[str, str]:
    cells = item.cells or dict(
        zip(("row_off", "col_off", "patch_h", "patch_w"), map(str, item.window), strict=True)
    )
    return {**source, **cells}
