"""Files that are whole or not there."""

from __future__ import annotations

import json
import os
from pathlib import Path


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 file whole or not at all; an old one is replaced when the new one is complete.

    Args:
        path: the file; its folder exists.
        text: its content.

    Raises:
        OSError: it cannot be written; nothing is left behind then.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        partial.write_text(text, encoding="utf-8", newline="")
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def write_json(path: Path, content: object) -> None:
    """Write JSON as ``write_text`` does."""
    write_text(path, json.dumps(content, indent=2) + "\n")
