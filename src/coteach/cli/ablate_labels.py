"""The label sets of an ablation: each is built once, and all are divided alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from coteach.cli.progress import track
from coteach.cli.variants import LabelSet, Variant
from coteach.data.splits import generate_training_csv
from coteach.errors import IncompleteError, OptionError
from coteach.rasters.build import build_soft_labels
from coteach.rasters.embeddings import check_embeddings
from coteach.rasters.read import raster_shape
from coteach.rasters.sources import Tile, read_rows
from coteach.tables import Table, path_from, read_table, write_table

REFERENCE = "reference_path"  # column of the split tables
_EMBEDDING_OPTIONS = {"gcs": "--aef-gcs-dir", "hf": "--aef-hf-dir"}


@dataclass(frozen=True, kw_only=True)
class Splitting:
    """How tiles or patches are divided, see ``coteach.generate_training_csv``.

    Args:
        train_ratio: share for training.
        val_ratio: share for validation.
        seed: of the draw.
        by: ``row``, ``tile`` or ``block``; None goes by the manifest.
        block_size: side of a block in pixels.
    """

    train_ratio: float = 0.7
    val_ratio: float = 0.15
    seed: int = 42
    by: str | None = None
    block_size: int | None = None


@dataclass(frozen=True, kw_only=True)
class Sources:
    """The maps of an ablation, and how they become label sets.

    Args:
        table: sources.csv.
        num_classes: C.
        image_key: column of the image.
        mask_key: column of the mask; None if there is none.
        lulc_keys: columns of the other maps.
        reference_key: column of the map that all runs are measured against.
        ignore_codes: codes that are known to mean no vote.
        legends: column -> value -> class.
        embeddings: kind, ``gcs`` or ``hf`` -> folder of embeddings.
        patch_size: side of the patches; None trains on whole tiles.
        stride: pixels from one patch to the next.
        max_workers: processes of a build.
        splitting: of the tiles or patches.
    """

    table: Path
    num_classes: int
    image_key: str
    mask_key: str | None
    lulc_keys: tuple[str, ...]
    reference_key: str
    ignore_codes: tuple[int, ...] = ()
    legends: Mapping[str, Mapping[int, int]] = field(default_factory=dict)
    embeddings: Mapping[str, Path] = field(default_factory=dict)
    patch_size: int | None = None
    stride: int | None = None
    max_workers: int = 4
    splitting: Splitting = field(default_factory=Splitting)

    @property
    def voting(self) -> tuple[str, ...]:
        """The columns that vote."""
        return self.lulc_keys if self.mask_key is None else (self.mask_key, *self.lulc_keys)


def check_possible(variants: Sequence[Variant], sources: Sources) -> int:
    """Refuse, before anything is built, variants that cannot be had from these sources.

    Returns:
        The number of bands of the first image.

    Raises:
        OptionError: a variant needs a mask, other maps, or embeddings that are not there; all such are named.
        TableError: a column or a reference is missing.
    """
    lacking = {variant.name: need for variant in variants if (need := _lacking(variant, sources)) is not None}
    if lacking:
        cause = ", ".join(f"{name} needs {need}" for name, need in lacking.items())
        raise OptionError("--variants", cause, "give what is needed, or leave these variants out")
    table = read_table(sources.table)
    tiles = _tiles(table, sources)
    for kind in {variant.labels.embeddings for variant in variants} - {None}:
        assert kind is not None
        check_embeddings(sources.embeddings[kind], [tile.tile_id for tile in tiles], kind)
    references(table, sources)
    return raster_shape(tiles[0].image)[0]


def _lacking(variant: Variant, sources: Sources) -> str | None:
    """What a variant needs and the sources have not; None if they have all."""
    kind = variant.labels.embeddings
    if kind is not None and kind not in sources.embeddings:
        return f"embeddings ({_EMBEDDING_OPTIONS[kind]})"
    if variant.needs_mask and sources.mask_key is None:
        return "a mask (--mask-key)"
    if not variant.labels.mask_only and not sources.voting:
        return "maps (--lulc-key)"
    return None


def _tiles(table: Table, sources: Sources) -> list[Tile]:
    """The tiles of the table; rows that name none are left to the build, which reports them."""
    rows = read_rows(table, sources.image_key, sources.voting)
    tiles = [tile for tile in (row.tile() for row in rows) if isinstance(tile, Tile)]
    if not tiles:
        raise OptionError(str(table.path), "no row names a tile", "coteach check says what is wrong with it")
    return tiles


def references(table: Table, sources: Sources) -> dict[str, Path]:
    """Tile -> the map that it is measured against.

    Raises:
        TableError: the column is missing, or a cell of it is empty.
    """
    table.require(sources.reference_key)
    found = {}
    rows = read_rows(table, sources.image_key, sources.voting)
    for index, row in enumerate(rows):
        found[row.tile_id] = table.located(table.text(index, sources.reference_key))
    return found


def build_label_set(labels: LabelSet, sources: Sources, folder: Path) -> dict[str, Path]:
    """Build a label set, unless it is up to date, and divide it.

    Args:
        labels: which.
        sources: of what.
        folder: gets it, under its name.

    Returns:
        Split -> table, whose column ``reference_path`` has what to measure against.

    Raises:
        IncompleteError: a tile failed: the splits of such a set would not be those of the others.
        CoteachError: it cannot be built or divided.
    """
    own = folder / labels.name
    report = build_soft_labels(
        sources.table,
        own,
        sources.num_classes,
        image_key=sources.image_key,
        mask_key=sources.mask_key,
        lulc_keys=() if labels.mask_only else sources.lulc_keys,
        ignore_codes=sources.ignore_codes,
        legends={key: legend for key, legend in sources.legends.items() if _votes(key, labels, sources)},
        patch_size=sources.patch_size,
        stride=sources.stride,
        max_workers=sources.max_workers,
        progress=track,
        aef_embeddings_dir=None if labels.embeddings is None else sources.embeddings[labels.embeddings],
        **labels.options,
    )
    if report.failures:
        tile, error = report.failures[0]
        more = f" and {len(report.failures) - 1} more" if len(report.failures) > 1 else ""
        cause = f"tile {tile or 'without an id'} failed ({error}){more}"
        raise IncompleteError(f"label set {labels.name!r}", cause, "correct the tile, or drop its row")
    return _divide(report.manifest, own, sources)


def _votes(key: str, labels: LabelSet, sources: Sources) -> bool:
    return key == sources.mask_key or not labels.mask_only


def _divide(manifest: Path, folder: Path, sources: Sources) -> dict[str, Path]:
    table = read_table(manifest)
    found = references(read_table(sources.table), sources)
    rows = [row | {REFERENCE: path_from(folder, found[row["tile_id"]])} for row in table.rows]
    measured = folder / "measured.csv"
    write_table(measured, [*table.columns, REFERENCE], rows)
    splitting = sources.splitting
    split = generate_training_csv(
        measured,
        folder / "splits",
        train_ratio=splitting.train_ratio,
        val_ratio=splitting.val_ratio,
        seed=splitting.seed,
        by=splitting.by,
        block_size=splitting.block_size,
    )
    for name in ("train", "test"):
        if not split.rows[name]:
            raise OptionError(
                f"the {name} split",
                "is empty",
                "give more tiles, another --split-seed, or --split-by block with --patch-size",
            )
    return {name: file for name, file in split.files.items() if split.rows[name]}
