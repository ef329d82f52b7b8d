"""A look at all masks of a plan: which of their windows hold a class and lie on the image."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from itertools import product
from pathlib import Path

from coteach.errors import CoteachWarning, RasterError
from coteach.labels.confidence import entropy_range
from coteach.labels.votes import NO_VOTE
from coteach.rasters.blocks import blocks
from coteach.rasters.code_meaning import CodeMeaning
from coteach.rasters.codes import LabelMap
from coteach.rasters.dataset import opened
from coteach.rasters.grid import Grid, Window
from coteach.rasters.mask_labels import MaskLabels
from coteach.rasters.overlap import coverage
from coteach.rasters.patches import window_starts
from coteach.rasters.rules import checked_grid, label_map_rules
from coteach.rasters.window_plan import MaskWindows, WindowPlan

_LISTED = 8  # masks or codes that a warning names


class MaskSurvey:
    """Looks at all masks of a plan.

    Args:
        plan: which they are, and what decides their windows.
    """

    def __init__(self, plan: WindowPlan) -> None:
        self._plan = plan
        self._labels = MaskLabels(plan.num_classes, None, plan.meanings)
        self._image = Grid.of(plan.image)
        self._others = [_map_grid(path) for path in plan.others]
        self._strange: set[int] = set()

    def run(self) -> list[MaskWindows]:
        """The windows of each mask that has some; see :func:`~coteach.rasters.mask_windows.find_windows`."""
        asked = range(len(self._plan.masks)) if self._plan.listed is None else self._plan.listed
        looked = [self._look(place) for place in asked]
        for place, path in enumerate(self._plan.others):
            if not any(place in one.others for one in looked):
                remedy = "give a raster that covers them, or leave it out"
                raise RasterError(str(path), "overlaps none of the masks", remedy)
        found = [one for one in looked if one.offsets]
        if not found:
            cause = f"shows nothing under a class of the {len(looked)} masks"
            raise RasterError(str(self._plan.image), cause, "give masks that it covers, with classes in them")
        self._warn([self._plan.masks[one.mask] for one in looked if not one.offsets])
        return found

    def _look(self, place: int) -> MaskWindows:
        plan, path = self._plan, self._plan.masks[place]
        with opened(path) as dataset:
            grid = checked_grid(dataset, label_map_rules())
            _check_room(path, grid, plan.patch_size)
            mask = LabelMap(path, dataset, grid, CodeMeaning(plan.num_classes))
            offsets = tuple(
                (window.row_off, window.col_off)
                for window in self._on_image(place, grid)
                if (mask.votes(window) != NO_VOTE).any()
            )
            self._strange.update(mask.unknown)
        others = tuple(
            number for number, other in enumerate(self._others) if _overlaps(plan.others[number], grid, other)
        )
        ranged = self._entropy_range(path, grid, others) if plan.ranged and offsets else None
        return MaskWindows(place, others, offsets, ranged)

    def _on_image(self, place: int, grid: Grid) -> Iterator[Window]:
        """The windows of a mask that lie on the image."""
        plan = self._plan
        if not _overlaps(plan.image, grid, self._image):
            return
        for row, col in self._offsets(place, grid):
            window = Window(row, col, *plan.patch_size)
            if _overlaps(plan.image, grid.part(window), self._image):
                yield window

    def _offsets(self, place: int, grid: Grid) -> Iterable[tuple[int, int]]:
        """First row and column of each window of a mask: as they are listed, else side by side."""
        plan, shape = self._plan, (grid.height, grid.width)
        if plan.listed is None:
            down, across = map(window_starts, shape, plan.patch_size, plan.stride)
            return product(down, across)
        for row, col in plan.listed[place]:
            if row + plan.patch_size[0] > shape[0] or col + plan.patch_size[1] > shape[1]:
                cause = f"the window at row {row} and column {col} leaves its {shape[0]} x {shape[1]} pixels"
                raise RasterError(str(plan.masks[place]), cause, "correct windows_csv")
        return plan.listed[place]

    def _entropy_range(self, mask: Path, grid: Grid, others: tuple[int, ...]) -> tuple[float, float]:
        """Least and greatest entropy of P_soft over the pixels of a mask's tile that have a vote, in nats."""
        paths = [mask, *(self._plan.others[number] for number in others)]
        ranges = []
        for window in blocks(grid.height, grid.width):
            p_soft, voted = self._labels.p_soft(paths, grid, window)
            if voted.any():
                ranges.append(entropy_range(p_soft, voted))
        return min(low for low, _ in ranges), max(high for _, high in ranges)

    def _warn(self, empty: list[Path]) -> None:
        """Tell of masks without a window, and of values in masks that are no class."""
        if empty:
            warnings.warn(
                f"{len(empty)} masks are left out, as {self._plan.image} shows nothing under a class of theirs: "
                + _shortened(str(mask) for mask in empty),
                CoteachWarning,
                stacklevel=5,
            )
        if self._strange:
            warnings.warn(
                f"masks hold values other than 0 to {self._plan.num_classes - 1}, which do not vote: "
                + _shortened(str(code) for code in sorted(self._strange)),
                CoteachWarning,
                stacklevel=5,
            )


def _shortened(names: Iterable[str]) -> str:
    listed = list(names)
    return ", ".join(listed[:_LISTED]) + (", …" if len(listed) > _LISTED else "")


def _overlaps(path: Path, grid: Grid, other: Grid) -> bool:
    """Whether a raster reaches a grid; one whose CRS ends before does not."""
    try:
        coverage(path, grid, other)
    except RasterError:
        return False
    return True


def _map_grid(path: Path) -> Grid:
    with opened(path) as dataset:
        return checked_grid(dataset, label_map_rules())


def _check_room(path: Path, grid: Grid, patch_size: tuple[int, int]) -> None:
    if grid.height < patch_size[0] or grid.width < patch_size[1]:
        size = f"{patch_size[0]} x {patch_size[1]}"
        cause = f"has {grid.height} x {grid.width} pixels, less than a window of {size}"
        raise RasterError(str(path), cause, "give a smaller patch_size, or leave the mask out")
