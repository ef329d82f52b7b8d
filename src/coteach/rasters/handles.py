"""Rasters that stay open between reads: opening a file costs far more than reading a window of it.

What GDAL has decoded of a file goes when the file is closed, so that a data set which opens its files for every sample
decodes them for every sample, too. Here each process keeps its own open files, however it was started: what a
forked worker inherits is neither used nor closed, as its locks and its place in the file belong to the parent.
"""

from __future__ import annotations

import atexit
import os
import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import NamedTuple

import rasterio
from rasterio.io import DatasetReader

from coteach.errors import RasterError
from coteach.rasters.dataset import GDAL_OPTIONS, open_raster, translated

LIMIT = 256  # open files of a process; systems allow 1024 and more

_Stamp = tuple[int, ...]


class _Handle(NamedTuple):
    dataset: DatasetReader
    stamp: _Stamp


class RasterHandles:
    """Open rasters of one process; several threads may use it, each of them another handle at a time.

    Args:
        limit: how many stay open; those not used for longest are closed.
    """

    def __init__(self, limit: int = LIMIT) -> None:
        self.process = os.getpid()
        self.limit = limit
        self._lock = threading.Lock()
        self._idle: OrderedDict[Path, list[_Handle]] = OrderedDict()
        self._count = 0

    def __len__(self) -> int:
        """How many files are open and not in use."""
        return self._count

    @contextmanager
    def borrowed(self, path: Path) -> Iterator[DatasetReader]:
        """A raster for the time of the block; whoever fails with it does not hand it back.

        Raises:
            RasterError: the file is missing, empty, no raster, or damaged where it is read.
        """
        handle = self._taken(path)
        try:
            with _environment(), translated(str(path)):
                yield handle.dataset
        except BaseException:
            handle.dataset.close()
            raise
        self._put(path, handle)

    def close(self) -> None:
        """Close what is not in use."""
        with self._lock:
            idle = [handle for handles in self._idle.values() for handle in handles]
            self._idle.clear()
            self._count = 0
        for handle in idle:
            handle.dataset.close()

    def _taken(self, path: Path) -> _Handle:
        stamp = _stamp(path)
        while (handle := self._pop(path)) is not None:
            if handle.stamp == stamp:
                return handle
            handle.dataset.close()  # of a file that was replaced
        with rasterio.Env(**GDAL_OPTIONS):
            return _Handle(open_raster(path), stamp)

    def _pop(self, path: Path | None = None) -> _Handle | None:
        """Take an idle handle of a file, or of that which was not used for longest."""
        with self._lock:
            if path is None:  # another thread may have taken the last one
                path = next(iter(self._idle), None)
            handles = None if path is None else self._idle.get(path)
            if path is None or handles is None:
                return None
            handle = handles.pop()
            self._count -= 1
            if not handles:
                del self._idle[path]
            return handle

    def _put(self, path: Path, handle: _Handle) -> None:
        with self._lock:
            self._idle.setdefault(path, []).append(handle)
            self._idle.move_to_end(path)
            self._count += 1
            excess = self._count - self.limit
        for _ in range(excess):
            oldest = self._pop()
            if oldest is not None:
                oldest.dataset.close()


@contextmanager
def kept_open(path: Path) -> Iterator[DatasetReader]:
    """Open a raster for reading, or take it from those that this process has open.

    A file that was replaced or changed meanwhile (another inode, size or time of modification) is opened anew.

    Args:
        path: the raster. Of a VRT, only the VRT itself is looked at; its parts are expected to stay.

    Raises:
        RasterError: the file is missing, empty, no raster, or damaged where it is read.
    """
    with _handles().borrowed(path) as dataset:
        yield dataset


def stay_in_environment() -> None:
    """Keep GDAL's environment for the rest of this thread: to enter and leave it takes a tenth of the time of a read.

    For processes that do nothing but load, as it is in force for all else that the thread does with rasterio.
    """
    if not _lasts():
        _lasting.environment = rasterio.Env(**GDAL_OPTIONS)
        _lasting.environment.__enter__()
        _lasting.process = os.getpid()


def limit_open_files(limit: int) -> None:
    """Say how many rasters this process keeps open from now on; 0 opens a file for every read.

    Args:
        limit: at least 0, and well below what ``ulimit -n`` says.
    """
    global _current
    before, _current = _handles(), RasterHandles(limit)
    before.close()


_lasting = threading.local()


def _lasts() -> bool:
    return getattr(_lasting, "process", None) == os.getpid()


def _environment() -> AbstractContextManager[object]:
    return nullcontext() if _lasts() else rasterio.Env(**GDAL_OPTIONS)


_current = RasterHandles()
_inherited: list[
    RasterHandles
] = []  # from the process that was forked; kept, as to free them is to close them


def _handles() -> RasterHandles:
    global _current  # noqa: PLW0603 -- one a process is the point
    if _current.process != os.getpid():
        _inherited.append(_current)
        _current = RasterHandles(_current.limit)
    return _current


@atexit.register
def _close() -> None:
    if _current.process == os.getpid():
        _current.close()


def _stamp(path: Path) -> _Stamp:
    try:
        status = path.stat()
    except OSError as error:
        raise RasterError(str(path), "does not exist", "correct the path") from error
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
