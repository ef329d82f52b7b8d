"""Files that are whole or not there."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4


def partial_path(path: Path) -> Path:
    """Where a file is written until it is whole: beside it, and where no other writer on any computer writes."""
    return path.with_name(f".{uuid4().hex[:8]}.{path.name}.{os.getpid()}.part")


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Write a file under another name in the same folder; it gets its own when the block is done.

    Args:
        path: the file; its folder exists. An old one is there until the new one is complete.

    Yields:
        The file to write. Nothing is left behind if the block fails.
    """
    partial = partial_path(path)
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 file whole or not at all; an old one is replaced when the new one is complete.

    Args:
        path: the file; its folder exists.
        text: its content.

    Raises:
        OSError: it cannot be written; nothing is left behind then.
    """
    with whole_file(path) as partial:
        partial.write_text(text, encoding="utf-8", newline="")


def write_json(path: Path, content: object) -> None:
    """Write JSON as ``write_text`` does."""
    write_text(path, json.dumps(content, indent=2) + "\n")
