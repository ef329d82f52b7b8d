"""P_soft and W_conf of a window of a mask, by an equal vote of the mask and of other maps of classes.

They are what ``coteach build-soft-labels`` makes of the same maps with ``--border-source mask``: what belongs to the
mask's whole tile (the range of the entropy) is known beforehand, and the mask is read a little beyond the window.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float32, Int16

from coteach.errors import CoteachWarning
from coteach.labels.borders import check_radius, halo_of, mask_border_weight
from coteach.labels.confidence import check_entropy_norm, entropy_weight, weight_shares, weighted_mean
from coteach.labels.votes import check_num_classes, vote_shares
from coteach.rasters.blocks import padded
from coteach.rasters.code_meaning import CodeMeaning
from coteach.rasters.codes import LabelMap
from coteach.rasters.grid import Grid, Window
from coteach.rasters.handles import kept_open


@dataclass(frozen=True, slots=True)
class MaskTile:
    """A mask, and what is known of all of it.

    Args:
        mask: the file.
        grid: its grid, which is that of the labels.
        others: the maps that vote beside it.
        entropy_range: least and greatest entropy of P_soft, in nats; None where it is not asked for.
    """

    mask: Path
    grid: Grid
    others: tuple[Path, ...]
    entropy_range: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightOptions:
    """How W_conf is made; see :func:`~coteach.labels.confidence.confidence_weight`.

    Args:
        alpha: what the entropy counts.
        use_border: whether the mask's borders count, with what ``alpha`` leaves of 1.
        entropy_norm: ``"max_entropy"`` or ``"minmax"``, by the mask's tile.
        border_radius: in pixels of the mask.

    Raises:
        OptionError: one is out of range.
    """

    alpha: float | int = 0.6
    use_border: bool = True
    entropy_norm: str = "max_entropy"
    border_radius: float | int = 10

    def __post_init__(self) -> None:
        weight_shares(self.alpha, 0, use_border=self.use_border)
        check_entropy_norm(self.entropy_norm)
        check_radius(self.border_radius)


class MaskLabels:
    """Reads labels.

    Args:
        num_classes: C; the codes of all maps are 0 to C - 1, others do not vote.
        weights: how W_conf is made; None gives weight 1 to every pixel with a vote.
        legends: map -> value -> class, for maps whose values are no classes.

    Raises:
        OptionError: ``num_classes`` is out of range.
    """

    def __init__(
        self,
        num_classes: int,
        weights: WeightOptions | None,
        legends: Mapping[Path, Mapping[int, int]] | None = None,
    ) -> None:
        check_num_classes(num_classes)
        self._meaning = CodeMeaning(num_classes)
        self._legends = {path: CodeMeaning(num_classes, legend) for path, legend in (legends or {}).items()}
        self._weights = weights
        self._told: set[tuple[Path, int]] = set()

    def read(
        self, tile: MaskTile, window: Window
    ) -> tuple[Float32[np.ndarray, "c h w"], Float32[np.ndarray, "h w"], Bool[np.ndarray, "h w"]]:
        """The label of a window.

        Args:
            tile: the mask and its others.
            window: within the mask.

        Returns:
            ``(c, h, w)`` P_soft, uniform where nobody votes; ``(h, w)`` W_conf in [0, 1], 0 there; and ``(h, w)``, False
            there.

        Raises:
            RasterError: a map is damaged there.
        """
        bordered = self._weights is not None and self._weights.use_border
        halo = halo_of(self._weights.border_radius) if self._weights is not None and bordered else 0
        around, inner = padded(window, halo, tile.grid.height, tile.grid.width)
        mask = self.votes(tile.mask, tile.grid, around)
        others = [self._other_votes(path, tile.grid, window) for path in tile.others]
        p_soft, votes = vote_shares(np.stack([inner.cut(mask), *others]), self._meaning.num_classes)
        voted = np.asarray(votes > 0)
        if self._weights is None:
            return p_soft, voted.astype(np.float32), voted
        options = self._weights
        shares = weight_shares(options.alpha, 0, use_border=options.use_border)
        by_entropy = entropy_weight(p_soft, voted, norm=options.entropy_norm, tile_range=tile.entropy_range)
        by_border = inner.cut(mask_border_weight(mask, options.border_radius)) if bordered else None
        return p_soft, weighted_mean(shares, voted, by_entropy, by_border, None), voted

    def votes(self, path: Path, grid: Grid, window: Window) -> Int16[np.ndarray, "h w"]:
        """What a map votes for on a part of a grid; see :meth:`~coteach.rasters.codes.LabelMap.votes`."""
        return self._voted(path, grid, window)[0]

    def _other_votes(self, path: Path, grid: Grid, window: Window) -> Int16[np.ndarray, "h w"]:
        """The same of a map beside the mask; warns of codes that are no class when it first meets them."""
        votes, unknown = self._voted(path, grid, window)
        new = sorted(code for code in unknown if (path, code) not in self._told)
        self._told.update((path, code) for code in new)
        if new:
            known = (
                "those of its legend" if path in self._legends else f"0 to {self._meaning.num_classes - 1}"
            )
            warnings.warn(
                f"{path} holds values other than {known}, which do not vote: " + ", ".join(map(str, new)),
                CoteachWarning,
                stacklevel=3,
            )
        return votes

    def _voted(
        self, path: Path, grid: Grid, window: Window
    ) -> tuple[Int16[np.ndarray, "h w"], AbstractSet[int]]:
        with kept_open(path) as dataset:
            label_map = LabelMap(path, dataset, grid, self._legends.get(path, self._meaning))
            return label_map.votes(window), label_map.unknown.keys()

    def p_soft(
        self, paths: Sequence[Path], grid: Grid, window: Window
    ) -> tuple[Float32[np.ndarray, "c h w"], Bool[np.ndarray, "h w"]]:
        """P_soft of maps on a part of a grid, and where one of them votes."""
        codes = np.stack([self.votes(path, grid, window) for path in paths])
        p_soft, votes = vote_shares(codes, self._meaning.num_classes)
        return p_soft, np.asarray(votes > 0)
