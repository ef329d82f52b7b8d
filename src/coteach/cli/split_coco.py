"""``coteach split-coco``."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import click

from coteach.cli.output import detail, say
from coteach.cli.progress import track

_EPILOG = """\b
Example:
  coteach split-coco instances_train2017.json --percent 1 2 5 10 --fold 1..5 --output-dir splits
"""
_LISTS = ("--percent", "--fold")
_VALUE = re.compile(r"-?[\d.,]+")


class _ListCommand(click.Command):
    """A command whose lists may be written with blanks: ``--percent 1 2 5`` is ``--percent 1,2,5``."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Join the values of each list, then parse as ever."""
        return super().parse_args(ctx, _joined(args))


@click.command(cls=_ListCommand, epilog=_EPILOG)
@click.argument("annotations", type=click.Path(path_type=Path))
@click.option(
    "--percent",
    "percents",
    required=True,
    metavar="LIST",
    help="Labelled shares in percent: 1 2 5 10, or 1,2,5,10.",
)
@click.option(
    "--fold", "folds", default="1..5", show_default=True, metavar="LIST", help="Draws: 1..5, or 1 2 7."
)
@click.option(
    "--output-dir", type=click.Path(path_type=Path), help="Folder of the files. Default: that of ANNOTATIONS."
)
def split_coco(annotations: Path, percents: str, folds: str, output_dir: Path | None) -> None:
    """Divide the COCO file ANNOTATIONS into a labelled share and the rest, several times.

    Writes {stem}.{fold}@{percent}.json and {stem}.{fold}@{percent}-unlabeled.json: disjoint, together everything, drawn
    anew for each fold and percent, and the same on every computer. Shares are rounded down, to at least one image.
    """
    from coteach.data.coco_split import CocoSplit
    from coteach.data.coco_split import split_coco as divide

    shares, draws = percents.split(","), _folds(folds)
    with track(len(shares) * len(draws), "splits") as advance:

        def done(split: CocoSplit) -> None:
            advance(1)
            detail(f"{split.labelled[0]}, {split.unlabelled[0]}")

        written = divide(
            annotations, output_dir or annotations.parent, percents=shares, folds=draws, done=done
        )
    for split in written:
        (file, images), (_, rest) = split.labelled, split.unlabelled
        say(f"{file}: {images} images with {split.boxes} boxes, {rest} images in the rest")


def _joined(args: Iterable[str]) -> list[str]:
    """Arguments where the values that follow a list's first one are joined to it by commas."""
    joined: list[str] = []
    values: list[str] | None = None
    for arg in args:
        if values is not None and (not values or _VALUE.fullmatch(arg)):
            values.append(arg)
            joined[-1] = ",".join(values)
            continue
        joined.append(arg)
        values = None
        if arg in _LISTS:
            joined.append("")
            values = []
    return joined if values != [] else joined[:-1]


def _folds(text: str) -> list[int]:
    """``1..3,7`` -> 1, 2, 3, 7."""
    folds: list[int] = []
    for part in text.split(","):
        bounds = re.fullmatch(r"(\d+)(?:\.\.(\d+))?", part.strip())
        if bounds is None:
            raise click.BadParameter(f"{part!r} is no number and no range such as 1..5", param_hint="--fold")
        folds += range(int(bounds[1]), int(bounds[2] or bounds[1]) + 1)
    return folds
