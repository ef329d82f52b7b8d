"""``coteach ablate``."""

from __future__ import annotations

from pathlib import Path

import click

from coteach.cli import shared_options as shared
from coteach.errors import OptionError

_EPILOG = """\b
Example:
  coteach ablate sources.csv --output-dir ablation --num-classes 4 --lulc-key esa_path --lulc-key esri_path \\
      --patch-size 64 --split-by block --variants E0,E1,E2,CoT-Full --seeds 3 train_dataset.image_scale=255

\b
Variants:
  E0        mask, hard labels             E4        P_soft, min-max entropy
  E1        P_soft, weight 1              E4-AEF    P_soft, entropy, border, embeddings by pixel
  E2-NB     P_soft, entropy               E5        P_soft, min-max entropy, mask border
  E2        P_soft, entropy, border       CoT-Curr  co-teaching on the labels of E2
  E3        as E2, embeddings by tile     CoT-Full  CoT-Curr and a neighbourhood term

  NAME-NB leaves class borders out of the weights, E4-B takes them in.

Run again after an interruption, it goes on where it was: finished runs are only measured.
"""
_DEFAULT = "E0,E1,E2-NB,E2,E4,E5,CoT-Curr,CoT-Full"


@click.command(epilog=_EPILOG)
@click.argument("sources_csv", type=click.Path(path_type=Path))
@click.argument("overrides", nargs=-1)
@click.option(
    "--output-dir",
    type=click.Path(path_type=Path),
    required=True,
    help="Gets labels, runs, table and report.",
)
@click.option("--num-classes", type=int, required=True, help="C. Codes are 0 to C-1.")
@click.option("--variants", "names", default=_DEFAULT, show_default=True, help="Names, apart by commas.")
@click.option(
    "--both-borders", is_flag=True, help="Train each with and without class borders in its weights."
)
@click.option(
    "--seeds",
    type=click.IntRange(1),
    default=3,
    show_default=True,
    help="Trainings of each variant: seeds 0, 1 …",
)
@click.option(
    "--epochs", type=click.IntRange(1), help="Epochs of every run.  [default: as the configuration says]"
)
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    help="Network, optimizer and so on, as for coteach train.  [default: a small network, see coteach train --list]",
)
@click.option(
    "--reference-key", help="Column of the map that runs are measured against.  [default: the mask]"
)
@shared.image_key("Column of the image.")
@shared.mask_key("Column of the mask, which votes, too.")
@click.option("--no-mask", is_flag=True, help="There is no mask.")
@shared.lulc_keys()
@shared.ignore_codes("A code that means no vote, and no class in the reference.")
@shared.legends("Table code,class of a map, or of the reference.")
@click.option(
    "--aef-gcs-dir", type=click.Path(path_type=Path), help="Embeddings by pixel, {tile_id}.tif, for E4-AEF."
)
@click.option(
    "--aef-hf-dir", type=click.Path(path_type=Path), help="Embeddings by tile, {tile_id}.npy, for E3."
)
@click.option(
    "--patch-size", type=int, help="Train on square patches of this side.  [default: on whole tiles]"
)
@shared.stride
@click.option("--train-ratio", default=0.70, show_default=True, help="Share for training.")
@click.option(
    "--val-ratio", default=0.15, show_default=True, help="Share for validation; test gets the rest."
)
@click.option("--split-seed", default=42, show_default=True, help="Seed of the split.")
@click.option(
    "--split-by",
    type=click.Choice(["row", "tile", "block"]),
    help="What is drawn as a whole, see coteach generate-training-csv.",
)
@click.option("--block-size", type=int, help="Side of a block in pixels.  [default: four times the patch]")
@click.option(
    "--checkpoint",
    type=click.Choice(["last", "best"]),
    default="last",
    show_default=True,
    help="Which weights are measured; best are those of the best validation.",
)
@shared.max_workers("Processes that build labels.")
@shared.allow_target
@click.option("--no-report", is_flag=True, help="Write no report.html.")
def ablate(
    sources_csv: Path,
    overrides: tuple[str, ...],
    output_dir: Path,
    num_classes: int,
    names: str,
    seeds: int,
    epochs: int | None,
    config: Path | None,
    reference_key: str | None,
    image_key: str,
    mask_key: str,
    lulc_keys: tuple[str, ...],
    ignore_codes: tuple[int, ...],
    legends: tuple[str, ...],
    aef_gcs_dir: Path | None,
    aef_hf_dir: Path | None,
    patch_size: int | None,
    stride: int | None,
    train_ratio: float,
    val_ratio: float,
    split_seed: int,
    split_by: str | None,
    block_size: int | None,
    checkpoint: str,
    max_workers: int,
    allow_target: tuple[str, ...],
    *,
    both_borders: bool,
    no_mask: bool,
    no_report: bool,
) -> None:
    """Compare ways to learn from the maps in SOURCES_CSV: build labels, train, measure, one table.

    SOURCES_CSV is that of coteach build-soft-labels; OVERRIDES are key=value, as for coteach train. Every label set
    is built once. All runs are divided alike, and measured on the same held-out pixels against the same map.

    Exit code: 1 if a variant failed; the others are trained and told nevertheless.
    """
    from coteach.cli.ablate_job import AblationJob, finish, work
    from coteach.cli.ablate_labels import check_possible
    from coteach.cli.ablate_runs import base_config
    from coteach.cli.ablate_sources import Sources, Splitting
    from coteach.cli.build_words import read_legends
    from coteach.cli.variants import choose_variants

    variants = choose_variants(_split(names), both_borders=both_borders)
    mask = None if no_mask else mask_key
    reference = reference_key or mask
    if reference is None:
        raise OptionError("--no-mask", "leaves nothing to measure against", "give --reference-key")
    folders = {"gcs": aef_gcs_dir, "hf": aef_hf_dir}
    sources = Sources(
        table=sources_csv,
        num_classes=num_classes,
        image_key=image_key,
        mask_key=mask,
        lulc_keys=lulc_keys,
        reference_key=reference,
        ignore_codes=ignore_codes,
        legends=read_legends(legends, num_classes),
        embeddings={kind: folder for kind, folder in folders.items() if folder is not None},
        patch_size=patch_size,
        stride=stride,
        max_workers=max_workers,
        splitting=Splitting(
            train_ratio=train_ratio, val_ratio=val_ratio, seed=split_seed, by=split_by, block_size=block_size
        ),
    )
    num_bands = check_possible(variants, sources)
    base = base_config(config, overrides, num_classes=num_classes, num_bands=num_bands, epochs=epochs)
    job = AblationJob(
        variants=variants,
        sources=sources,
        base=base,
        folder=output_dir,
        seeds=range(seeds),
        checkpoint=checkpoint,
        allow_target=allow_target,
    )
    finish(job, work(job), report=not no_report)


def _split(names: str) -> list[str]:
    return [name.strip() for name in names.split(",") if name.strip()]
