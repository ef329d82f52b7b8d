"""A tile as the audit of its sources sees it: what the networks and what the sources say, row by row.

A few pixels of it are drawn for the estimate, each by a number that depends on the tile and the pixel only: neither
the windows nor the order of the tiles decide which.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float32, Int16

from coteach.data.scene import SceneImage
from coteach.errors import TrainingError
from coteach.files import whole_file
from coteach.labels.votes import NO_VOTE
from coteach.methods.base import Method
from coteach.rasters.grid import Grid, Window
from coteach.rasters.options import BuildOptions
from coteach.rasters.sources import Tile
from coteach.rasters.tile_sources import TileSources
from coteach.training.scenes import SceneOptions, scene_probs


class AuditedRows(NamedTuple):
    """Finished rows of a tile, or of a band of its columns.

    Args:
        window: where they lie.
        probs: ``(C, h, w)``, mean of the networks' class probabilities.
        codes: column -> ``(h, w)`` class that the source gives; ``NO_VOTE`` where it is silent or the image has no data.
    """

    window: Window
    probs: Float32[np.ndarray, "c h w"]
    codes: dict[str, Int16[np.ndarray, "h w"]]


class Drawn(NamedTuple):
    """Pixels drawn of one tile or of many.

    Args:
        probs: ``(n, C)`` mean of the networks' class probabilities.
        codes: ``(n, S)`` what each source says, ``NO_VOTE`` for nothing.
    """

    probs: Float32[np.ndarray, "n c"]
    codes: Int16[np.ndarray, "n s"]

    def save(self, path: Path) -> None:
        """Write them as an npz file, whole or not at all."""
        with whole_file(path) as partial, partial.open("wb") as stream:
            np.savez_compressed(stream, probs=self.probs, codes=self.codes)

    @classmethod
    def load(cls, path: Path) -> Drawn:
        """Read what :meth:`save` wrote.

        Raises:
            TrainingError: the file is damaged.
        """
        try:
            with path.open("rb") as stream, np.load(stream) as content:
                return cls(content["probs"], content["codes"])
        except Exception as error:  # a truncated archive fails in many ways
            cause = f"cannot be read ({error})"
            raise TrainingError(str(path), cause, "delete it, and run it again") from error


@dataclass(frozen=True, eq=False)
class AuditedTile:
    """A tile that can be read.

    Args:
        tile: its files.
        image: its image.
        sources: which columns are sources, and what their codes mean.
        method: trained.
        options: windows of the prediction; ``disagreement`` asks all networks, not those that predict.
    """

    tile: Tile
    image: SceneImage
    sources: BuildOptions
    method: Method
    options: SceneOptions

    @property
    def pixels(self) -> int:
        """Of the image."""
        return self.image.grid.height * self.image.grid.width

    def rows(
        self, advance: Callable[[int], None], unknown: dict[str, dict[str, int]] | None = None
    ) -> Iterator[AuditedRows]:
        """The whole tile, from top to bottom.

        Args:
            advance: called with the number of windows that are predicted.
            unknown: gets column -> code -> pixels, of codes that are no class; None does not count them.

        Raises:
            RasterError: a file is damaged, does not fit, or holds codes that its legend lacks.
        """
        classes = self.sources.num_classes
        with closing(TileSources(self.tile, self.sources, Grid.of(self.image.path))) as sources:
            found = scene_probs(self.method, self.image, classes, self.options, advance)
            for window, planes, valid in found:
                probs = planes.reshape(-1, classes, *valid.shape).mean(0)
                counted = None if unknown is None else window
                votes = {key: sources.votes(key, window, counted) for key in self.tile.sources}
                yield AuditedRows(
                    window, probs, {key: np.where(valid, code, NO_VOTE) for key, code in votes.items()}
                )
            if unknown is not None:
                unknown.update(sources.unknown())

    def draw(self, share: float, advance: Callable[[int], None]) -> tuple[Drawn, dict[str, dict[str, int]]]:
        """Draw pixels where a source speaks.

        Args:
            share: of all pixels, in (0, 1]; at 1 every pixel is drawn.
            advance: called with the number of windows that are predicted.

        Returns:
            The pixels, with a column of codes a source of the table; and as ``unknown`` of :meth:`rows`.

        Raises:
            RasterError: as :meth:`rows`.
        """
        classes, keys = self.sources.num_classes, self.sources.source_keys
        probs, codes = [np.empty((0, classes), np.float32)], [np.empty((0, len(keys)), np.int16)]
        unknown: dict[str, dict[str, int]] = {}
        for rows in self.rows(advance, unknown):
            silent = np.full((rows.window.height, rows.window.width), NO_VOTE, np.int16)
            votes = np.stack([rows.codes.get(key, silent) for key in keys], axis=-1)
            chosen = self._chosen(rows.window, share) & (votes != NO_VOTE).any(axis=-1)
            probs.append(rows.probs[:, chosen].T)
            codes.append(votes[chosen])
        return Drawn(np.concatenate(probs), np.concatenate(codes)), unknown

    def _chosen(self, window: Window, share: float) -> Bool[np.ndarray, "h w"]:
        seed = int.from_bytes(hashlib.sha256(self.tile.tile_id.encode()).digest()[:8])
        columns = slice(window.col_off, window.col_off + window.width)
        lines = [
            np.random.default_rng((seed, row)).random(self.image.grid.width)[columns] < share
            for row in range(window.row_off, window.row_off + window.height)
        ]
        return np.stack(lines)
