"""Options that mean the same in several commands; where a command says more of one, it brings the help text."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from coteach.cli.target_kinds import ALLOWED_PACKAGES

C = TypeVar("C", bound=Callable[..., Any] | click.Command)

# Of trained runs
allow_target = click.option(
    "--allow-target",
    multiple=True,
    metavar="PACKAGE",
    help=f"Allow _target_ from this package too, beside {', '.join(ALLOWED_PACKAGES)}.",
)
checkpoint = click.option(
    "--checkpoint", default="best", show_default=True, help="best, last, or a .ckpt file."
)
batch_size = click.option(
    "--batch-size",
    type=int,
    default=4,
    show_default=True,
    help="Windows, or images with boxes, predicted at once; images to classify are 64 if it is not given.",
)
device = click.option(
    "--device", default="auto", show_default=True, help="cpu, cuda, cuda:1; auto: cuda if there is one."
)
reference = click.option(
    "--reference",
    type=click.Path(path_type=Path),
    help="Raster of true class codes. [default: argmax P_soft]",
)
reference_key = click.option(
    "--reference-key", help="Column of the data set's CSV that names each row's reference raster."
)

# Of label maps
stride = click.option(
    "--stride", type=int, help="Pixels from one patch to the next.  [default: the patch size]"
)


def dataset(help_text: str) -> Callable[[C], C]:
    """``--dataset``: which data set of a configuration; ``help_text`` is the help text, as below."""
    return click.option("--dataset", default="test_dataset", show_default=True, help=help_text)


def image_key(help_text: str) -> Callable[[C], C]:
    """``--image-key``: the column of the images."""
    return click.option("--image-key", default="image_path", show_default=True, help=help_text)


def mask_key(help_text: str) -> Callable[[C], C]:
    """``--mask-key``: the column of the masks, where there is one unless ``--no-mask`` is given."""
    return click.option("--mask-key", default="mask_path", show_default=True, help=help_text)


def lulc_keys(help_text: str = "Column of a land-cover map. Repeat it for each map.") -> Callable[[C], C]:
    """``--lulc-key``: the columns of the land-cover maps."""
    return click.option("--lulc-key", "lulc_keys", multiple=True, help=help_text)


def ignore_codes(help_text: str) -> Callable[[C], C]:
    """``--ignore-code``: the codes that mean nothing."""
    return click.option("--ignore-code", "ignore_codes", type=int, multiple=True, help=help_text)


def legends(
    help_text: str = "Table code,class for a map whose codes are not the classes; class is a number, or ignore.",
) -> Callable[[C], C]:
    """``--legend COLUMN=CSV``: what the codes of maps mean."""
    return click.option("--legend", "legends", metavar="COLUMN=CSV", multiple=True, help=help_text)


def max_workers(help_text: str) -> Callable[[C], C]:
    """``--max-workers``: how much is done at once."""
    return click.option("--max-workers", type=int, default=4, show_default=True, help=help_text)
