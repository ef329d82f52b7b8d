"""Folders to make files in. A process that is killed leaves its folder: it is deleted when it is old and nobody's."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_PREFIX = ".making."
_OLD = 6 * 3600  # seconds without a change: no tile takes as long


@contextmanager
def making(folder: Path) -> Iterator[Path]:
    """A folder within ``folder``, and so on its disk, that is gone when the block ends.

    Args:
        folder: it exists.

    Raises:
        OSError: it cannot be made.
    """
    with tempfile.TemporaryDirectory(dir=folder, prefix=_PREFIX) as made:
        held = os.open(made, os.O_RDONLY) if sys.platform != "win32" else None
        try:
            if held is not None:
                with suppress(OSError):  # a disk without locks: age alone must tell
                    _lock(held)
            yield Path(made)
        finally:
            if held is not None:
                os.close(held)


def sweep(folder: Path) -> None:
    """Delete what killed processes have left: untouched for hours, and locked by no process that still runs.

    Args:
        folder: where :func:`making` made its folders; another computer may be at work in it, too. What cannot be locked
            stays.
    """
    if sys.platform == "win32":
        return
    for left in folder.glob(f"{_PREFIX}*"):
        with suppress(OSError):  # in use, another's, or gone meanwhile
            if time.time() - _last_change(left) < _OLD:
                continue
            held = os.open(left, os.O_RDONLY)
            try:
                _lock(held)
                shutil.rmtree(left)
            finally:
                os.close(held)


def _last_change(folder: Path) -> float:
    """When anything in a folder was changed last, in seconds as ``time.time`` counts."""
    return max(path.stat().st_mtime for path in (folder, *folder.rglob("*")))


def _lock(handle: int) -> None:
    """Lock an open folder until it is closed.

    Raises:
        OSError: another process has it, or the disk has no locks.
    """
    if sys.platform != "win32":
        import fcntl

        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
