"""Memory of a loader process: what it has freed stays with it, as the next batch needs as much again."""

from __future__ import annotations

import ctypes

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # names of glibc's <malloc.h>
_KEPT = 1 << 30  # bytes that may be free at the end of the heap
_LARGEST = 32 << 20  # bytes of an array that still comes from the heap; glibc's own upper bound


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
    try:
        library = ctypes.CDLL(None)
        _ = library.gnu_get_libc_version  # the numbers above are glibc's
        set_option = library.mallopt
    except (AttributeError, OSError, TypeError):  # no such function; Windows has no library None
        return
    set_option(_MMAP_THRESHOLD, _LARGEST)
    set_option(_TRIM_THRESHOLD, _KEPT)
