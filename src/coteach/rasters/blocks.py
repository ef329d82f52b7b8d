"""A raster in blocks: which they are, and how several threads work on them, or on other things, in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from coteach.rasters.grid import Window

ROWS, COLS = 512, 2048  # of a block; multiples of the side of a file's tiles, and of 8
_AHEAD = 2  # tasks a thread that may wait to be taken

Task = TypeVar("Task")
Result = TypeVar("Result")


def blocks(height: int, width: int) -> list[Window]:
    """Windows that cover a raster, row by row."""
    return [
        Window(row, col, min(ROWS, height - row), min(COLS, width - col))
        for row in range(0, height, ROWS)
        for col in range(0, width, COLS)
    ]


def padded(window: Window, halo: int, height: int, width: int) -> tuple[Window, Window]:
    """A window with pixels around it, as far as the raster goes; and where the window lies in that."""
    top, left = max(0, window.row_off - halo), max(0, window.col_off - halo)
    bottom = min(height, window.row_off + window.height + halo)
    right = min(width, window.col_off + window.width + halo)
    inner = Window(window.row_off - top, window.col_off - left, window.height, window.width)
    return Window(top, left, bottom - top, right - left), inner


def in_order(
    work: Callable[[Task], Result], tasks: Sequence[Task], threads: int
) -> Iterator[tuple[Task, Result]]:
    """Do all tasks, and give the results in the order of the tasks.

    Args:
        work: called with a task, such as a window, by several threads at once if there are some.
        tasks: all of them.
        threads: 1 works in the caller's.

    Yields:
        A task and its result; few results wait at a time.
    """
    if threads < 2 or len(tasks) < 2:
        for task in tasks:
            yield task, work(task)
        return
    waiting: deque[tuple[Task, Future[Result]]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        try:
            for task in tasks:
                if len(waiting) >= _AHEAD * threads:
                    first, future = waiting.popleft()
                    yield first, future.result()
                waiting.append((task, pool.submit(work, task)))
            while waiting:
                first, future = waiting.popleft()
                yield first, future.result()
        finally:
            for _, future in waiting:
                future.cancel()
