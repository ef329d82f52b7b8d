"""Several jobs at once, in threads: they wait for servers most of the time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from queue import SimpleQueue

from coteach.rasters.aef.retry import Retry, StoppedError


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a tile.

    Args:
        tile_id: the tile.
        error: why it failed; empty if it is done.
        note: what the user may want to know of it.
    """

    tile_id: str
    error: str = ""
    note: str = ""


def failure(tile_id: str, error: Exception) -> Outcome:
    """The outcome of a tile that failed; its error names the tile."""
    text = str(error)
    return Outcome(tile_id, text if text.startswith(f"{tile_id}:") else f"{tile_id}: {text}")


Job = Callable[[], Iterator[Outcome]]


def run_jobs(jobs: Sequence[Job], max_workers: int, retry: Retry) -> Iterator[Outcome]:
    """Do all jobs, and give their outcomes as they come.

    Args:
        jobs: each yields one outcome a tile; what it raises ends everything.
        max_workers: threads.
        retry: its waiting is ended with everything else, as by Ctrl-C.

    Yields:
        The outcomes, in no order.
    """
    results: SimpleQueue[Outcome | BaseException | None] = SimpleQueue()

    def work(job: Job) -> None:
        try:
            for outcome in job():
                results.put(outcome)
            results.put(None)
        except BaseException as error:  # noqa: BLE001 -- raised again by the thread that waits for it
            results.put(error)

    pool = ThreadPoolExecutor(max_workers, "aef")
    try:
        for job in jobs:
            pool.submit(work, job)
        running = len(jobs)
        while running:
            result = results.get()
            if isinstance(result, Outcome):
                yield result
                continue
            _raise_if_broken(result)
            running -= 1
    except BaseException:
        retry.stopped.set()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def _raise_if_broken(result: BaseException | None) -> None:
    """What a job raises ends everything, unless it is that everything has ended."""
    if result is not None and not isinstance(result, StoppedError):
        raise result
