"""One tile: its label maps -> its P_soft and W_conf files, unless they are up to date."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int16

from coteach.errors import CoteachError, RasterError
from coteach.labels.confidence import confidence_weight
from coteach.labels.votes import argmax_ties, vote_shares
from coteach.rasters.codes import read_codes
from coteach.rasters.dataset import files_behind, opened
from coteach.rasters.fingerprint import read_record, stamps, write_record
from coteach.rasters.grid import Grid
from coteach.rasters.legend import find_legend, legend_tags
from coteach.rasters.options import BuildOptions
from coteach.rasters.rules import checked_grid, image_rules
from coteach.rasters.sources import Tile
from coteach.rasters.write import write_raster

P_SOFT, W_CONF, RECORDS = "p_soft", "w_conf", "fingerprints"


@dataclass(frozen=True, slots=True)
class TileFigures:
    """What is told of a tile that is done.

    Args:
        height: rows.
        width: columns.
        no_vote: pixels without a vote.
        ties: pixels where several classes have the largest share.
        unknown: column -> code as text -> pixels that hold this code, which is no class.
    """

    height: int
    width: int
    no_vote: int
    ties: int
    unknown: Mapping[str, Mapping[str, int]]


@dataclass(frozen=True, slots=True)
class TileResult:
    """What became of a tile.

    Args:
        tile_id: its id.
        figures: None if it failed.
        error: why it failed; empty if it did not.
        fresh: whether its files were made now, or were there already.
    """

    tile_id: str
    figures: TileFigures | None
    error: str = ""
    fresh: bool = False


def p_soft_path(output_dir: Path, tile_id: str) -> Path:
    """Where P_soft of a tile is."""
    return output_dir / P_SOFT / f"{tile_id}.tif"


def w_conf_path(output_dir: Path, tile_id: str) -> Path:
    """Where W_conf of a tile is."""
    return output_dir / W_CONF / f"{tile_id}.tif"


def build_tile(tile: Tile, options: BuildOptions, output_dir: Path) -> TileResult:
    """Make the files of a tile; what is wrong with the tile is in the result."""
    try:
        return _build(tile, options, output_dir)
    except CoteachError as error:
        return TileResult(tile.tile_id, None, str(error))
    except MemoryError:
        remedy = "try fewer --max-workers, or a smaller tile"
        return TileResult(
            tile.tile_id, None, str(RasterError(tile.tile_id, "does not fit into memory", remedy))
        )
    except OSError as error:
        remedy = "free space there, or choose a folder that can be written"
        return TileResult(
            tile.tile_id, None, str(RasterError(tile.tile_id, f"cannot be kept ({error})", remedy))
        )


def died(tile: Tile) -> TileResult:
    """The result of a tile whose process was killed."""
    cause = "the process that worked on it was killed or crashed, perhaps for want of memory"
    return TileResult(tile.tile_id, None, str(RasterError(tile.tile_id, cause, "try fewer --max-workers")))


def _build(tile: Tile, options: BuildOptions, output_dir: Path) -> TileResult:
    outputs = [p_soft_path(output_dir, tile.tile_id), w_conf_path(output_dir, tile.tile_id)]
    record = output_dir / RECORDS / f"{tile.tile_id}.json"
    grid = _image_grid(tile, options)
    border = _border_source(tile, options)
    made_of = _made_of(tile, options)
    kept = read_record(record, made_of, outputs)
    if kept is not None:
        return TileResult(tile.tile_id, TileFigures(**kept))
    codes, unknown = _read_sources(tile, options, grid)
    p_soft, votes = vote_shares(codes, options.num_classes)
    voted = votes > 0
    w_conf = confidence_weight(
        p_soft,
        voted,
        alpha=options.alpha,
        beta=options.beta,
        use_border=options.use_border,
        mask_codes=None if border is None else codes[list(tile.sources).index(border)],
        border_radius=options.border_radius,
        entropy_norm=options.entropy_norm,
    )
    names, colors = find_legend(_mask_first(tile, options), options.num_classes)
    write_raster(
        outputs[0],
        p_soft,
        grid,
        valid=voted,
        tags=legend_tags(names, colors),
        descriptions=names or [f"class {code}" for code in range(options.num_classes)],
    )
    write_raster(outputs[1], w_conf, grid, valid=voted, descriptions=["W_conf"])
    figures = TileFigures(
        height=grid.height,
        width=grid.width,
        no_vote=int(np.count_nonzero(~voted)),
        ties=int(np.count_nonzero(argmax_ties(p_soft, voted))),
        unknown=unknown,
    )
    write_record(record, made_of, outputs, asdict(figures))
    return TileResult(tile.tile_id, figures, fresh=True)


def _image_grid(tile: Tile, options: BuildOptions) -> Grid:
    with _named(tile, f"image {options.image_key!r}"), opened(tile.image) as dataset:
        return checked_grid(dataset, image_rules(options.patch_size))


def _mask_first(tile: Tile, options: BuildOptions) -> list[Path]:
    """The sources in the order in which their names and colours of classes count."""
    return [tile.sources[key] for key in sorted(tile.sources, key=lambda key: key != options.mask_key)]


def _border_source(tile: Tile, options: BuildOptions) -> str | None:
    """The column whose borders count; None for those of argmax P_soft.

    Raises:
        RasterError: the mask's borders are asked for, and the tile has no mask.
    """
    if not options.use_border or options.border_source == "argmax":
        return None
    if options.mask_key in tile.sources:
        return options.mask_key
    if options.border_source == "mask":
        cause = f"{options.mask_key!r} is empty, and --border-source mask needs a mask"
        raise RasterError(tile.tile_id, cause, "fill the cell, or use --border-source auto")
    return None


def _made_of(tile: Tile, options: BuildOptions) -> dict[str, Any]:
    """All that decides what the tile's files hold."""
    with _named(tile, f"image {options.image_key!r}"):
        files = files_behind(tile.image)
    for key, path in tile.sources.items():
        with _named(tile, f"source {key!r}"):
            files += files_behind(path)
    return {
        "options": options.recipe(),
        "mask": options.mask_key,
        "image": str(tile.image.absolute()),
        "sources": {key: str(path.absolute()) for key, path in tile.sources.items()},
        "files": stamps(file.absolute() for file in files),
    }


def _read_sources(
    tile: Tile, options: BuildOptions, grid: Grid
) -> tuple[Int16[np.ndarray, "s h w"], dict[str, dict[str, int]]]:
    """The codes of every source on the image's grid; and of every source, its unknown codes."""
    codes = np.empty((len(tile.sources), grid.height, grid.width), np.int16)
    unknown = {}
    for number, (key, path) in enumerate(tile.sources.items()):
        strange: Counter[int] = Counter()
        with _named(tile, f"source {key!r}"):
            codes[number] = read_codes(path, grid, options.num_classes, unknown=strange)
        if strange:
            unknown[key] = {str(code): count for code, count in sorted(strange.items())}
    return codes, unknown


@contextmanager
def _named(tile: Tile, what: str) -> Iterator[None]:
    """Put the tile and the column in front of what is wrong with a file."""
    try:
        yield
    except RasterError as error:
        raise RasterError(tile.tile_id, f"{what} ({error.thing}) {error.cause}", error.remedy) from error
