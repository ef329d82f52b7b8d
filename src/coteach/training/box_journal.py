"""What was found so far, image by image: a job that was killed goes on where it was."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from coteach.rasters.fingerprint import plain


@dataclass(frozen=True, slots=True)
class FoundBoxes:
    """The boxes of one image.

    Args:
        image_id: of the image.
        stamp: size and time of its file then; see :func:`~coteach.rasters.fingerprint.stamps`.
        size: (H, W) in pixels.
        boxes: x1, y1, x2, y2 of each, in pixels.
        labels: of each, from 1.
        scores: of each, in [0, 1], falling.
    """

    image_id: int | str
    stamp: Sequence[int] | None
    size: Sequence[int]
    boxes: Sequence[Sequence[float]]
    labels: Sequence[int]
    scores: Sequence[float]


class BoxJournal:
    """A file with one line an image, after a line that says with what the boxes were found.

    Args:
        file: its folder exists. One that was made with something else, or is damaged, is begun anew; a last line that a
            killed process left half-written is cut off.
        made_of: all that decides what is found in an image.

    Attributes:
        found: image id -> its boxes, as they are in the file.
    """

    def __init__(self, file: Path, made_of: Mapping[str, Any]) -> None:
        self._file = file
        self.found: dict[int | str, FoundBoxes] = {}
        lines = file.read_bytes().splitlines(keepends=True) if file.is_file() else []
        head = json.dumps(plain(made_of)).encode() + b"\n"
        if lines[:1] != [head]:
            file.write_bytes(head)
            return
        whole = len(head)
        for line in lines[1:]:
            entry = _entry(line)
            if entry is None:
                break
            self.found[entry.image_id] = entry
            whole += len(line)
        with file.open("r+b") as stream:
            stream.truncate(whole)

    def add(self, entries: Iterable[FoundBoxes]) -> None:
        """Append images; of two entries of one image the later one counts.

        Raises:
            OSError: they cannot be written; it names the file and how many bytes are needed.
        """
        entries = list(entries)
        lines = b"".join(json.dumps(asdict(entry)).encode() + b"\n" for entry in entries)
        try:
            with self._file.open("ab") as stream:
                stream.write(lines)
        except OSError as error:
            cause = f"{error.strerror}, {len(lines):,} bytes more are needed"
            raise OSError(error.errno, cause, str(self._file)) from error
        self.found.update({entry.image_id: entry for entry in entries})


def _entry(line: bytes) -> FoundBoxes | None:
    """An image of the journal; None if the line is not whole."""
    try:
        return FoundBoxes(**json.loads(line)) if line.endswith(b"\n") else None
    except (ValueError, TypeError):
        return None
