"""``coteach report``."""

from __future__ import annotations

from pathlib import Path

import click

from coteach.cli import shared_options as shared
from coteach.cli.output import say
from coteach.cli.writable import check_writable_file
from coteach.errors import OptionError


@click.command(epilog="Example: coteach report runs/a runs/b --reference landcover.tif --output report.html")
@click.argument("run_dirs", type=click.Path(path_type=Path), nargs=-1, required=True, metavar="RUN_DIR...")
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    default=Path("report.html"),
    show_default=True,
    help="The page to write.",
)
@shared.dataset("Key of the data set in the configurations.")
@shared.checkpoint
@shared.reference
@shared.reference_key
@click.option(
    "--bands",
    metavar="R,G,B",
    help="Bands shown as red, green and blue, or one as grey, from 1. [default: the first three]",
)
@click.option(
    "--max-tiles", type=click.IntRange(0), default=4, show_default=True, help="Images shown at most."
)
@click.option(
    "--view-size",
    type=click.IntRange(16),
    default=1024,
    show_default=True,
    help="Largest height and width shown of an image, in pixels.",
)
@shared.allow_target
def report(
    run_dirs: tuple[Path, ...],
    output: Path,
    dataset: str,
    checkpoint: str,
    reference: Path | None,
    reference_key: str | None,
    bands: str | None,
    max_tiles: int,
    view_size: int,
    allow_target: tuple[str, ...],
) -> None:
    """One HTML page about the runs in RUN_DIR...: figures, maps, confusion matrices, curves and configurations.

    The page holds its pictures and needs neither a network nor scripts. Figures are those of coteach evaluate. Of runs
    with boxes: average precision, precision and recall, pseudo boxes and curves.
    """
    chosen = _band_numbers(bands)
    check_writable_file(output, "--output")

    from coteach.cli.report_boxes import are_of_boxes, make_box_report
    from coteach.cli.report_page import make_report
    from coteach.cli.report_runs import ReportOptions
    from coteach.files import write_text

    options = ReportOptions(
        dataset=dataset,
        checkpoint=checkpoint,
        reference=reference,
        reference_key=reference_key,
        bands=chosen,
        max_tiles=max_tiles,
        view_size=view_size,
    )
    make = make_box_report if are_of_boxes(run_dirs) else make_report
    page = make(run_dirs, options, allow_target=allow_target)
    output.parent.mkdir(parents=True, exist_ok=True)
    write_text(output, page)
    say(f"written: {output}")


def _band_numbers(text: str | None) -> tuple[int, ...] | None:
    """``3,2,1`` -> (3, 2, 1).

    Raises:
        OptionError: these are not one or three band numbers.
    """
    if text is None:
        return None
    parts = text.split(",")
    if len(parts) not in (1, 3) or not all(part.strip().isdigit() and int(part) for part in parts):
        raise OptionError(
            "--bands", f"{text!r} is not understood", "give three numbers from 1 as 3,2,1, or one"
        )
    return tuple(int(part) for part in parts)
