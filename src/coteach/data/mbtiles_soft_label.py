"""Windows of masks, seen on tiles of a web map (MBTiles), with soft labels made when they are read."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float32

from coteach.data.embedding_input import check_scale, shown
from coteach.data.mask_window_list import listed_offsets
from coteach.data.sample_reader import Label, SampleReader
from coteach.data.soft_label import SoftLabelBase
from coteach.data.tile_windows import size_of
from coteach.errors import OptionError
from coteach.rasters.code_legend import check_legend
from coteach.rasters.grid import Grid, Window
from coteach.rasters.image_warp import WarpedImage
from coteach.rasters.mask_labels import MaskLabels, MaskTile, WeightOptions
from coteach.rasters.mask_windows import find_windows
from coteach.rasters.window_plan import MaskWindows, WindowPlan
from coteach.tables import Table

_MASKS = (".tif", ".tiff", ".vrt")


class MBTilesSoftLabelMaskWindowedDataset(SoftLabelBase):
    """RGB of an MBTiles file on the grid of masks, window by window, and soft labels by an equal vote.

    The mask and the other maps have one vote each, of which P_soft is the share; a map that says nothing at a pixel
    does not vote there. W_conf is what ``coteach build-soft-labels --border-source mask`` makes of the whole mask: a
    window's weights are those of the tile. Where nobody votes, or the MBTiles show nothing, the label is the uniform
    distribution with weight 0; image values are 0 where the MBTiles show nothing.

    Windows cover each mask, those at its lower and right edge are shifted inward. One without a class of the mask, or
    beside the MBTiles, is left out.

    Args:
        mbtiles_path: the image; any other raster that GDAL reads will do.
        mask_dir: folder of the masks, ``*.tif``, ``*.tiff`` and ``*.vrt``, in the order of their names.
        mask_paths: the masks themselves, instead of a folder.
        window_index_cache: JSON file that keeps which windows there are. It is made anew when masks, maps, image or
            options have changed; two data sets need two files. None finds the windows each time.
        patch_size: of a window in pixels of the mask, height and width or one number for both.
        selected_bands: of the image, counted from 1.
        lulc_paths: label maps that vote beside the mask: GeoTIFF or VRT of any CRS and resolution.
        num_classes: C; the codes of the mask and of all maps are 0 to C - 1, others do not vote.
        return_w_conf: False gives every pixel with a vote weight 1.
        alpha: what the entropy of P_soft counts in W_conf, in [0, 1]; the mask's borders count the rest.
        use_border: whether borders count; without them W_conf is the entropy's part.
        entropy_norm: ``"max_entropy"``, or ``"minmax"``: by the range within the mask's tile.
        border_radius: distance from a border of the mask, in its pixels, from which on it does not count.
        augmentation_list: as for :class:`~coteach.SoftLabelDataset`.
        lulc_legends: for each of ``lulc_paths`` value -> class, or -1 for no vote; None where its values are the classes.
        windows_csv: a table of the windows to show, ``mask_path,row_off,col_off`` in pixels, and perhaps
            ``patch_h,patch_w`` or ``height,width``, which must be ``patch_size``. None shows all.
        patch_stride: pixels from one window to the next, down and across or one number; None is ``patch_size``.
        image_resampling: ``"bilinear"`` or ``"nearest"``; see :class:`~coteach.rasters.image_warp.WarpedImage`.
        image_scale: a number, as for :class:`~coteach.SoftLabelDataset`. Embeddings are never mixed, and so not read here.
        in_memory: as for :class:`~coteach.SoftLabelDataset`.

    Attributes:
        rows: of each window the mask, the first row and column, and the size, as a table has them.
        num_bands: of the images.
        num_classes: C.

    Raises:
        OptionError: an option is out of range, or there is no mask.
        TableError: ``windows_csv`` is missing, empty, or does not fit the masks.
        RasterError: a file is missing, damaged, or of no use; some of it is seen only when its window is read.

    Example:
        >>> train = MBTilesSoftLabelMaskWindowedDataset(  # doctest: +SKIP
        ...     "city.mbtiles", mask_dir="masks", lulc_paths=["worldcover.vrt"], num_classes=6, patch_size=256
        ... )
        >>> train[0]["mask"]["mask"].shape  # doctest: +SKIP
        torch.Size([6, 256, 256])
    """

    def __init__(
        self,
        mbtiles_path: str | os.PathLike[str],
        mask_dir: str | os.PathLike[str] | None = None,
        window_index_cache: str | os.PathLike[str] | None = None,
        patch_size: int | Sequence[int] = 256,
        selected_bands: Sequence[int] = (1, 2, 3),
        lulc_paths: Sequence[str | os.PathLike[str]] = (),
        num_classes: int = 2,
        return_w_conf: bool = True,
        alpha: float = 0.6,
        use_border: bool = True,
        entropy_norm: str = "max_entropy",
        border_radius: float = 10,
        augmentation_list: Sequence[Any] | None = None,
        *,
        mask_paths: Sequence[str | os.PathLike[str]] | None = None,
        lulc_legends: Sequence[Mapping[int, int] | None] | None = None,
        windows_csv: str | os.PathLike[str] | None = None,
        patch_stride: int | Sequence[int] | None = None,
        image_resampling: str = "bilinear",
        image_scale: float | None = None,
        in_memory: bool = False,
    ) -> None:
        weights = WeightOptions(
            alpha=alpha, use_border=use_border, entropy_norm=entropy_norm, border_radius=border_radius
        )
        image = WarpedImage(Path(mbtiles_path), selected_bands, image_resampling)
        patch, stride = size_of("patch_size", patch_size), size_of("patch_stride", patch_stride)
        if patch is None:
            raise OptionError("patch_size", "is None", "give the size of a window in pixels")
        masks = _masks(mask_dir, mask_paths)
        plan = WindowPlan(
            image=image.path,
            masks=masks,
            others=tuple(Path(path) for path in lulc_paths),
            num_classes=num_classes,
            patch_size=patch,
            stride=stride or patch,
            ranged=return_w_conf and entropy_norm == "minmax",
            legends=_legends(lulc_legends, lulc_paths, num_classes),
            listed=None if windows_csv is None else listed_offsets(windows_csv, masks, patch),
        )
        labels = MaskLabels(num_classes, weights if return_w_conf else None, plan.meanings)
        found = find_windows(plan, None if window_index_cache is None else Path(window_index_cache))
        reader = _MaskReader(plan, found, image, labels, image_scale, in_memory=in_memory)
        super().__init__(reader, reader.rows, augmentation_list, scaled=image_scale != 1)


class _MaskReader(SampleReader):
    """Sees the image on the masks' grids, and has the maps vote there."""

    def __init__(
        self,
        plan: WindowPlan,
        found: Sequence[MaskWindows],
        image: WarpedImage,
        labels: MaskLabels,
        image_scale: float | None,
        *,
        in_memory: bool,
    ) -> None:
        check_scale(image.dtype, image_scale, image.path)
        self._plan = plan
        self._found = found
        self._image_on = image
        self._labels = labels
        self._places = [place for place, one in enumerate(found) for _ in one.offsets]
        self._tiles: dict[int, MaskTile] = {}
        windows = [Window(*offset, *plan.patch_size) for one in found for offset in one.offsets]
        masks = [plan.masks[found[place].mask] for place in self._places]
        self.rows = [_row(image.path, mask, window) for mask, window in zip(masks, windows, strict=True)]
        table = Table(image.path, tuple(self.rows[0]), self.rows)
        super().__init__(table, range(len(masks)), masks, windows, image_scale, in_memory=in_memory)
        self.num_bands = image.num_bands
        self.num_classes = plan.num_classes

    def warn_of_scale(self) -> None:
        """Tiles of a web map are bytes, whose scale is known."""

    def _image(self, index: int) -> tuple[Float32[np.ndarray, "bands h w"], Bool[np.ndarray, "h w"]]:
        tile, window = self._place(index)
        values, seen = self._image_on.read(tile.grid, window)
        return shown(values, seen, self._image_on.dtype, self._image_scale, self._image_on.path)

    def _label(self, index: int) -> Label:
        tile, window = self._place(index)
        return Label(*self._labels.read(tile, window), tile.mask, tile.mask)

    def _place(self, index: int) -> tuple[MaskTile, Window]:
        place = self._places[index]
        if place not in self._tiles:
            one = self._found[place]
            mask = self._plan.masks[one.mask]
            others = tuple(self._plan.others[number] for number in one.others)
            self._tiles[place] = MaskTile(mask, Grid.of(mask), others, one.entropy_range)
        return self._tiles[place], self.location(index)[1]


