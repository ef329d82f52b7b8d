"""Memory of a process that goes through batches: what it has freed stays with it, as the next one needs as much again."""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _MMAP_MAX = -1, -3, -4  # names of glibc's <malloc.h>
_NEVER = -1
_MAPPED_AT_ONCE = 65536  # arrays that do not come from the heap: glibc's own number
_KEPT = 1 << 30  # bytes that may be free at the end of the heap
_LARGEST = 32 << 20  # bytes of an array that still comes from the heap; glibc's own upper bound
_LEFT = 2 * _LARGEST  # bytes that may be free there when nobody asks for more: what glibc goes to by itself


def keep_freed_memory(worker_id: int = 0) -> None:  # noqa: ARG001 -- as worker_init_fn has it
    """Let this process keep the memory of arrays that it has freed, up to 1 GiB.

    glibc gives arrays of several MiB back to the system as soon as they are freed, and the system gives them out again
    page by page, zeroed: for windows of 256 x 256 pixels that takes longer than to read them. Where the C library is
    another one, nothing happens.

    coteach's own loaders call it in each worker. For others, it fits ``DataLoader(..., worker_init_fn=keep_freed_memory)``.

    Args:
        worker_id: what ``worker_init_fn`` is given; it makes no difference.

    Example:
        >>> keep_freed_memory()
    """
    library = _glibc()
    if library is not None:
        library.mallopt(_MMAP_THRESHOLD, _LARGEST)
        library.mallopt(_TRIM_THRESHOLD, _KEPT)


class _Blocks:
    """How many blocks of :func:`freed_memory_kept` this process is in: the first changes its limits, the last restores them."""

    def __init__(self) -> None:
        self.depth = 0
        self.lock = threading.Lock()

    def enter(self, library: Any) -> None:
        with self.lock:
            self.depth += 1
            if self.depth == 1:
                library.mallopt(_MMAP_MAX, 0)
                library.mallopt(_TRIM_THRESHOLD, _NEVER)

    def leave(self, library: Any) -> None:
        with self.lock:
            if self.depth == 0:  # forked inside the block: restored already
                return
            self.depth -= 1
            if self.depth == 0:
                self._restore(library)
                library.malloc_trim(0)

    def restore_in_child(self) -> None:
        """A process forked inside a block, as loader workers are, has limits of its own."""
        library = _glibc() if self.depth > 0 else None
        self.depth, self.lock = 0, threading.Lock()  # a thread that is not here may have held it
        if library is not None:
            self._restore(library)

    @staticmethod
    def _restore(library: Any) -> None:
        library.mallopt(_MMAP_MAX, _MAPPED_AT_ONCE)
        library.mallopt(_MMAP_THRESHOLD, _LARGEST)
        library.mallopt(_TRIM_THRESHOLD, _LEFT)


_BLOCKS = _Blocks()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_BLOCKS.restore_in_child)


@contextmanager
def freed_memory_kept(*, wanted: bool = True) -> Iterator[None]:
    """Keep memory that is freed inside the block, also that of the largest arrays, and give it back after it.

    For training on a CPU, also by a loop of one's own: every step needs as much as the last one, and glibc has arrays of more
    than 32 MiB, such as 128 images of 64 channels and 32 x 32 pixels, from the system each time, whatever it was told of
    thresholds. It holds for the thread that the process began with. The price: what is freed between arrays that live on
    is kept, too, without a bound. Blocks may lie in each other; processes that are forked inside keep nothing of it.

    At the end glibc is left as it leaves itself in a process that has once freed an array of 32 MiB: the limits that were in
    force before cannot be read.

    Args:
        wanted: False does nothing.

    Example:
        >>> with freed_memory_kept():
        ...     pass  # all epochs
    """
    library = _glibc() if wanted else None
    if library is None:
        yield
        return
    _BLOCKS.enter(library)
    try:
        yield
    finally:
        _BLOCKS.leave(library)


def _glibc() -> Any:
    """The C library; None if it is another one."""
    try:
        library = ctypes.CDLL(None)
        _ = library.gnu_get_libc_version, library.mallopt, library.malloc_trim
    except (AttributeError, OSError, TypeError):  # no such function; Windows has no library None
        return None
    return library
