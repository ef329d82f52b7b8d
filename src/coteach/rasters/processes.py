"""Run tasks in processes, such that a process that dies takes only its own task with it."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from multiprocessing import get_context, parent_process
from typing import TypeVar

Task = TypeVar("Task")
Result = TypeVar("Result")

_GRACE = 1.0  # seconds that a task has to remove its temporary files when it is given up


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
        try:
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
        except BaseException:  # Ctrl-C, or nobody asks for more: what is under way is given up
            _give_up(pool)
            raise
    return []


def _give_up(pool: ProcessPoolExecutor) -> None:
    """End the workers, also those that are still starting, within little more than a second."""
    workers = list((pool._processes or {}).values())  # noqa: SLF001 -- Python 3.14 has terminate_workers for it
    pool.shutdown(wait=False, cancel_futures=True)
    for worker in workers:
        worker.terminate()
    end = time.monotonic() + _GRACE
    for worker in workers:
        worker.join(max(0.0, end - time.monotonic()))
        with suppress(OSError):  # it has been waited for already
            worker.kill()


def _submit(pool: ProcessPoolExecutor, work: Callable[[Task], Result], task: Task) -> Future[Result]:
    try:
        with _unheard_ctrl_c():  # by the workers that it starts
            return pool.submit(_do, work, task)
    except BrokenProcessPool as error:
        future: Future[Result] = Future()
        future.set_exception(error)
        return future


@contextmanager
def _unheard_ctrl_c() -> Iterator[None]:
    """Ctrl-C comes after the block; processes that are started in it never hear of it, where that can be arranged."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class _GivenUp(BaseException):
    """Unwinds a task, so that its temporary files go."""


_at_work = False


def _do(work: Callable[[Task], Result], task: Task) -> Result:
    """A task, in a worker."""
    global _at_work  # noqa: PLW0603 -- what a signal handler has to know
    _at_work = True
    try:
        return work(task)
    except _GivenUp:
        os._exit(1)
    finally:
        _at_work = False


def _leave(*_: object) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if not _at_work:
        os._exit(1)
    raise _GivenUp


def _start_worker() -> None:
    """Leave Ctrl-C, which reaches every process, to the one that started the others; end when that one is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _leave)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
