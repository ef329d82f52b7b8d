"""Embeddings for all tiles of a table: find, fetch, verify; what is there already stays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from coteach.errors import OptionError
from coteach.files import remove_leftovers
from coteach.rasters.aef.files import RECORDS, Output, relevant
from coteach.rasters.aef.jobs import Job, Outcome, run_jobs
from coteach.rasters.aef.requests import FIRST_YEAR, Request, read_requests
from coteach.rasters.aef.retry import Retry
from coteach.rasters.failures import FAILURES, write_failures
from coteach.rasters.pool import Progress, silent
from coteach.rasters.sources import BadRow
from coteach.rasters.write import writable
from coteach.tables import read_table

SOURCES = ("gcs", "hf", "sourcecoop")


@dataclass(frozen=True, slots=True, kw_only=True)
class DownloadOptions:
    """What is to be downloaded, and from where.

    Args:
        source: ``"gcs"``: the files that the table names; ``"sourcecoop"``: those that an index tells; ``"hf"``: one
            vector a tile, of the nearest Major TOM grid cell.
        year: of all tiles; None takes what each row says.
        index: path or URL of the index (``sourcecoop``) or of the Parquet file or folder (``hf``); None is the
            published one.
        gcs_endpoint: address below which ``gs://`` files are.
        sourcecoop_endpoint: address below which Source Cooperative's files are.
        hf_endpoint: address of Hugging Face.
        embedding_column: of the vectors (``hf``); None takes ``embedding`` or ``embeddings``.
        max_distance: km from a tile's centre to that of its cell, at most (``hf``).
        max_workers: threads.
        retry: how often something is tried.
    """

    source: str
    year: int | None = None
    index: str | None = None
    gcs_endpoint: str = "https://storage.googleapis.com"
    sourcecoop_endpoint: str = "https://data.source.coop"
    hf_endpoint: str = "https://huggingface.co"
    embedding_column: str | None = None
    max_distance: float = 10.0
    max_workers: int = 4
    retry: Retry = field(default_factory=Retry)

    def __post_init__(self) -> None:
        if self.source not in SOURCES:
            raise OptionError("source", f"is {self.source!r}", f"choose one of {', '.join(SOURCES)}")
        if self.year is not None and self.year < FIRST_YEAR:
            raise OptionError("year", f"is {self.year}", f"AlphaEarth begins in {FIRST_YEAR}")
        for name in ("max_workers", "max_distance"):
            if not getattr(self, name) > 0:
                raise OptionError(name, f"is {getattr(self, name)}", "give more than 0")
        if self.retry.attempts < 1 or not self.retry.delay >= 0:
            found = f"{self.retry.attempts} attempts, {self.retry.delay:g} s"
            raise OptionError("retry", f"is {found}", "give at least 1 attempt, and at least 0 s")


@dataclass(frozen=True, slots=True)
class DownloadReport:
    """What :func:`download_embeddings` did.

    Args:
        downloaded: ids of the tiles made now.
        up_to_date: ids of those that were there already.
        failures: tile_id and error of each row that failed.
        notes: tile_id -> what is special about it.
    """

    downloaded: tuple[str, ...]
    up_to_date: tuple[str, ...]
    failures: tuple[tuple[str, str], ...]
    notes: dict[str, str]


def download_embeddings(
    table: Path, output_dir: Path, options: DownloadOptions, *, progress: Progress = silent
) -> DownloadReport:
    """Make ``{tile_id}.tif`` (``gcs``, ``sourcecoop``) or ``{tile_id}.npy`` (``hf``) for every row of a table.

    Args:
        table: CSV; ``tile_id,gcs_uri[,image_path]`` for ``gcs``, else ``tile_id,image_path[,year]``.
        output_dir: gets the files, and ``failures.csv`` if a tile failed.
        options: what, and from where.
        progress: told how many tiles are done.

    Returns:
        The summary. A tile that failed does not keep the others from being made.

    Raises:
        TableError: the table or the index cannot be used.
        DataUnavailableError: the index cannot be fetched.
        OptionError: the folder cannot be written.
    """
    rows = read_requests(
        read_table(table), by_uri=options.source == "gcs", endpoint=options.gcs_endpoint, year=options.year
    )
    with writable(output_dir):
        for folder in (output_dir, output_dir / RECORDS):
            folder.mkdir(parents=True, exist_ok=True)
            remove_leftovers(folder)
    outputs = {row.tile_id: _output(row, output_dir, options) for row in rows if isinstance(row, Request)}
    there = [tile_id for tile_id, output in outputs.items() if output.kept() is not None]
    wanted = {
        row.tile_id: (row, outputs[row.tile_id])
        for row in rows
        if isinstance(row, Request) and row.tile_id not in there
    }
    outcomes: dict[str, Outcome] = {}
    if wanted:
        with progress(len(wanted), "embeddings") as advance:
            jobs, failed = _jobs(wanted, options)
            for outcome in failed:
                outcomes[outcome.tile_id] = outcome
                advance()
            for outcome in run_jobs(jobs, options.max_workers, options.retry):
                outcomes[outcome.tile_id] = outcome
                advance()
    report = _report(rows, there, outcomes)
    with writable(output_dir):
        write_failures(output_dir / FAILURES, report.failures)
    return report


def index_place(options: DownloadOptions) -> str:
    """Path or URL of Source Cooperative's index."""
    from coteach.rasters.aef.index import INDEX

    return options.index or f"{options.sourcecoop_endpoint.rstrip('/')}/{INDEX}"


