"""Run tasks in processes, such that a process that dies takes only its own task with it."""

from __future__ import annotations

import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context, parent_process
from typing import TypeVar

Task = TypeVar("Task")
Result = TypeVar("Result")


def run_processes(
    work: Callable[[Task], Result],
    tasks: Sequence[Task],
    max_workers: int,
    when_dead: Callable[[Task], Result],
) -> Iterator[Result]:
    """As :func:`~coteach.rasters.pool.run_tasks`, in ``max_workers`` processes at most."""
    queue = deque(tasks)
    while queue:
        # the death of one process ends a pool; which task it was shows when each of them has a pool of its own
        for task in (yield from _run_pool(work, queue, max_workers)):
            if (yield from _run_pool(work, deque([task]), 1)):
                yield when_dead(task)


def _run_pool(
    work: Callable[[Task], Result], queue: deque[Task], max_workers: int
) -> Generator[Result, None, list[Task]]:
    """Take tasks from the queue until it is empty or a process dies; returns those that were under way then."""
    running: dict[Future[Result], Task] = {}
    pool = ProcessPoolExecutor(min(max_workers, len(queue)), get_context("spawn"), initializer=_start_worker)
    with pool:
        while queue or running:
            while queue and len(running) < max_workers:
                task = queue.popleft()
                running[_submit(pool, work, task)] = task
            done = wait(running, return_when=FIRST_COMPLETED).done
            for future in done:
                if not isinstance(future.exception(), BrokenProcessPool):
                    del running[future]
                    yield future.result()
            if not done.isdisjoint(running):
                return list(running.values())
    return []


def _submit(pool: ProcessPoolExecutor, work: Callable[[Task], Result], task: Task) -> Future[Result]:
    try:
        return pool.submit(work, task)
    except BrokenProcessPool as error:
        future: Future[Result] = Future()
        future.set_exception(error)
        return future


def _start_worker() -> None:
    """Leave Ctrl-C, which reaches every process, to the one that started the others; end when that one is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
