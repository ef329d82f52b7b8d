"""``coteach generate-training-csv``."""

from __future__ import annotations

from pathlib import Path

import click

from coteach.cli.output import say, warn

_EPILOG = """\b
Example:
  coteach generate-training-csv soft/soft_label_patches.csv --output-dir splits --by block
"""


@click.command(epilog=_EPILOG)
@click.argument("manifest", type=click.Path(path_type=Path))
@click.option(
    "--output-dir", type=click.Path(path_type=Path), required=True, help="Folder of the three tables."
)
@click.option("--train-ratio", default=0.70, show_default=True, help="Share of the units for training.")
@click.option(
    "--val-ratio", default=0.15, show_default=True, help="Share for validation; test gets the rest."
)
@click.option("--seed", default=42, show_default=True, help="Seed of the draw.")
@click.option(
    "--by",
    type=click.Choice(["row", "tile", "block"]),
    help="What is drawn as a whole. Default: tile for patches, row for tiles. Blocks divide each tile; patches "
    "that reach into two splits are left out.",
)
@click.option("--block-size", type=int, help="Side of a block in pixels. Default: four times the patch.")
@click.option(
    "--image-dir",
    type=click.Path(path_type=Path),
    help="Take the images from this folder, by name: {tile_id}{image-extension}.",
)
@click.option(
    "--image-extension", default=".tif", show_default=True, help="Ending of the images in --image-dir."
)
def generate(
    manifest: Path,
    output_dir: Path,
    train_ratio: float,
    val_ratio: float,
    seed: int,
    by: str | None,
    block_size: int | None,
    image_dir: Path | None,
    image_extension: str,
) -> None:
    """Divide MANIFEST into train.csv, val.csv and test.csv.

    MANIFEST is what build-soft-labels wrote. All of its columns are kept, and its relative paths hold from the
    new folder. The draw depends on the seed and on the names of rows, tiles or blocks, not on the order of rows.
    """
    from coteach.data.splits import generate_training_csv

    report = generate_training_csv(
        manifest,
        output_dir,
        train_ratio=train_ratio,
        val_ratio=val_ratio,
        seed=seed,
        by=by,
        block_size=block_size,
        image_dir=image_dir,
        image_extension=image_extension,
    )
    for split, file in report.files.items():
        count = report.units[split]
        drawn = "" if report.by == "row" else f" from {count} {report.by}{'s' * (count != 1)}"
        say(f"{split:5} {report.rows[split]:7} rows{drawn}: {file}")
    if report.left_out:
        say(f"left out {report.left_out} patches that touch blocks of two splits")
    if report.leaks:
        warn(
            "patches of one tile were drawn apart; where they overlap, pixels of training are seen in "
            "validation and test. Use --by tile or --by block."
        )
