"""``coteach build-soft-labels``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from coteach.errors import IncompleteError

if TYPE_CHECKING:
    from coteach.rasters.manifest import BuildReport

_SHOWN = 20  # failures printed; all of them are in the file

_EPILOG = """\b
Example:
  coteach build-soft-labels sources.csv --output-dir soft --num-classes 4 \\
      --lulc-key esa_path --lulc-key esri_path --patch-size 256
"""


@click.command(epilog=_EPILOG)
@click.argument("sources", metavar="SOURCES_CSV", type=click.Path(path_type=Path))
@click.option(
    "--output-dir",
    type=click.Path(path_type=Path),
    required=True,
    help="Gets p_soft/, w_conf/ and the manifest.",
)
@click.option(
    "--num-classes", type=int, required=True, help="C. Codes are 0 to C-1; any other code does not vote."
)
@click.option(
    "--alpha", type=float, default=0.6, show_default=True, help="Weight of the sources' agreement in W_conf."
)
@click.option(
    "--beta",
    type=float,
    default=0,
    show_default=True,
    help="Weight of embeddings; alpha + beta <= 1, and borders get what remains.",
)
@click.option(
    "--image-key",
    default="image_path",
    show_default=True,
    help="Column of the image, whose grid is that of the result.",
)
@click.option(
    "--mask-key",
    default="mask_path",
    show_default=True,
    help="Column of the cartographic mask. It votes like the others.",
)
@click.option("--no-mask", is_flag=True, help="Use no mask: it neither votes nor gives borders.")
@click.option(
    "--lulc-key", "lulc_keys", multiple=True, help="Column of a land-cover map. Repeat it for each map."
)
@click.option("--no-border", is_flag=True, help="Leave class borders out of W_conf.")
@click.option(
    "--border-source",
    type=click.Choice(["auto", "mask", "argmax"]),
    default="auto",
    show_default=True,
    help="Whose borders count: the mask's, or those of the class with most votes. auto: the mask's where the "
    "tile has one.",
)
@click.option(
    "--border-radius",
    type=float,
    default=10,
    show_default=True,
    help="Pixels from the mask's borders at which a label is trusted fully.",
)
@click.option(
    "--entropy-norm",
    type=click.Choice(["max_entropy", "minmax"]),
    default="max_entropy",
    show_default=True,
    help="How entropy becomes a weight: against the highest possible one, or against the tile's range.",
)
@click.option("--patch-size", type=int, help="List square patches of this side instead of whole tiles.")
@click.option("--stride", type=int, help="Pixels from one patch to the next.  [default: the patch size]")
@click.option(
    "--max-workers", type=int, default=4, show_default=True, help="Tiles worked on at once, in processes."
)
def build(
    sources: Path,
    output_dir: Path,
    num_classes: int,
    alpha: float,
    beta: float,
    image_key: str,
    mask_key: str,
    lulc_keys: tuple[str, ...],
    border_source: str,
    border_radius: float,
    entropy_norm: str,
    patch_size: int | None,
    stride: int | None,
    max_workers: int,
    *,
    no_mask: bool,
    no_border: bool,
) -> None:
    """Fuse the label maps of each tile in SOURCES_CSV into P_soft (vote shares) and W_conf (confidence).

    SOURCES_CSV has one row a tile: tile_id (else the image's name counts), image_path, mask_path and a column for
    each land-cover map. An empty cell means that the tile lacks this map. Maps of any grid and CRS are brought onto
    the image's grid by nearest neighbour; where one has NoData, an unknown code, or does not reach, it does not vote.

    Run again, only tiles whose files or options changed are made. If a tile fails, the others are still made, and
    failures.csv says why.
    """
    from coteach.cli.progress import track
    from coteach.rasters.build import build_soft_labels

    report = build_soft_labels(
        sources,
        output_dir,
        num_classes,
        alpha=alpha,
        beta=beta,
        use_border=not no_border,
        border_source=border_source,
        border_radius=border_radius,
        entropy_norm=entropy_norm,
        image_key=image_key,
        mask_key=None if no_mask else mask_key,
        lulc_keys=lulc_keys,
        patch_size=patch_size,
        stride=stride,
        max_workers=max_workers,
        progress=track,
    )
    _print_summary(report)
    _print_warnings(report, num_classes)
    if report.failures:
        _print_failures(report)
        count = len(report.built) + len(report.up_to_date) + len(report.failures)
        raise IncompleteError(
            str(sources),
            f"{len(report.failures)} of {count} tiles failed",
            f"correct what {report.manifest.with_name('failures.csv')} lists and run it again; the rest is kept",
        )


def _print_summary(report: BuildReport) -> None:
    counts = f"{len(report.built)} built, {len(report.up_to_date)} up to date, {len(report.failures)} failed"
    click.echo(f"tiles: {counts}: {report.manifest}")
    if report.pixels:
        voted = report.pixels - report.no_vote
        click.echo(f"pixels without a vote: {report.no_vote / report.pixels:.2%}")
        click.echo(f"ties, given to the lowest code: {report.ties / max(voted, 1):.2%} of pixels with a vote")


def _print_warnings(report: BuildReport, num_classes: int) -> None:
    for key, codes in report.unknown.items():
        listed = ", ".join(f"{code} ({count} pixels)" for code, count in sorted(codes.items())[:_SHOWN])
        listed += ", …" if len(codes) > _SHOWN else ""
        click.echo(
            f"Warning: {key} holds codes other than 0 to {num_classes - 1}, which did not vote: {listed}",
            err=True,
        )
    if report.unused:
        names = ", ".join(report.unused)
        click.echo(f"Warning: not used: {names}; a label map votes if its column is a --lulc-key", err=True)


def _print_failures(report: BuildReport) -> None:
    for _, error in report.failures[:_SHOWN]:
        click.echo(f"Failed: {error}", err=True)
    if len(report.failures) > _SHOWN:
        click.echo(f"and {len(report.failures) - _SHOWN} more", err=True)
