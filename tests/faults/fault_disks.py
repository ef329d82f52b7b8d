"""Small disks: a tmpfs that only this process and its children see, made where the system allows it."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

_NEW_NAMES, _NEW_USER = 0x00020000, 0x10000000
_READ_ONLY, _REMOUNT, _RECURSIVE, _PRIVATE = 1, 32, 0x4000, 1 << 18


def small_disk(folder: Path, size: int) -> bool:
    """Mount a disk of so many bytes at a folder; False where that is not allowed. It goes with the process."""
    folder.mkdir(parents=True, exist_ok=True)
    user, group = os.getuid(), os.getgid()
    try:
        _call("unshare", _NEW_NAMES)
    except OSError:
        try:
            _call("unshare", _NEW_NAMES | _NEW_USER)
            Path("/proc/self/setgroups").write_text("deny")
            Path("/proc/self/uid_map").write_text(f"0 {user} 1")
            Path("/proc/self/gid_map").write_text(f"0 {group} 1")
        except OSError:
            return False
    try:
        _call("mount", b"none", b"/", None, _RECURSIVE | _PRIVATE, None)
        _call("mount", b"tmpfs", bytes(folder), b"tmpfs", 0, f"size={size}".encode())
    except OSError:
        return False
    return True


def change_disk(folder: Path, size: int, *, read_only: bool = False) -> None:
    """Make the disk larger, or read-only."""
    flags = _REMOUNT | (_READ_ONLY if read_only else 0)
    _call("mount", b"tmpfs", bytes(folder), b"tmpfs", flags, f"size={size}".encode())


def _call(name: str, *arguments: object) -> None:
    library = ctypes.CDLL(None, use_errno=True)
    if getattr(library, name)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), name)
