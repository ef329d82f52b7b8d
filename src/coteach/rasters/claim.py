"""A folder that one kind of work has for itself: others that do the same may join, others that do not are refused.

The claim is a lock on a file in the folder. The system takes it away from a process that ends, however it does, and from
a computer that is switched off; so nobody who is dead is in the way. Where a disk has no locks, and on Windows, there is
no claim, and nobody is refused.
"""

from __future__ import annotations

import json
import os
import platform
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from coteach.errors import OptionError

_NAME = "claim.lock"
_TRIES = 20
_PAUSE = 0.05  # seconds; a claim is written in much less


@contextmanager
def claimed(folder: Path, option: str, work: Mapping[str, Any]) -> Iterator[None]:
    """Have a folder until the block ends, together with whoever does the same work; nothing is left in it then.

    Args:
        folder: it exists; the lock lies there.
        option: how messages call what is claimed.
        work: what is done, plain data and paths.

    Raises:
        OptionError: another process, on whichever computer, does other work there; the message says which and how it
            differs.
        OSError: the lock cannot be written.
    """
    if sys.platform == "win32":
        yield
        return
    claim = {"process": os.getpid(), "computer": platform.node(), "work": _plain(work)}
    handle = _taken(folder / _NAME, option, claim)
    try:
        yield
    finally:
        if handle is not None:
            _give_back(folder / _NAME, handle)


def _taken(file: Path, option: str, claim: Mapping[str, Any]) -> int | None:
    """An open file whose lock is shared with those who do the same; None where there are no locks."""
    others: Mapping[str, Any] = {}
    for _ in range(_TRIES):
        handle = os.open(file, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            found = _tried(file, handle, claim)
        except BaseException:
            os.close(handle)
            raise
        if found is not None and found.get("work") == claim["work"]:
            return handle
        with suppress(OSError):  # where there are no locks it is of no use; with content, another may have it
            if found is None and os.fstat(handle).st_size == 0:
                file.unlink()
        os.close(handle)
        if found is None:
            return None
        # one that was found may just have ended, or be about to write what it does
        others = found or others
        time.sleep(_PAUSE)
    raise OptionError(option, _told(others, claim), "wait until it has ended, or give another folder")


def _tried(file: Path, handle: int, claim: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """What the holders of the lock do; empty while that is not known, None where there are no locks."""
    try:
        if _lock(handle, alone=True) and _is_there(file, handle):
            with suppress(OSError):  # it is another user's
                # who may write into the folder may join, or follow one that is dead
                os.fchmod(handle, file.parent.stat().st_mode & 0o666)
            os.ftruncate(handle, 0)
            os.pwrite(handle, json.dumps(claim).encode(), 0)
        # between the two locks another may be faster: what is written then counts
        if not _lock(handle, alone=False) or not _is_there(file, handle):
            return {}
    except OSError:
        return None
    try:
        content = json.loads(os.pread(handle, os.fstat(handle).st_size, 0))
    except ValueError:  # of one that was killed while it wrote
        return {}
    return content if isinstance(content, dict) else {}


def _lock(handle: int, *, alone: bool) -> bool:
    """Whether the lock could be had at once, alone or shared.

    Raises:
        OSError: the disk has no locks.
    """
    if sys.platform != "win32":
        import fcntl

        try:
            fcntl.flock(handle, (fcntl.LOCK_EX if alone else fcntl.LOCK_SH) | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


def _is_there(file: Path, handle: int) -> bool:
    """Whether an open file is the one of that name: the last holder removes it."""
    try:
        return os.path.samestat(file.stat(), os.fstat(handle))
    except FileNotFoundError:
        return False


def _give_back(file: Path, handle: int) -> None:
    try:
        if _lock(handle, alone=True) and _is_there(file, handle):
            file.unlink(missing_ok=True)
    except OSError:  # no locks, or the folder is gone
        pass
    finally:
        os.close(handle)


def _told(other: Mapping[str, Any], claim: Mapping[str, Any]) -> str:
    """What else is done there, and who began it; that process may have ended since, while others share its claim."""
    who = (
        f"a build that process {other['process']} on {other['computer']} began" if other else "another build"
    )
    theirs, ours = other.get("work", {}), claim["work"]
    differing = [key for key in ours if theirs.get(key) != ours[key]]
    return f"{who} is at work there" + (f" with other {', '.join(differing)}" if other else "")


def _plain(work: Mapping[str, Any]) -> Any:
    """As it comes back from JSON, to be compared."""
    return json.loads(json.dumps(work, default=str))
