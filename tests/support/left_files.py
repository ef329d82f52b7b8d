"""Temporary files as processes leave them that are killed while they write."""

import os
from pathlib import Path
from uuid import uuid4

from coteach.files import partial_path

NO_PROCESS = 1 << 23  # none has such a number


def left_by(process: int, path: Path) -> Path:
    """What a process of this computer writes until ``path`` is whole."""
    start = f".{uuid4().hex[:8]}"  # not this one, whatever its number is
    mine = partial_path(path)
    return mine.with_name(start + mine.name[len(start) :].replace(f"-{os.getpid()}.", f"-{process}."))
