"""What the values of a label map vote for, wherever they lie."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Int16, Int64, Shaped

from coteach.errors import RasterError
from coteach.labels.votes import NO_VOTE

UNKNOWN = -2  # what a value becomes that means neither a class nor nothing


@dataclass(frozen=True)
class CodeMeaning:
    """What the values of a label map mean.

    Args:
        num_classes: C; without a legend the values 0 to C - 1 are the classes.
        legend: value -> class, or :data:`~coteach.labels.votes.NO_VOTE`; then other values are unknown.
    """

    num_classes: int
    legend: Mapping[int, int] | None = None

    def votes(self, values: Shaped[np.ndarray, " n"]) -> Int16[np.ndarray, " n"]:
        """The class of each value; :data:`UNKNOWN` for what is none."""
        votes = np.full(values.shape, UNKNOWN, np.int16)
        if self.legend is None:
            known = (values >= 0) & (values < self.num_classes)
            votes[known] = values[known]
        else:
            keys, classes = self._listed
            places = np.searchsorted(keys, values).clip(max=len(keys) - 1)
            known = keys[places] == values
            votes[known] = classes[places[known]]
        return votes

    @cached_property
    def _listed(self) -> tuple[Int64[np.ndarray, " k"], Int16[np.ndarray, " k"]]:
        assert self.legend is not None
        keys = np.array(sorted(self.legend), np.int64)
        return keys, np.array([self.legend[int(key)] for key in keys], np.int16)


class ValueVotes:
    """The votes of a label map's values; those of a small dtype are worked out once.

    Args:
        path: the label map, for messages.
        dtype: of its values.
        nodata: the value that means nothing, if there is one.
        meaning: of the others.
    """

    def __init__(self, path: Path, dtype: np.dtype[Any], nodata: float | None, meaning: CodeMeaning) -> None:
        self._path = path
        self._nodata = nodata
        self._meaning = meaning
        self._table = self._all_votes(dtype) if dtype.kind in "iu" and dtype.itemsize <= 2 else None

    def of(
        self, values: Shaped[np.ndarray, "*pixels"], mask: Bool[np.ndarray, "*pixels"] | None
    ) -> Int16[np.ndarray, "*pixels"]:
        """The class of each value, NO_VOTE for NoData, NaN and what is masked, :data:`UNKNOWN` for what is none.

        Args:
            values: of the map's dtype.
            mask: False where a value does not count; None where all do.

        Raises:
            RasterError: a value is a fraction.
        """
        if self._table is None:
            return self._votes(values, mask)
        votes: Int16[np.ndarray, "*pixels"] = self._table.take(values.view(f"u{values.dtype.itemsize}"))
        if mask is not None:
            votes[~mask] = NO_VOTE
        return votes

    def _votes(
        self, values: Shaped[np.ndarray, "*pixels"], mask: Bool[np.ndarray, "*pixels"] | None
    ) -> Int16[np.ndarray, "*pixels"]:
        valid = np.ones(values.shape, np.bool_) if mask is None else mask.copy()
        if self._nodata is not None:
            valid &= values != self._nodata
        if values.dtype.kind == "f":
            valid &= np.isfinite(values)
            broken = valid & (values != np.floor(values))
            if broken.any():
                cause = f"holds {values[broken][0]:g}, which is no class code"
                remedy = f"give a raster of whole numbers, 0 to {self._meaning.num_classes - 1}"
                raise RasterError(str(self._path), cause, remedy)
        votes = np.full(values.shape, NO_VOTE, np.int16)
        votes[valid] = self._meaning.votes(values[valid])
        return votes

    def _all_votes(self, dtype: np.dtype[Any]) -> Int16[np.ndarray, " n"]:
        """What every value of a small dtype votes for, in the order of its bits."""
        values = np.arange(1 << 8 * dtype.itemsize).astype(f"u{dtype.itemsize}").view(dtype)
        return self._votes(values, None)
