"""P_soft made when a tile is first asked for, and kept; W_conf worked out of it for each window.

What a tile is made of is in its file, as a tag: it says whether the file still holds, whoever wrote it. A file gets its
name when it is whole, so that many processes may read and make the same tile; those that make it at the same time
make the same content.

``{tile_id}.tif``            P_soft of the tile, and the range of its entropy
``argmax/{tile_id}.tif``     distance to the borders of argmax P_soft, and the largest; if these borders count
``mask/{tile_id}.tif``       distance to the borders of the mask; if these count
"""

from __future__ import annotations

import hashlib
import json
import math
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import rasterio
from jaxtyping import Bool, Float32, Int16

from coteach.errors import CoteachWarning, OptionError, RasterError
from coteach.labels.borders import share_of_furthest
from coteach.labels.confidence import entropy, entropy_range, scaled_entropy, weighted_mean
from coteach.labels.few_votes import MOST, FewVotes
from coteach.labels.fusion import Fusion
from coteach.labels.votes import argmax_codes
from coteach.rasters.border_distances import FURTHEST_TAG, Codes, write_distances
from coteach.rasters.fingerprint import plain
from coteach.rasters.grid import Grid, Window
from coteach.rasters.handles import kept_open
from coteach.rasters.making import making, sweep
from coteach.rasters.options import BuildOptions
from coteach.rasters.read import read_image, read_soft_label
from coteach.rasters.sources import Tile
from coteach.rasters.tile import TileTask, build_tile, job_of
from coteach.rasters.tile_files import p_soft_path
from coteach.rasters.tile_job import TileJob
from coteach.rasters.tile_recipe import recipe_of
from coteach.rasters.tile_sources import TileSources

MADE_OF_TAG = "SOFT_LABEL_MADE_OF"
ENTROPY_TAG = "SOFT_LABEL_ENTROPY"  # least and greatest, in nats


