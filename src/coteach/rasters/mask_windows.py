"""Which windows of which masks are worth a look: found once, kept in a file, found again when something changed."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from coteach.errors import CoteachWarning, RasterError
from coteach.labels.confidence import entropy_range
from coteach.labels.votes import NO_VOTE
from coteach.rasters.blocks import blocks
from coteach.rasters.codes import CodeMeaning, LabelMap
from coteach.rasters.dataset import files_behind, opened, sidecars
from coteach.rasters.fingerprint import read_record, stamps, standard, write_record
from coteach.rasters.grid import Grid, Window
from coteach.rasters.mask_labels import MaskLabels
from coteach.rasters.overlap import coverage
from coteach.rasters.patches import window_starts
from coteach.rasters.rules import checked_grid, label_map_rules

_LISTED = 8  # masks or codes that a warning names


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowPlan:
    """What decides which windows there are.

    Args:
        image: what is seen through them.
        masks: whose windows they are.
        others: maps that vote beside the masks.
        num_classes: C.
        patch_size: height and width in pixels of the mask.
        stride: pixels from one window to the next, down and across.
        ranged: whether the range of the entropy of each mask's tile is needed.
        legends: of each of the other maps, value -> class; None where its values are the classes. Empty for none.
        listed: place in ``masks`` -> first row and column of each window; None takes all there are.
    """

    image: Path
    masks: tuple[Path, ...]
    others: tuple[Path, ...]
    num_classes: int
    patch_size: tuple[int, int]
    stride: tuple[int, int]
    ranged: bool
    legends: tuple[Mapping[int, int] | None, ...] = ()
    listed: Mapping[int, tuple[tuple[int, int], ...]] | None = None

    def recipe(self) -> dict[str, Any]:
        """All that decides the result, as JSON has it."""
        return {
            "image": str(standard(self.image)),
            "masks": [str(standard(mask)) for mask in self.masks],
            "others": [str(standard(other)) for other in self.others],
            "num_classes": self.num_classes,
            "patch_size": self.patch_size,
            "stride": self.stride,
            "ranged": self.ranged,
            "legends": [legend and sorted(legend.items()) for legend in self.legends],
            "listed": self.listed and sorted(self.listed.items()),
            "files": stamps(_files((self.image, *self.masks, *self.others))),
        }

    @property
    def meanings(self) -> dict[Path, Mapping[int, int]]:
        """The legends by map."""
        pairs = zip(self.others, self.legends, strict=False)
        return {path: legend for path, legend in pairs if legend is not None}


@dataclass(frozen=True, slots=True)
class MaskWindows:
    """The windows of one mask.

    Args:
        mask: its place in the plan.
        others: places in the plan of the maps that reach it.
        offsets: first row and column of each window.
        entropy_range: see :class:`~coteach.rasters.mask_labels.MaskTile`.
    """

    mask: int
    others: tuple[int, ...]
    offsets: tuple[tuple[int, int], ...]
    entropy_range: tuple[float, float] | None


def find_windows(plan: WindowPlan, cache: Path | None) -> list[MaskWindows]:
    """The windows that hold a class of the mask and lie, at least partly, on the image.

    Those at a mask's lower and right edge are shifted inward. Masks that have no such window are left out, and named
    in a warning when they are looked at.

    Args:
        plan: what decides them.
        cache: a JSON file that keeps them; written whole or not at all. It is used while the plan and all files (of
            VRTs their parts, too) are what they were. None keeps nothing.

    Returns:
        The windows of each mask that has some, in the order of the plan.

    Raises:
        RasterError: a file is missing, damaged or no label map; a mask is smaller than a window; one of the other maps
            reaches no mask; or there is no window at all.
        OSError: the cache cannot be written.
    """
    recipe = plan.recipe()
    kept = None if cache is None else read_record(cache, recipe, [])
    if kept is not None:
        return [_from_json(one) for one in kept]
    found = _Survey(plan).run()
    if cache is not None:
        write_record(cache, recipe, [], [_to_json(one) for one in found])
    return found


class _Survey:
    """Looks at all masks of a plan."""

    def __init__(self, plan: WindowPlan) -> None:
        self._plan = plan
        self._labels = MaskLabels(plan.num_classes, None, plan.meanings)
        self._image = Grid.of(plan.image)
        self._others = [_map_grid(path) for path in plan.others]
        self._strange: set[int] = set()

    def run(self) -> list[MaskWindows]:
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


def _files(paths: Iterable[Path]) -> list[Path]:
    """The files and what lies beside them. Only VRTs are opened for it: there may be many thousands of masks."""
    found: dict[Path, None] = {}
    for path in paths:
        behind = files_behind(path) if path.suffix.lower() == ".vrt" else [path, *sidecars(path)]
        found.update(dict.fromkeys(standard(file) for file in behind))
    return list(found)


def _to_json(found: MaskWindows) -> dict[str, Any]:
    return {
        "mask": found.mask,
        "others": found.others,
        "offsets": found.offsets,
        "entropy_range": found.entropy_range,
    }


def _from_json(kept: Mapping[str, Any]) -> MaskWindows:
    low_and_high = kept["entropy_range"]
    return MaskWindows(
        mask=kept["mask"],
        others=tuple(kept["others"]),
        offsets=tuple((row, col) for row, col in kept["offsets"]),
        entropy_range=None if low_and_high is None else (low_and_high[0], low_and_high[1]),
    )
