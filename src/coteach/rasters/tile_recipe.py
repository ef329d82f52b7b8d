"""What a tile's files are made of, as its record keeps it: they are made again when it is no more the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from coteach.rasters.dataset import files_behind
from coteach.rasters.embeddings import embedding_path
from coteach.rasters.fingerprint import digests, stamps, standard
from coteach.rasters.options import BuildOptions
from coteach.rasters.sources import Tile
from coteach.rasters.tile_job import TileJob
from coteach.rasters.tile_sources import named


def recipe_of(job: TileJob) -> dict[str, Any]:
    """All that decides what the files of a tile hold, as JSON has it.

    Raises:
        RasterError: one of the files it is made of cannot be read.
    """
    tile, options = job.tile, job.options
    recipe = votes_of(tile, options) | {"by_patch": job.by_patch, "options": options.recipe()}
    recipe |= {"mask": options.mask_key, "fusion": job.fusion.recipe()}
    if options.shares.border > 0:
        recipe["border"] = None if job.of_argmax else [job.border, options.border_radius]
    if options.pixel_embeddings is not None:
        with named(tile, "embeddings"):
            file = embedding_path(options.pixel_embeddings, tile.tile_id, "gcs")
            recipe["embeddings"] = _stamped(files_behind(file) if file.is_file() else [file], options)
    return recipe


def votes_of(tile: Tile, options: BuildOptions) -> dict[str, Any]:
    """All that decides how the sources vote, and in which column of the patterns each of them is.

    Raises:
        RasterError: the image or a source cannot be read.
    """
    with named(tile, f"image {options.image_key!r}"):
        files = files_behind(tile.image)
    for key, path in tile.sources.items():
        with named(tile, f"source {key!r}"):
            files += files_behind(path)
    return {
        "num_classes": options.num_classes,
        "image": str(standard(tile.image)),
        "columns": list(options.source_keys),
        "sources": {key: str(standard(path)) for key, path in tile.sources.items()},
        "legends": {
            key: sorted((int(code), int(meant)) for code, meant in options.legends[key].items())
            for key in tile.sources
            if key in options.legends
        },
        "files": _stamped(files, options),
    }


def _stamped(files: Sequence[Path], options: BuildOptions) -> Mapping[str, Any]:
    """What tells a file from an earlier one of the same name."""
    told = digests if options.fingerprint == "content" else stamps
    return told(standard(file) for file in files)
