"""The options of ``coteach build-soft-labels``, in the order of its help."""

from __future__ import annotations

from pathlib import Path

import click

from coteach.cli import shared_options as shared

_OPTIONS = (
    click.option(
        "--output-dir",
        type=click.Path(path_type=Path),
        required=True,
        help="Gets p_soft/, w_conf/ and the manifest.",
    ),
    click.option(
        "--num-classes", type=int, required=True, help="C. Codes are 0 to C-1; any other code does not vote."
    ),
    shared.ignore_codes(
        "A code other than 0 to C-1 that means no vote, and is no fault. Repeat it for each."
    ),
    click.option(
        "--alpha",
        type=float,
        default=0.6,
        show_default=True,
        help="Weight of the sources' agreement in W_conf.",
    ),
    click.option(
        "--beta",
        type=float,
        default=0,
        show_default=True,
        help="Weight of embeddings; alpha + beta <= 1, and borders get what remains.",
    ),
    shared.image_key("Column of the image, whose grid is that of the result."),
    shared.mask_key("Column of the cartographic mask. It votes like the others."),
    click.option("--no-mask", is_flag=True, help="Use no mask: it neither votes nor gives borders."),
    shared.lulc_keys(),
    click.option("--no-border", is_flag=True, help="Leave class borders out of W_conf."),
    click.option(
        "--border-source",
        type=click.Choice(["auto", "mask", "argmax"]),
        default="auto",
        show_default=True,
        help="Whose borders count: the mask's, or those of the class with most votes. auto: the mask's where the "
        "tile has one.",
    ),
    click.option(
        "--border-radius",
        type=float,
        default=10,
        show_default=True,
        help="Pixels from the mask's borders at which a label is trusted fully.",
    ),
    click.option(
        "--entropy-norm",
        type=click.Choice(["max_entropy", "minmax"]),
        default="max_entropy",
        show_default=True,
        help="How entropy becomes a weight: against the highest possible one, or against the tile's range.",
    ),
    click.option(
        "--source-weight",
        "source_weights",
        metavar="COLUMN=WEIGHT",
        multiple=True,
        help="What the vote of a map counts, 1 if not named. Repeat it for each map.",
    ),
    click.option(
        "--weights",
        type=click.Choice(["equal", "learned"]),
        default="equal",
        show_default=True,
        help="learned: estimate from their agreement how far each map is to be believed, class by class, and fuse their "
        "votes accordingly.",
    ),
    shared.legends(),
    click.option(
        "--aef-embeddings-dir",
        type=click.Path(path_type=Path),
        help="Folder of AlphaEarth embeddings, see download-aef-embeddings; they count with --beta.",
    ),
    click.option(
        "--aef-source",
        type=click.Choice(["gcs", "hf"]),
        default="gcs",
        show_default=True,
        help="gcs: {tile_id}.tif, a vector a pixel (Source Cooperative's, too). hf: {tile_id}.npy, one a tile.",
    ),
    click.option(
        "--aef-resampling",
        metavar="auto|aggregate|nearest|none",
        default="auto",
        show_default=True,
        help="How embeddings come onto the image's grid. auto: aggregate where the image's pixels are coarser, else "
        "nearest.",
    ),
    click.option(
        "--dtype",
        type=click.Choice(["float32", "uint8"]),
        default="float32",
        show_default=True,
        help="uint8 takes a quarter of the space: votes are exact, weights are rounded to 1/255.",
    ),
    click.option(
        "--votes-band", is_flag=True, help="Give W_conf a second band, the number of maps that vote."
    ),
    click.option("--cog", is_flag=True, help="Write Cloud Optimised GeoTIFFs, with overviews."),
    click.option("--patch-size", type=int, help="List square patches of this side instead of whole tiles."),
    shared.stride,
    click.option(
        "--scheduler",
        default="processes",
        show_default=True,
        metavar="processes|threads|serial|ADDRESS",
        help="Who does the work; the address of a Dask cluster is tcp://HOST:PORT.",
    ),
    shared.max_workers("Processes or threads: for several tiles, or for the blocks of one."),
    click.option(
        "--fingerprint",
        type=click.Choice(["stat", "content"]),
        default="stat",
        show_default=True,
        help="How a changed file is noticed: by size and time of modification, or by its content.",
    ),
    click.option("--no-summary", is_flag=True, help="Write no summary.html and no pictures."),
)


def soft_label_options(command: shared.C) -> shared.C:
    """Give a function all of these options.

    Most are arguments of ``coteach.build_soft_labels`` under the same name, and are passed on as they are.
    """
    for option in reversed(_OPTIONS):
        command = option(command)
    return command
