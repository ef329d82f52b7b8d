"""The folder of the outputs: what is there already."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32

from coteach.errors import OptionError
from coteach.files import whole_file
from coteach.rasters.fingerprint import read_record, stamps, write_record

RECORDS = "fingerprints"


@dataclass(frozen=True, slots=True)
class Output:
    """A tile's file, and what it is made of.

    Args:
        path: the file.
        made_of: all that decides what it holds, but for the image.
        image: whose size and modification time count too; None if there is none.
    """

    path: Path
    made_of: Mapping[str, Any]
    image: Path | None

    def kept(self) -> Any:
        """What was noted of the file when it was made; None if it is not there, or something has changed."""
        return read_record(self._record, self._all(), [self.path])

    def keep(self, note: Mapping[str, Any]) -> None:
        """The file is done: note what it was made of."""
        write_record(self._record, self._all(), [self.path], note)

    @property
    def _record(self) -> Path:
        return self.path.parent / RECORDS / f"{self.path.name}.json"

    def _all(self) -> dict[str, Any]:
        return {**self.made_of, "image": None if self.image is None else stamps([self.image])}


def write_vector(path: Path, vector: Float32[np.ndarray, " b"]) -> None:
    """Write a vector as ``.npy``, read it back, and compare; whole or not at all.

    Raises:
        OptionError: it is not what was written.
    """
    with whole_file(path) as partial:
        with partial.open("wb") as stream:
            np.save(stream, vector, allow_pickle=False)
        if not np.array_equal(np.load(partial, allow_pickle=False), vector):
            cause = f"{path.name} was not written as it should be"
            raise OptionError(f"output_dir {path.parent}", cause, "check the disk, and run it again")


def relevant(paths: Sequence[str]) -> dict[str, Any]:
    """Stamps of those of the places that are files on this computer."""
    return stamps(path for path in map(Path, paths) if path.is_file())
