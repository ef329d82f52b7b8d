"""What can be known of a picture without decoding it."""

from __future__ import annotations

import os
import stat
from pathlib import Path


def fault_of(path: Path) -> str:
    """Why a file cannot hold a picture, by its entry in the folder alone; empty if it can.

    Example:
        >>> fault_of(Path("nowhere.png"))
        'does not exist'
    """
    try:
        status = path.stat()
    except FileNotFoundError:
        return "is a link to a file that does not exist" if path.is_symlink() else "does not exist"
    except (OSError, ValueError) as error:  # a name that is too long, or holds a zero byte
        return f"cannot be looked at ({getattr(error, 'strerror', None) or error})"
    if not stat.S_ISREG(status.st_mode):
        return "is no file"
    if status.st_size == 0:
        return "is empty"
    return "" if os.access(path, os.R_OK) else "must not be read (its permissions)"


def extent_of(path: Path) -> tuple[int, int] | None:
    """Height and width in pixels, as the file's header tells; None if it cannot be read."""
    import PIL.Image

    try:
        with PIL.Image.open(path) as picture:
            return picture.height, picture.width
    except (OSError, ValueError, SyntaxError, EOFError, PIL.Image.DecompressionBombError):
        return None