class SoftLabelCache:
    """The soft labels of tiles. Files of sources are looked at when a process first reads a tile of theirs.

    Args:
        folder: where the tiles are kept; made if it is not there. One folder for one way to make them.
        options: how they are made, and how W_conf is: a change of the latter leaves the files as they are.

    Raises:
        OptionError: the folder cannot be written.
    """

    def __init__(self, folder: Path, options: BuildOptions) -> None:
        self._folder = folder
        self._options = options
        self._fusion = Fusion(options.num_classes, options.vote_weights)
        exact = self._fusion.counts_votes(len(options.source_keys))
        # what W_conf alone depends on is left at one setting, lest it enter the fingerprint
        self._kept = replace(
            options,
            alpha=1.0,
            use_border=False,
            border_source="auto",
            border_radius=10,
            entropy_norm="max_entropy",
            dtype="uint8" if exact else "float32",
        )
        few = exact and len(options.source_keys) <= MOST
        self._entropy = FewVotes(len(options.source_keys)).entropy if few else entropy
        self._made_of: dict[str, str] = {}
        self._told: dict[str, set[int]] = {}
        with _writable(folder):
            folder.mkdir(parents=True, exist_ok=True)
            sweep(folder)

    def read(
        self, tile: Tile, window: Window
    ) -> tuple[Float32[np.ndarray, "c h w"], Float32[np.ndarray, "h w"], Bool[np.ndarray, "h w"]]:
        """P_soft, W_conf and where there was a vote; W_conf is that part of the tile's, to the last bit.

        Args:
            tile: made now if it is not there, or if its sources have changed.
            window: the part to read.

        Returns:
            ``(C, h, w)`` shares, uniform without a vote; ``(h, w)`` weights, 0 there; and ``(h, w)``.

        Raises:
            RasterError: a file of the tile cannot be used, or not be written.
        """
        shares = self._options.shares
        job = job_of(tile, self._options, self._fusion)
        tags = self._p_soft_tags(tile)
        p_soft, _, voted = read_soft_label(self.path_of(tile), None, window)
        by_entropy = by_border = None
        if shares.entropy > 0:
            low, high = 0.0, math.log(len(p_soft))
            if self._options.entropy_norm == "minmax":
                low, high = map(float, tags[ENTROPY_TAG].split())
            by_entropy = scaled_entropy(self._entropy(p_soft), low, high)
        if shares.border > 0:
            by_border = self._by_border(job, window)
        return p_soft, weighted_mean(shares, voted, by_entropy, by_border, None), voted

    def path_of(self, tile: Tile) -> Path:
        """Where P_soft of a tile is kept."""
        return self._folder / f"{tile.tile_id}.tif"

    def _p_soft_tags(self, tile: Tile) -> Mapping[str, str]:
        """The tags of P_soft, which is there afterwards."""
        path, made_of = self.path_of(tile), self._fingerprint(tile)
        tags = _tags(path, made_of)
        if tags is None:
            with self._making() as folder:
                self._make_p_soft(tile, folder, made_of)
                p_soft_path(folder, tile.tile_id).replace(path)
            tags = _tags(path, made_of)
        if tags is None:
            raise _disputed(path)
        return tags

    def _make_p_soft(self, tile: Tile, folder: Path, made_of: str) -> None:
        result = build_tile(TileTask(tile), self._kept, self._fusion, folder)
        if result.figures is None:
            thing, _, cause = result.error.partition(": ")
            cause, _, remedy = cause.rpartition("; ")
            raise RasterError(thing, cause, remedy)
        self._tell_unknown(tile, result.figures.unknown)
        shares, votes = self._fusion.shares(result.figures.patterns.codes)
        low, high = entropy_range(shares, votes > 0)
        with rasterio.open(p_soft_path(folder, tile.tile_id), "r+") as dataset:
            dataset.update_tags(**{MADE_OF_TAG: made_of, ENTROPY_TAG: f"{low!r} {high!r}"})

    def _tell_unknown(self, tile: Tile, unknown: Mapping[str, Mapping[str, int]]) -> None:
        """Warn of codes that are no class when a process first meets them in a column."""
        for key, codes in unknown.items():
            told = self._told.setdefault(key, set())
            new = sorted(set(map(int, codes)) - told)
            told.update(new)
            if new:
                warnings.warn(
                    f"{key} holds codes other than 0 to {self._options.num_classes - 1}, which do not vote: "
                    f"{', '.join(map(str, new))} (first in {tile.sources[key]}); a legend says what they mean",
                    CoteachWarning,
                    stacklevel=2,
                )

    def _by_border(self, job: TileJob, window: Window) -> Float32[np.ndarray, "h w"]:
        """The border's part of W_conf; a distance to the mask's is divided by the radius, else by the largest."""
        name = "argmax" if job.of_argmax else "mask"
        path, made_of = self._folder / name / f"{job.tile.tile_id}.tif", self._fingerprint(job.tile)
        tags = _tags(path, made_of)
        if tags is None:
            grid = Grid.anywhere(self.path_of(job.tile))
            with self._making() as folder, self._codes(job, grid) as codes:
                made = folder / path.name
                write_distances(made, grid, codes, {MADE_OF_TAG: made_of})
                path.parent.mkdir(exist_ok=True)
                made.replace(path)
            tags = _tags(path, made_of)
        if tags is None:
            raise _disputed(path)
        furthest = float(tags[FURTHEST_TAG]) if job.of_argmax else float(self._options.border_radius)
        return share_of_furthest(read_image(path, window)[0][0], furthest)

    @contextmanager
    def _codes(self, job: TileJob, grid: Grid) -> Iterator[Codes]:
        """The classes whose borders count."""
        path, border = self.path_of(job.tile), job.border
        if border is None:

            def best(window: Window) -> Int16[np.ndarray, "h w"]:
                p_soft, _, voted = read_soft_label(path, None, window)
                return argmax_codes(p_soft, voted)

            yield best
            return
        sources = TileSources(job.tile, self._options, grid)
        try:
            yield lambda window: sources.votes(border, window)
        finally:
            sources.close()

    @contextmanager
    def _making(self) -> Iterator[Path]:
        """A folder to make files in, on the same disk; one that a killed process left is never looked at."""
        with _writable(self._folder), making(self._folder) as made:
            yield made

    def _fingerprint(self, tile: Tile) -> str:
        """What a tile is made of, as its files were when this process first asked."""
        if tile.tile_id not in self._made_of:
            made_of = recipe_of(TileJob(tile, self._kept, self._fusion, border=None))
            text = json.dumps(plain(made_of), sort_keys=True)
            self._made_of[tile.tile_id] = hashlib.sha256(text.encode()).hexdigest()
        return self._made_of[tile.tile_id]


def _tags(path: Path, made_of: str) -> Mapping[str, str] | None:
    """The tags of a file, if it is there and made of this."""
    if not path.is_file():
        return None
    try:
        with kept_open(path) as dataset:
            tags: Mapping[str, str] = dataset.tags()
    except RasterError:  # damaged: to be made again
        return None
    return tags if tags.get(MADE_OF_TAG) == made_of else None


def _disputed(path: Path) -> RasterError:
    cause = "was replaced, while it was made, by one made of other sources or in another way"
    return RasterError(str(path), cause, "give each data set a cache_dir of its own")


@contextmanager
def _writable(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        cause = f"cannot be written ({error})"
        remedy = "free space there, or choose a folder that can be written"
        raise OptionError(f"cache_dir {folder}", cause, remedy) from error
