"""The label sets of an ablation: each is built once, and all are divided alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from coteach.cli.ablate_references import check_references
from coteach.cli.ablate_sources import Sources
from coteach.cli.build_summary import codes_in_words
from coteach.cli.progress import track
from coteach.cli.variants import LabelSet, Variant
from coteach.data.splits import generate_training_csv
from coteach.errors import IncompleteError, OptionError
from coteach.rasters.build import build_soft_labels
from coteach.rasters.embeddings import check_embeddings
from coteach.rasters.read import raster_shape
from coteach.rasters.sources import Tile, read_rows
from coteach.tables import Table, path_from, read_table, write_table

REFERENCE = "reference_path"  # column of the table that is measured
_EMBEDDING_OPTIONS = {"gcs": "--aef-gcs-dir", "hf": "--aef-hf-dir"}


def check_possible(variants: Sequence[Variant], sources: Sources) -> int:
    """Refuse, before anything is built, variants that cannot be had from these sources.

    Returns:
        The number of bands of the first image.

    Raises:
        OptionError: a variant needs a mask, other maps, or embeddings that are not there; all such are named. Or a legend
            is that of no map.
        TableError: a column or a reference is missing.
        RasterError: a reference cannot be used.
    """
    lacking = {variant.name: need for variant in variants if (need := _lacking(variant, sources)) is not None}
    if lacking:
        cause = ", ".join(f"{name} needs {need}" for name, need in lacking.items())
        raise OptionError("--variants", cause, "give what is needed, or leave these variants out")
    known = {*sources.voting, sources.reference_key}
    other = next((key for key in sources.legends if key not in known), None)
    if other is not None:
        cause = f"{other!r} is neither the reference nor a column that votes ({', '.join(sources.voting)})"
        raise OptionError("--legend", cause, "correct the name, or name the column with --lulc-key")
    table = read_table(sources.table)
    tiles = _tiles(table, sources)
    for kind in {variant.labels.embeddings for variant in variants} - {None}:
        assert kind is not None
        check_embeddings(sources.embeddings[kind], [tile.tile_id for tile in tiles], kind)
    check_references(table, sources)
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


def build_label_set(
    labels: LabelSet, sources: Sources, folder: Path, measured: Mapping[str, Path]
) -> dict[str, Path]:
    """Build a label set, unless it is up to date, and divide it.

    Args:
        labels: which.
        sources: of what.
        folder: gets it, under its name.
        measured: tile -> what to measure against.

    Returns:
        Split -> table; that of ``test`` has the column ``reference_path``. The others have not: what is measured does not
        change a training.

    Raises:
        IncompleteError: a tile failed: the splits of such a set would not be those of the others. Or maps hold codes that
            nobody explains.
        CoteachError: it cannot be built or divided.
    """
    own = folder / labels.name
    maps = () if labels.mask_only else sources.lulc_keys
    report = build_soft_labels(
        sources.table,
        own,
        sources.num_classes,
        image_key=sources.image_key,
        mask_key=sources.mask_key,
        lulc_keys=maps,
        ignore_codes=sources.ignore_codes,
        legends={key: legend for key, legend in sources.legends.items() if key in (sources.mask_key, *maps)},
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
    if report.unknown:
        cause = codes_in_words(report.unknown, sources.num_classes)
        remedy = "say with --legend what they mean, or name those that mean no vote with --ignore-code"
        raise IncompleteError(f"label set {labels.name!r}", cause, remedy)
    return _divide(report.manifest, own / "splits", sources, measured)


def _divide(manifest: Path, folder: Path, sources: Sources, measured: Mapping[str, Path]) -> dict[str, Path]:
    splitting = sources.splitting
    split = generate_training_csv(
        manifest,
        folder,
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
    table = read_table(split.files["test"])
    rows = [row | {REFERENCE: path_from(folder, measured[row["tile_id"]])} for row in table.rows]
    write_table(folder / "measured.csv", [*table.columns, REFERENCE], rows)
    files = {name: file for name, file in split.files.items() if split.rows[name]}
    return files | {"test": folder / "measured.csv"}