def _row(image: Path, mask: Path, window: Window) -> dict[str, str]:
    """A window as a row of a table."""
    return {
        "tile_id": mask.stem,
        "image_path": str(image.absolute()),
        "mask_path": str(mask.absolute()),
        "row_off": str(window.row_off),
        "col_off": str(window.col_off),
        "patch_h": str(window.height),
        "patch_w": str(window.width),
    }


def _legends(
    legends: Sequence[Mapping[int, int] | None] | None,
    paths: Sequence[str | os.PathLike[str]],
    num_classes: int,
) -> tuple[Mapping[int, int] | None, ...]:
    """The legends, checked.

    Raises:
        OptionError: there is not one for each map, or one does not lead to classes.
    """
    if legends is None:
        return ()
    if len(legends) != len(paths):
        cause = f"{len(legends)} for {len(paths)} lulc_paths"
        raise OptionError("lulc_legends", cause, "give one for each, null where values are the classes")
    for path, legend in zip(paths, legends, strict=True):
        if legend is not None:
            check_legend(str(path), legend, num_classes)
    return tuple(None if legend is None else dict(legend) for legend in legends)


def _masks(
    folder: str | os.PathLike[str] | None, paths: Sequence[str | os.PathLike[str]] | None
) -> tuple[Path, ...]:
    """The masks of a folder, or those that are given.

    Raises:
        OptionError: both or none of the two are given, or there is no mask.
    """
    if (folder is None) == (paths is None):
        cause = "both are given" if paths is not None else "neither is given"
        raise OptionError("mask_dir and mask_paths", cause, "give one of them")
    if folder is None:
        found, name = [Path(path) for path in paths or ()], "mask_paths"
    else:
        within, name = Path(folder), f"mask_dir {folder}"
        if not within.is_dir():
            raise OptionError(name, "there is no such folder", "correct the path")
        found = sorted(path for path in within.iterdir() if path.suffix.lower() in _MASKS)
    if not found:
        raise OptionError(name, "holds no mask", f"give label maps ({', '.join(_MASKS)})")
    return tuple(found)