def _jobs(
    wanted: dict[str, tuple[Request, Output]], options: DownloadOptions
) -> tuple[list[Job], list[Outcome]]:
    """The work of one source; the packages that another one needs are not imported."""
    retry = options.retry
    if options.source == "hf":
        from coteach.rasters.aef.cells import parquet_files
        from coteach.rasters.aef.vectors_job import jobs_by_cell

        places = parquet_files(options.index, options.hf_endpoint, retry)
        return jobs_by_cell(wanted, places, options.embedding_column, options.max_distance, retry)
    from coteach.rasters.aef import rasters_job

    if options.source == "gcs":
        return rasters_job.jobs_by_uri(wanted, retry)
    from coteach.rasters.aef.index import FileIndex

    place = index_place(options)
    index = FileIndex(place, retry, sourcecoop=options.sourcecoop_endpoint, gcs=options.gcs_endpoint)
    return rasters_job.jobs_by_index(wanted, index, place, retry)


def _output(request: Request, folder: Path, options: DownloadOptions) -> Output:
    made_of: dict[str, Any] = {"source": options.source}
    if options.source == "gcs":
        return Output(folder / f"{request.tile_id}.tif", made_of | {"url": request.url}, request.image)
    made_of |= {"year": request.year, "index": options.index, "stamps": relevant([options.index or ""])}
    if options.source == "sourcecoop":
        made_of["endpoint"] = options.sourcecoop_endpoint
        return Output(folder / f"{request.tile_id}.tif", made_of, request.image)
    made_of |= {"column": options.embedding_column, "distance": options.max_distance}
    return Output(folder / f"{request.tile_id}.npy", made_of, request.image)


def _report(
    rows: Sequence[Request | BadRow], there: Sequence[str], outcomes: dict[str, Outcome]
) -> DownloadReport:
    failures = [
        (row.tile_id, row.error if isinstance(row, BadRow) else outcomes[row.tile_id].error)
        for row in rows
        if isinstance(row, BadRow) or (row.tile_id in outcomes and outcomes[row.tile_id].error)
    ]
    done = {outcome.tile_id: outcome for outcome in outcomes.values() if not outcome.error}
    return DownloadReport(
        downloaded=tuple(row.tile_id for row in rows if row.tile_id in done),
        up_to_date=tuple(there),
        failures=tuple(failures),
        notes={tile_id: outcome.note for tile_id, outcome in done.items() if outcome.note},
    )
