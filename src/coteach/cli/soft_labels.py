"""``coteach build-soft-labels``."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from coteach.cli.output import Verbosity, say, verbosity

if TYPE_CHECKING:
    from collections.abc import Sequence

    from coteach.rasters.findings import Finding

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
    "--ignore-code",
    "ignore_codes",
    type=int,
    multiple=True,
    help="A code other than 0 to C-1 that means no vote, and is no fault. Repeat it for each.",
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
@click.option(
    "--source-weight",
    "source_weights",
    metavar="COLUMN=WEIGHT",
    multiple=True,
    help="What the vote of a map counts, 1 if not named. Repeat it for each map.",
)
@click.option(
    "--weights",
    type=click.Choice(["equal", "learned"]),
    default="equal",
    show_default=True,
    help="learned: estimate from their agreement how far each map is to be believed, class by class, and fuse their "
    "votes accordingly.",
)
@click.option(
    "--legend",
    "legends",
    metavar="COLUMN=CSV",
    multiple=True,
    help="Table code,class for a map whose codes are not the classes; class is a number, or ignore.",
)
@click.option(
    "--aef-embeddings-dir",
    type=click.Path(path_type=Path),
    help="Folder of AlphaEarth embeddings, see download-aef-embeddings; they count with --beta.",
)
@click.option(
    "--aef-source",
    type=click.Choice(["gcs", "hf"]),
    default="gcs",
    show_default=True,
    help="gcs: {tile_id}.tif, a vector a pixel (Source Cooperative's, too). hf: {tile_id}.npy, one a tile.",
)
@click.option(
    "--aef-resampling",
    metavar="auto|aggregate|nearest|none",
    default="auto",
    show_default=True,
    help="How embeddings come onto the image's grid. auto: aggregate where the image's pixels are coarser, else "
    "nearest.",
)
@click.option(
    "--dtype",
    type=click.Choice(["float32", "uint8"]),
    default="float32",
    show_default=True,
    help="uint8 takes a quarter of the space: votes are exact, weights are rounded to 1/255.",
)
@click.option("--votes-band", is_flag=True, help="Give W_conf a second band, the number of maps that vote.")
@click.option("--cog", is_flag=True, help="Write Cloud Optimised GeoTIFFs, with overviews.")
@click.option("--patch-size", type=int, help="List square patches of this side instead of whole tiles.")
@click.option("--stride", type=int, help="Pixels from one patch to the next.  [default: the patch size]")
@click.option(
    "--scheduler",
    default="processes",
    show_default=True,
    metavar="processes|threads|serial|ADDRESS",
    help="Who does the work; the address of a Dask cluster is tcp://HOST:PORT.",
)
@click.option(
    "--max-workers",
    type=int,
    default=4,
    show_default=True,
    help="Processes or threads: for several tiles, or for the blocks of one.",
)
@click.option(
    "--fingerprint",
    type=click.Choice(["stat", "content"]),
    default="stat",
    show_default=True,
    help="How a changed file is noticed: by size and time of modification, or by its content.",
)
@click.option("--no-summary", is_flag=True, help="Write no summary.html and no pictures.")
def build(
    sources: Path,
    output_dir: Path,
    num_classes: int,
    ignore_codes: tuple[int, ...],
    alpha: float,
    beta: float,
    image_key: str,
    mask_key: str,
    lulc_keys: tuple[str, ...],
    border_source: str,
    border_radius: float,
    entropy_norm: str,
    source_weights: tuple[str, ...],
    weights: str,
    legends: tuple[str, ...],
    aef_embeddings_dir: Path | None,
    aef_source: str,
    aef_resampling: str,
    dtype: str,
    patch_size: int | None,
    stride: int | None,
    scheduler: str,
    max_workers: int,
    fingerprint: str,
    *,
    no_mask: bool,
    no_border: bool,
    votes_band: bool,
    cog: bool,
    no_summary: bool,
) -> None:
    """Fuse the label maps of each tile in SOURCES_CSV into P_soft (vote shares) and W_conf (confidence).

    SOURCES_CSV has one row a tile: tile_id (else the image's name counts), image_path, mask_path and a column for
    each land-cover map. An empty cell means that the tile lacks this map. Maps of any grid and CRS are brought onto
    the image's grid by nearest neighbour; where one has NoData, an unknown code, or does not reach, it does not vote.

    First all rows are checked as `coteach check` does, and what is wrong is listed. If a tile fails, the others are
    still made, and failures.csv says why. Run again, only tiles whose files or options changed are made.

    Exit code: 1 if a tile failed, or if a map holds codes other than 0 to C-1 that no --ignore-code names.
    """
    from coteach.cli.build_summary import check_complete, print_needs, print_report
    from coteach.cli.build_words import numbers_of, read_legends
    from coteach.cli.progress import track
    from coteach.rasters.build import build_soft_labels

    listed: set[str] = set()

    def list_findings(findings: Sequence[Finding]) -> None:
        from coteach.cli.findings import print_findings

        print_findings(findings, notes=verbosity() >= Verbosity.VERBOSE, stderr=True)
        listed.update(finding.tile_id for finding in findings if finding.severity == "error")

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
        ignore_codes=ignore_codes,
        source_weights=numbers_of("--source-weight", source_weights),
        weights=weights,
        legends=read_legends(legends, num_classes),
        aef_embeddings_dir=aef_embeddings_dir,
        aef_source=aef_source,
        aef_resampling=aef_resampling,
        dtype=dtype,
        votes_band=votes_band,
        cog=cog,
        fingerprint=fingerprint,
        scheduler=scheduler,
        max_workers=max_workers,
        progress=track,
        tell_findings=list_findings,
        tell_needs=print_needs,
    )
    print_report(report, listed)
    if not no_summary:
        from coteach.cli.build_page import write_page

        columns = [*(() if no_mask else (mask_key,)), *lulc_keys]
        say(f"summary: {write_page(report, columns, num_classes, shlex.join(['coteach', *sys.argv[1:]]))}")
    check_complete(sources, report, num_classes)
