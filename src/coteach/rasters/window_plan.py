"""What decides which windows of which masks there are, and what is kept of each mask."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from coteach.rasters.dataset import files_behind, sidecars
from coteach.rasters.fingerprint import stamps, standard


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


def _files(paths: Iterable[Path]) -> list[Path]:
    """The files and what lies beside them. Only VRTs are opened for it: there may be many thousands of masks."""
    found: dict[Path, None] = {}
    for path in paths:
        behind = files_behind(path) if path.suffix.lower() == ".vrt" else [path, *sidecars(path)]
        found.update(dict.fromkeys(standard(file) for file in behind))
    return list(found)
