"""The files of one tile: where they are, and how they are written."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from rasterio.io import DatasetWriter

from coteach.rasters.grid import Grid, Window
from coteach.rasters.legend import find_legend, legend_tags
from coteach.rasters.packed_mask import PackedMask
from coteach.rasters.read import PARTS_TAG
from coteach.rasters.tile_job import TileJob, WrittenBlock
from coteach.rasters.write import RasterLayout, raster_writer

P_SOFT, W_CONF, RECORDS = "p_soft", "w_conf", "fingerprints"


def p_soft_path(output_dir: Path, tile_id: str) -> Path:
    """Where P_soft of a tile is."""
    return output_dir / P_SOFT / f"{tile_id}.tif"


def w_conf_path(output_dir: Path, tile_id: str) -> Path:
    """Where W_conf of a tile is."""
    return output_dir / W_CONF / f"{tile_id}.tif"


class TileWriter:
    """The two open files of a tile.

    Args:
        p_soft: the file of P_soft.
        w_conf: the file of W_conf, perhaps with a band of votes.
        voted: gets where somebody votes.
    """

    def __init__(self, p_soft: DatasetWriter, w_conf: DatasetWriter, voted: PackedMask) -> None:
        self._p_soft = p_soft
        self._w_conf = w_conf
        self._voted = voted

    def write(self, window: Window, block: WrittenBlock) -> None:
        """Put a block into both files; its first column is a multiple of 8."""
        part = window.for_gdal()
        self._p_soft.write(block.p_soft, window=part)
        bands = [block.w_conf, block.votes.astype(block.w_conf.dtype)][: self._w_conf.count]
        self._w_conf.write(np.stack(bands), window=part)
        self._voted.put(window, block.votes > 0)


@contextmanager
def tile_writer(job: TileJob, grid: Grid, output_dir: Path) -> Iterator[TileWriter]:
    """Both files of a tile, to be written block by block; they get their names when the block ends without an error.

    Raises:
        RasterError: a file cannot be written.
    """
    options, tile_id = job.options, job.tile.tile_id
    sources = _mask_first(job)
    names, colors = find_legend([job.tile.sources[key] for key in sources], options.num_classes)
    tags = legend_tags(names, colors)
    if options.dtype == "uint8":
        tags[PARTS_TAG] = "votes" if job.fusion.counts_votes(len(options.source_keys)) else "shares"
    p_soft = RasterLayout(
        grid, options.num_classes, options.dtype, predictor=2, cog=options.cog, threads=job.threads
    )
    w_conf = RasterLayout(
        grid,
        bands=2 if options.votes_band else 1,
        dtype=options.dtype,
        # measured: without embeddings there are few distinct weights, and differences only hide that
        predictor=3 if options.pixel_embeddings is not None and options.dtype == "float32" else 1,
        scales=(1 / 255, 1.0)[: 1 + options.votes_band] if options.dtype == "uint8" else (),
        cog=options.cog,
        threads=job.threads,
    )
    classes = names or [f"class {code}" for code in range(options.num_classes)]
    bands = ["W_conf", "votes"][: w_conf.bands]
    paths = [p_soft_path(output_dir, tile_id), w_conf_path(output_dir, tile_id)]
    voted = PackedMask(grid.height, grid.width)
    with (
        raster_writer(paths[1], w_conf, descriptions=bands, mask=voted) as second,
        raster_writer(paths[0], p_soft, tags=tags, descriptions=classes, mask=voted) as first,
    ):
        yield TileWriter(first, second, voted)


def _mask_first(job: TileJob) -> Sequence[str]:
    """The sources in the order in which their names and colours of classes count; one with a legend has other codes."""
    own = [key for key in job.tile.sources if key not in job.options.legends]
    return sorted(own, key=lambda key: key != job.options.mask_key)
