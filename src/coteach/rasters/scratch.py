"""Arrays that one pass over a tile leaves for the next: in memory, or in a file if they are large."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from jaxtyping import Shaped

_IN_MEMORY = 256 << 20  # bytes


class Scratch:
    """Keeps arrays by key; several threads may use it.

    Args:
        file: where they go; None is memory.
    """

    def __init__(self, file: IO[bytes] | None) -> None:
        self._file = file
        self._lock = threading.Lock()
        self._kept: dict[Hashable, Shaped[np.ndarray, "..."]] = {}
        self._places: dict[Hashable, tuple[int, tuple[int, ...], np.dtype[Any]]] = {}
        self._end = 0

    def put(self, key: Hashable, array: Shaped[np.ndarray, "..."]) -> None:
        """Keep an array; an earlier one of this key must have the same size."""
        if self._file is None:
            self._kept[key] = array.copy()
            return
        with self._lock:
            place = self._places.get(key, (self._end,))[0]
            self._file.seek(place)
            self._file.write(np.ascontiguousarray(array).data)
            self._places[key] = (place, array.shape, array.dtype)
            self._end = max(self._end, place + array.nbytes)

    def get(self, key: Hashable) -> Shaped[np.ndarray, "..."]:
        """The array that was kept."""
        if self._file is None:
            return self._kept[key]
        with self._lock:
            place, shape, dtype = self._places[key]
            array = np.empty(shape, dtype)
            self._file.seek(place)
            self._file.readinto(array.reshape(-1).view(np.uint8).data)  # type: ignore[attr-defined]
            return array


def needs_file(size: int) -> bool:
    """Whether arrays of this many bytes together go to a file."""
    return size > _IN_MEMORY


@contextmanager
def scratch(folder: Path, size: int) -> Iterator[Scratch]:
    """A place for arrays, gone when the block ends, however it ends.

    Args:
        folder: on the disk to use.
        size: of all arrays together, in bytes.

    Raises:
        OSError: the disk is full, while the block runs.
    """
    if not needs_file(size):
        yield Scratch(None)
        return
    with tempfile.TemporaryFile(dir=folder, prefix=".scratch.", suffix=".part") as file:
        yield Scratch(file)
