"""Run tasks: one after the other, in threads, in processes or on a Dask cluster, behind one function."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import AbstractContextManager, contextmanager
from typing import TypeVar

from coteach.errors import MissingExtraError, OptionError
from coteach.rasters.processes import run_processes

Task = TypeVar("Task")
Result = TypeVar("Result")
Progress = Callable[[int, str], AbstractContextManager[Callable[..., None]]]

LOCAL = frozenset({"processes", "threads", "serial"})
_ADDRESS = re.compile(r"(tcp|tls)://\S+:\d+")


@contextmanager
def silent(total: int, label: str) -> Iterator[Callable[..., None]]:  # noqa: ARG001 -- a Progress
    """The progress that nobody is told of."""
    yield lambda _=1: None


def check_scheduler(name: str) -> None:
    """Check what :func:`run_tasks` takes as a scheduler.

    Raises:
        OptionError: it is neither ``processes``, ``threads``, ``serial`` nor the address of a Dask scheduler.
        MissingExtraError: it is an address, and Dask is not installed.
    """
    if name in LOCAL:
        return
    if not _ADDRESS.fullmatch(name):
        remedy = "give processes, threads, serial, or the address of a Dask scheduler (tcp://HOST:PORT)"
        raise OptionError("--scheduler", f"{name!r} is none", remedy)
    if importlib.util.find_spec("distributed") is None:
        raise MissingExtraError("distributed (Dask)", "is not installed", "pip install 'coteach[dask]'")


def run_tasks(
    work: Callable[[Task], Result],
    tasks: Sequence[Task],
    max_workers: int,
    when_dead: Callable[[Task], Result],
    scheduler: str = "processes",
) -> Iterator[Result]:
    """Do all tasks and give the results as they come.

    Args:
        work: a function of a module, called with one task; what it raises ends everything. A task that was
            under way when its worker was lost may be done again: the work can be repeated.
        tasks: what can be pickled.
        max_workers: processes or threads at most; 1, like a single task, is done in this process. A cluster
            has as many as it has.
        when_dead: the result of a task whose process was killed or crashed; on a cluster, whose workers died as
            often as it allows.
        scheduler: ``processes``, ``threads``, ``serial``, or the address of a Dask scheduler.

    Yields:
        One result a task, in no order.

    Raises:
        OptionError: there is no such scheduler, or no cluster answers.
        MissingExtraError: Dask is not installed.
        IncompleteError: the cluster ended before the work did.
    """
    check_scheduler(scheduler)
    if "://" in scheduler:
        from coteach.rasters.cluster import run_on_cluster

        yield from run_on_cluster(work, tasks, scheduler, when_dead)
    elif scheduler == "serial" or min(max_workers, len(tasks)) < 2:
        yield from map(work, tasks)
    elif scheduler == "threads":
        yield from _run_threads(work, tasks, max_workers)
    else:
        yield from run_processes(work, tasks, max_workers, when_dead)


def _run_threads(work: Callable[[Task], Result], tasks: Sequence[Task], max_workers: int) -> Iterator[Result]:
    pool = ThreadPoolExecutor(max_workers)
    try:
        for future in as_completed([pool.submit(work, task) for task in tasks]):
            yield future.result()
    finally:
        pool.shutdown(cancel_futures=True)
