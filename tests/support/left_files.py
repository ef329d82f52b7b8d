"""Temporary files as processes leave them that are killed while they write."""

import os
from pathlib import Path

from coteach.files import partial_path

NO_PROCESS = 1 << 23  # none has such a number


def left_by(process: int, path: Path) -> Path:
    """What a process of this computer writes until ``path`` is whole."""
    mine = partial_path(path)
    return mine.with_name(mine.name.replace(f"-{os.getpid()}.", f"-{process}."))
