"""Files that are whole or not there."""

from __future__ import annotations

import errno
import json
import os
import platform
import re
import shutil
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from uuid import uuid4


def _where() -> str:
    """Where numbers tell processes apart: this computer since it was switched on, and each container in it by itself."""
    told = [platform.node()]
    with suppress(OSError):  # not on Linux
        told += [
            Path("/proc/sys/kernel/random/boot_id").read_text(),
            str(Path("/proc/self/ns/pid").readlink()),
        ]
    return " ".join(told)


# the disk is full, the user's share of it is, or no file may be as large
_NO_SPACE = {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC), errno.EFBIG}
_HOST = f"{zlib.crc32(_where().encode()):08x}"
_PARTIAL = re.compile(r"\..+\.([0-9a-f]{8})-(\d+)\.part")
_START = uuid4().hex[:6]  # tells this process from a killed one that had the same number
_FORSAKEN = 3600  # seconds; another computer's process cannot be asked, but nobody is so slow


def partial_path(path: Path) -> Path:
    """Where a file is written until it is whole: beside it, and where no other writer on any computer writes.

    A process that asks for the first time in a folder removes there what killed ones have left.
    """
    with suppress(OSError):  # the working folder is gone: whoever writes there is told
        _clear_once(path.parent.absolute())
    # short: file systems take names of 255 bytes, and ids may have 200
    return path.with_name(f".{_START}{uuid4().hex[:4]}.{path.name}.{_HOST}-{os.getpid()}.part")


def remove_leftovers(folder: Path) -> None:
    """Remove the temporary files of processes that were killed; those of processes that go on stay.

    Those of another computer or container stay for an hour after they were last written to.
    """
    for file in folder.iterdir():
        found = _PARTIAL.fullmatch(file.name)
        if found and not (_runs(int(found[2]), file) if found[1] == _HOST else _is_fresh(file)):
            with suppress(PermissionError):  # another user's
                file.unlink(missing_ok=True)


@cache  # once: a folder may get a hundred thousand files
def _clear_once(folder: Path) -> None:
    with suppress(OSError):  # no such folder, or it may not be read
        remove_leftovers(folder)


def _is_fresh(file: Path) -> bool:
    try:
        return time.time() - file.stat().st_mtime < _FORSAKEN
    except FileNotFoundError:  # it just got its own name
        return True


def _runs(process: int, file: Path) -> bool:
    """Whether the process that writes a file goes on; where that cannot be asked, as on Windows, it may."""
    if process == os.getpid():  # another thread's; or a killed one had the same number, as in a container
        return file.name.startswith(f".{_START}")
    if os.name != "posix":
        return True
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):  # none has so large a number
        return False
    except OSError:
        return True
    return not _is_zombie(process)


def _is_zombie(process: int) -> bool:
    """Whether a process has ended and only waits to be noticed, as one may whose parent was killed with it; on Linux."""
    try:
        state = Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return False
    return state.rpartition(") ")[2].startswith("Z")


@contextmanager
def whole_file(path: Path, size: int | None = None) -> Iterator[Path]:
    """Write a file under another name in the same folder; it gets its own when the block is done.

    Args:
        path: the file; its folder exists. An old one is there until the new one is complete.
        size: how many bytes it will have, if that is known.

    Yields:
        The file to write. Nothing is left behind if the block fails.

    Raises:
        OSError: it cannot be written. The error names this file; for want of space, the bytes that are needed, too.
    """
    partial = partial_path(path)
    try:
        yield partial
        partial.replace(path)
    except OSError as error:
        if error.errno is not None and error.errno in _NO_SPACE:
            cause = f"{os.strerror(error.errno)}, {_wanted(error.errno, partial, size)}"
            raise OSError(error.errno, cause, str(path)) from error
        if error.filename == str(partial):  # a name that nobody knows
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise
    finally:
        partial.unlink(missing_ok=True)


def room_for(partial: Path) -> int:
    """Bytes that a file can have that is being written: those it has, and what is free on its disk."""
    return _size(partial) + shutil.disk_usage(partial.parent).free


def _wanted(cause: int, partial: Path, size: int | None) -> str:
    room = room_for(partial) if cause == errno.ENOSPC else _size(partial)  # a quota says not how much is left
    if size is None or size <= room:
        return f"more than {room:,} bytes are needed"
    return f"{size:,} bytes are needed, there is room for {room:,}"


def _size(partial: Path) -> int:
    return partial.stat().st_size if partial.exists() else 0


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 file whole or not at all; an old one is replaced when the new one is complete.

    Args:
        path: the file; its folder exists.
        text: its content.

    Raises:
        OSError: it cannot be written; nothing is left behind then.
    """
    content = text.encode()
    with whole_file(path, len(content)) as partial:
        partial.write_bytes(content)


def write_json(path: Path, content: object) -> None:
    """Write JSON as ``write_text`` does."""
    write_text(path, json.dumps(content, indent=2) + "\n")
