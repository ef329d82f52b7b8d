"""Manifest -> train, val and test tables, such that no pixel of one is seen in another."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from coteach.data.split_units import SPLITS, Patch, assign, blocks_touched, whole_units
from coteach.errors import OptionError, RasterError, TableError
from coteach.files import whole_file
from coteach.tables import Table, path_from, read_table, table_text

UNITS = ("row", "tile", "block")
_WINDOW = ("row_off", "col_off", "patch_size")
_SHOWN = 20  # missing files listed in an error


@dataclass(frozen=True, slots=True)
class SplitReport:
    """What :func:`generate_training_csv` wrote.

    Args:
        files: split -> its table.
        rows: split -> how many rows it holds.
        units: split -> how many rows, tiles or blocks were drawn into it.
        by: what was drawn: ``"row"``, ``"tile"`` or ``"block"``.
        left_out: rows in no split, as they touch blocks of two.
        leaks: whether patches of one tile may lie in two splits and overlap.
    """

    files: Mapping[str, Path]
    rows: Mapping[str, int]
    units: Mapping[str, int]
    by: str
    left_out: int
    leaks: bool


def generate_training_csv(
    manifest_csv: str | os.PathLike[str],
    output_dir: str | os.PathLike[str],
    *,
    train_ratio: float = 0.70,
    val_ratio: float = 0.15,
    seed: int = 42,
    by: str | None = None,
    block_size: int | None = None,
    image_dir: str | os.PathLike[str] | None = None,
    image_extension: str = ".tif",
) -> SplitReport:
    """Divide a manifest into ``train.csv``, ``val.csv`` and ``test.csv``; test gets what the two ratios leave.

    All columns are kept. Relative paths are rewritten so that they hold from ``output_dir``.

    Args:
        manifest_csv: a table with ``tile_id``; a patch manifest has ``row_off``, ``col_off``, ``patch_size`` too.
        output_dir: folder of the three tables; made if it is not there.
        train_ratio: share of the units, in (0, 1].
        val_ratio: share of the units, in [0, 1 - train_ratio].
        seed: the draw depends on it and on the units' names, not on the order of rows.
        by: what is drawn as a whole: ``"tile"`` (default for patches), ``"row"`` (default for tiles) or
            ``"block"``, squares of pixels within each tile; a patch that touches two splits is then left out.
        block_size: side of a block in pixels; default four times the largest patch.
        image_dir: a folder that holds the images as ``{tile_id}{image_extension}``; replaces ``image_path``.
        image_extension: with its dot.

    Returns:
        The files and their counts.

    Raises:
        OptionError: ratios out of range, too few units for the splits, a block smaller than a patch.
        TableError: the manifest is missing, empty, lacks a column or holds a bad value.
        RasterError: an image is not in ``image_dir``.
    """
    ratios = _ratios(train_ratio, val_ratio)
    manifest = read_table(manifest_csv)
    if not manifest.rows:
        raise TableError(str(manifest.path), "has no rows", "give the manifest of a build that succeeded")
    patched = set(_WINDOW) <= set(manifest.columns)
    by = by or ("tile" if patched else "row")
    touched = _units(manifest, by, block_size)
    _check_enough(touched, ratios, by, patched=patched)
    images = None if image_dir is None else _images(manifest, Path(image_dir), image_extension)
    splits, drawn = assign(touched, ratios, seed)

    files, counts = _write(manifest, splits, images, Path(output_dir))
    return SplitReport(
        files=files,
        rows=counts,
        units={split: list(drawn.values()).count(split) for split in SPLITS},
        by=by,
        left_out=splits.count(None),
        leaks=patched and by == "row",
    )


def _write(
    manifest: Table, splits: list[str | None], images: list[Path] | None, folder: Path
) -> tuple[dict[str, Path], dict[str, int]]:
    """Write the three tables; their paths and their numbers of rows."""
    folder.mkdir(parents=True, exist_ok=True)
    columns = dict.fromkeys(manifest.columns)
    rows: dict[str, list[dict[str, str]]] = {split: [] for split in SPLITS}
    for index, split in enumerate(splits):
        if split is None:
            continue
        row = manifest.row_for(index, folder)
        if images is not None:
            image = images[index]
            row["image_path"] = str(image) if image.is_absolute() else path_from(folder, image)
        columns.update(dict.fromkeys(row))
        rows[split].append(row)
    files = {split: folder / f"{split}.csv" for split in SPLITS}
    with ExitStack() as stack:
        partial = {split: stack.enter_context(whole_file(file)) for split, file in files.items()}
        for split, file in partial.items():
            file.write_bytes(table_text(list(columns), rows[split]).encode())
        # killed from here on, a table is missing: old and new ones would share pixels
        for file in files.values():
            file.unlink(missing_ok=True)
    return files, {split: len(rows[split]) for split in SPLITS}


def _ratios(train: float, val: float) -> tuple[float, float, float]:
    for option, value in (("--train-ratio", train), ("--val-ratio", val)):
        if not (math.isfinite(value) and 0 <= value <= 1):
            raise OptionError(option, f"{value} is no share", "give a number from 0 to 1")
    if train == 0:
        raise OptionError("--train-ratio", "0 leaves nothing to train on", "give a share above 0")
    test = round(1 - train - val, 9)  # 1 - 0.7 - 0.3 is not quite 0
    if test < 0:
        remedy = "make them sum to at most 1; test gets what remains"
        raise OptionError("--train-ratio and --val-ratio", f"{train} and {val} sum to more than 1", remedy)
    return train, val, test


def _units(manifest: Table, by: str, block_size: int | None) -> list[frozenset[str]]:
    """The units that each row of the manifest touches."""
    if by not in UNITS:
        raise OptionError("--by", f"{by!r} is none of {', '.join(UNITS)}", "choose one of them")
    if block_size is not None and by != "block":
        raise OptionError("--block-size", f"has no meaning with --by {by}", "add --by block, or leave it out")
    manifest.require("tile_id")
    places = range(len(manifest.rows))
    tiles = [manifest.text(index, "tile_id") for index in places]
    if by == "tile":
        return [frozenset({tile}) for tile in tiles]
    if by == "row":
        window = [column for column in _WINDOW if column in manifest.columns]
        return [frozenset({"/".join([tiles[i], *(manifest.rows[i][w] for w in window)])}) for i in places]
    manifest.require(*_WINDOW)
    patches = [
        Patch(
            tiles[index],
            manifest.integer(index, "row_off"),
            manifest.integer(index, "col_off"),
            manifest.integer(index, "patch_size", minimum=1),
        )
        for index in places
    ]
    largest = max(patch.size for patch in patches)
    if block_size is not None and block_size < largest:
        cause = f"{block_size} pixels are less than a patch of {largest}: none would lie in a block"
        raise OptionError("--block-size", cause, f"give at least {largest}, better a multiple of it")
    return blocks_touched(patches, block_size or 4 * largest)


def _check_enough(
    touched: list[frozenset[str]], ratios: tuple[float, float, float], by: str, *, patched: bool
) -> None:
    """Refuse to leave a split empty that the ratios ask for."""
    wanted = [split for split, ratio in zip(SPLITS, ratios, strict=True) if ratio > 0]
    count = len(whole_units(touched))
    if count >= len(wanted):
        return
    if by == "block":
        remedy = "give a smaller --block-size"
    elif patched:
        remedy = "divide the tiles themselves with --by block"
    else:
        remedy = "build patches (build-soft-labels --patch-size) and divide the tiles with --by block"
    cause = f"{count} {by}{'s' * (count != 1)} cannot fill {', '.join(wanted)}"
    raise OptionError(f"--by {by}", cause, f"{remedy}, or ask for fewer splits with the ratios")


def _images(manifest: Table, folder: Path, extension: str) -> list[Path]:
    """The image of every row, found in a folder by the tile's id."""
    images = []
    for index in range(len(manifest.rows)):
        tile = manifest.text(index, "tile_id")
        if Path(tile).name != tile:
            remedy = "use a plain name, without folders"
            raise TableError(manifest.where(index), f"tile_id {tile!r} is no file name", remedy)
        images.append(folder / f"{tile}{extension}")
    missing = sorted({image.name for image in images if not image.is_file()})
    if missing:
        shown = ", ".join(missing[:_SHOWN]) + (", …" if len(missing) > _SHOWN else "")
        cause = f"{len(missing)} of {len(set(images))} images are not there: {shown}"
        remedy = "put them there, or give --image-extension as the files have it"
        raise RasterError(str(folder), cause, remedy)
    return images
