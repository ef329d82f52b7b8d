"""``coteach download-aef-embeddings``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from coteach.cli import shared_options as shared
from coteach.cli.output import detail, print_failures, say
from coteach.errors import IncompleteError

if TYPE_CHECKING:
    from coteach.rasters.aef.download import DownloadReport

_EPILOG = """\b
Example:
  coteach download-aef-embeddings --source sourcecoop --tiles-csv tiles.csv --output-dir aef --year 2024
  coteach build-soft-labels sources.csv --output-dir soft --num-classes 4 --alpha 0.5 --beta 0.2 \\
      --aef-embeddings-dir aef --aef-source gcs

The data are CC-BY 4.0: "The AlphaEarth Foundations Satellite Embedding dataset is produced by Google and Google
DeepMind."
"""


@click.command(epilog=_EPILOG)
@click.option(
    "--source",
    type=click.Choice(["gcs", "hf", "sourcecoop"]),
    required=True,
    help="gcs: the GeoTIFFs that a table names. sourcecoop: those that Source Cooperative's index tells. hf: one "
    "vector a tile, of the nearest grid cell of Major TOM.",
)
@click.option(
    "--output-dir",
    type=click.Path(path_type=Path),
    required=True,
    help="Gets {tile_id}.tif (gcs, sourcecoop) or {tile_id}.npy (hf).",
)
@click.option(
    "--gcs-paths-csv",
    type=click.Path(path_type=Path),
    help="For gcs: tile_id,gcs_uri[,image_path]. With an image only the part around it is fetched.",
)
@click.option(
    "--tiles-csv",
    type=click.Path(path_type=Path),
    help="For hf and sourcecoop: tile_id,image_path[,year]; without tile_id the image's name counts.",
)
@click.option(
    "--year",
    type=int,
    help="Year of the data, for all tiles.  [default: column year, else the first number from 2017 to this year in "
    "image_path]",
)
@click.option(
    "--index",
    metavar="PATH_OR_URL",
    help="sourcecoop: another GeoParquet index. hf: a Parquet file, or a folder of them.",
)
@shared.max_workers("Files read at once, in threads.")
@click.option("--max-attempts", type=int, default=5, show_default=True, help="How often a read is tried.")
@click.option(
    "--retry-delay",
    type=float,
    default=1.0,
    show_default=True,
    help="Seconds before the second attempt; twice as long before each further one.",
)
@click.option(
    "--max-distance",
    type=float,
    default=10.0,
    show_default=True,
    help="hf: km from a tile's centre to that of its grid cell, at most.",
)
@click.option("--embedding-column", help="hf: column of the vectors.  [default: embedding, else embeddings]")
@click.option(
    "--gcs-endpoint",
    default="https://storage.googleapis.com",
    show_default=True,
    help="Address below which gs:// files are.",
)
@click.option(
    "--sourcecoop-endpoint",
    default="https://data.source.coop",
    show_default=True,
    help="Address below which Source Cooperative's files are.",
)
@click.option(
    "--hf-endpoint",
    default="https://huggingface.co",
    show_default=True,
    envvar="HF_ENDPOINT",
    help="Address of Hugging Face.",
)
def download(
    source: str,
    output_dir: Path,
    gcs_paths_csv: Path | None,
    tiles_csv: Path | None,
    year: int | None,
    index: str | None,
    max_workers: int,
    max_attempts: int,
    retry_delay: float,
    max_distance: float,
    embedding_column: str | None,
    gcs_endpoint: str,
    sourcecoop_endpoint: str,
    hf_endpoint: str,
) -> None:
    """Fetch AlphaEarth embeddings for tiles: of each published file only the part that a tile needs.

    GeoTIFFs keep their values (8-bit integers, -128 for no data), their CRS and their pixels; rows stored from south
    to north are turned. Run again, only what is missing, or was asked for differently, is fetched. If a tile fails,
    the others are still made, and failures.csv says why.

    Exit code: 1 if a tile failed.
    """
    table = _table(source, gcs_paths_csv, tiles_csv)
    if source == "gcs" and (year is not None or index is not None):
        raise click.UsageError(
            "--year and --index are for hf and sourcecoop; for gcs the table names the files"
        )
    from coteach.cli.progress import track
    from coteach.rasters.aef.download import DownloadOptions, download_embeddings
    from coteach.rasters.aef.retry import Retry

    options = DownloadOptions(
        source=source,
        year=year,
        index=index,
        gcs_endpoint=gcs_endpoint,
        sourcecoop_endpoint=sourcecoop_endpoint,
        hf_endpoint=hf_endpoint,
        embedding_column=embedding_column,
        max_distance=max_distance,
        max_workers=max_workers,
        retry=Retry(max_attempts, retry_delay),
    )
    report = download_embeddings(table, output_dir, options, progress=track)
    _print(report, output_dir)
    if report.failures:
        count = len(report.downloaded) + len(report.up_to_date) + len(report.failures)
        raise IncompleteError(
            str(table),
            f"{len(report.failures)} of {count} tiles failed",
            f"see {output_dir / 'failures.csv'} and run it again; the rest is kept",
        )


def _table(source: str, gcs_paths_csv: Path | None, tiles_csv: Path | None) -> Path:
    """The table that a source takes, and no other."""
    given, other = (gcs_paths_csv, tiles_csv) if source == "gcs" else (tiles_csv, gcs_paths_csv)
    name = "--gcs-paths-csv" if source == "gcs" else "--tiles-csv"
    if given is None or other is not None:
        raise click.UsageError(f"--source {source} takes {name}, and only that table")
    return given


def _print(report: DownloadReport, folder: Path) -> None:
    for tile_id in report.downloaded:
        detail(f"{tile_id}: {report.notes.get(tile_id, 'downloaded')}")
    for tile_id in report.up_to_date:
        detail(f"{tile_id}: up to date")
    counts = f"{len(report.downloaded)} downloaded, {len(report.up_to_date)} up to date"
    say(f"tiles: {counts}, {len(report.failures)} failed: {folder}")
    print_failures([error for _, error in report.failures])
