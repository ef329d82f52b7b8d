"""Whether a tile's files are up to date: what they were made of, kept in a JSON file beside them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from coteach.files import write_text

_FORMAT = 4  # raised when the same inputs give other rasters, or this file other fields


def standard(file: Path) -> Path:
    """One spelling of a path, however its folder is reached; a link in the last place keeps its own name.

    Of links to folders the targets count: one that leads elsewhere from now on gives another path.
    """
    return file.parent.resolve() / file.name


def stamps(files: Iterable[Path]) -> dict[str, list[int] | None]:
    """Path -> size in bytes and modification time in ns; None for what is no file on this computer."""
    return {str(file): _stamp(file) for file in files}


def digests(files: Iterable[Path]) -> dict[str, str | None]:
    """Path -> SHA-256 of the content, which a copy shares with its original; None for what is no file."""
    return {str(file): _digest(file) for file in files}


def read_record(record: Path, made_of: Mapping[str, Any], outputs: Iterable[Path]) -> Any:
    """What :func:`write_record` was given as ``result``, if everything is still as it was then.

    Args:
        record: the file.
        made_of: all that decides what the outputs hold.
        outputs: the files made.

    Returns:
        The result; None if the record is missing or damaged, or something has changed.
    """
    try:
        kept = json.loads(record.read_text(encoding="utf-8"))
        same = kept["made_of"] == plain(made_of) and kept["outputs"] == _stamps_in_order(outputs)
        return kept["result"] if same and None not in kept["outputs"] else None
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return None


def write_record(record: Path, made_of: Mapping[str, Any], outputs: Iterable[Path], result: Any) -> None:
    """Keep what the outputs were made of; whole or not at all.

    Args:
        record: the file; its folder is made if it is not there.
        made_of: all that decides what the outputs hold.
        outputs: the files made.
        result: anything that JSON holds.
    """
    record.parent.mkdir(parents=True, exist_ok=True)
    content = {"made_of": plain(made_of), "outputs": _stamps_in_order(outputs), "result": result}
    write_text(record, json.dumps(content, indent=1) + "\n")


def _stamps_in_order(files: Iterable[Path]) -> list[list[int] | None]:
    """Without the paths: the folder of the outputs may be moved."""
    return [_stamp(file) for file in files]


def _stamp(file: Path) -> list[int] | None:
    try:
        status = file.stat()
    except (OSError, ValueError):  # ValueError: the name holds a zero byte
        return None
    return [status.st_size, status.st_mtime_ns]


def _digest(file: Path) -> str | None:
    try:
        with file.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError:
        return None


def plain(made_of: Mapping[str, Any]) -> Any:
    """As it comes back from JSON, to be compared; with the number of the format, which decides as well."""
    return json.loads(json.dumps({"format": _FORMAT, **made_of}))
