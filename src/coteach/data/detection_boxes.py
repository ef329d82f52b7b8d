"""What annotation files say of boxes: one container for every format, and a check of the boxes.

Shape legend: ``N`` boxes of an image, ``I`` regions of it to be ignored.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float32, Int64

from coteach.errors import CoteachWarning, InputError

LONGEST_SIDE = 2**31  # pixels; a size beyond is no size
_NAMES_SHOWN = 3


@dataclass(frozen=True, slots=True)
class AnnotatedImage:
    """One image and its boxes.

    Args:
        image_id: its id in the annotations.
        path: its file.
        size: (H, W) in pixels as the annotations say; None if they do not.
        boxes: ``(N, 4)`` float32 x1, y1, x2, y2 in pixels.
        labels: ``(N,)`` int64 from 1.
        ignore: ``(I, 4)`` float32: crowds and the like, neither right nor wrong to find.
    """

    image_id: int | str
    path: Path
    size: tuple[int, int] | None
    boxes: Float32[np.ndarray, "n 4"]
    labels: Int64[np.ndarray, " n"]
    ignore: Float32[np.ndarray, "i 4"]


@dataclass(frozen=True, slots=True)
class Annotations:
    """What a data set's annotations hold.

    Args:
        source: the file or folder they are from.
        images: one entry an image, in order.
        class_names: of labels 1, 2, ...
        category_ids: the ids that labels 1, 2, ... have in the annotations.
    """

    source: Path
    images: tuple[AnnotatedImage, ...]
    class_names: tuple[str, ...]
    category_ids: tuple[int | str, ...]


class BoxReport:
    """Counts what was wrong with boxes, and names the first of each kind.

    Args:
        source: where the boxes are from.
    """

    def __init__(self, source: Path) -> None:
        self.source = source
        self.counts: dict[str, int] = {}
        self.first: dict[str, str] = {}
        self.boxes = 0

    def note(self, kind: str, place: str, count: int) -> None:
        """``count`` more boxes of a kind; ``place`` names where."""
        self.first.setdefault(kind, place)
        self.counts[kind] = self.counts.get(kind, 0) + count

    def tell(self) -> None:
        """One warning a kind."""
        for kind, count in self.counts.items():
            warnings.warn(
                f"{self.source}: {count} of {self.boxes} boxes {kind}; the first one is of {self.first[kind]}",
                CoteachWarning,
                stacklevel=3,
            )


NO_AREA = "have no area and were dropped"
OUTSIDE = "lie outside their image and were dropped"
CLIPPED = "reach out of their image and were clipped"


def clean_boxes(
    boxes: Float32[np.ndarray, "n 4"],
    sizes: Float32[np.ndarray, "n 2"],
    place: Callable[[int], str],
    report: BoxReport,
) -> tuple[Float32[np.ndarray, "n 4"], Bool[np.ndarray, " n"]]:
    """Clip boxes to their images, and find those that are none.

    Args:
        boxes: ``(N, 4)`` x1, y1, x2, y2, of any number of images.
        sizes: ``(N, 2)`` height and width of each box's image; infinite where they are not known.
        place: names the image of a box by the box's index.
        report: gets the counts.

    Returns:
        boxes: ``(N, 4)``, clipped; all of them.
        kept: ``(N,)`` bool, which of them have an area inside the image.

    Raises:
        InputError: a number is NaN or infinite.
    """
    if not np.isfinite(boxes).all():
        where = int(np.argmin(np.isfinite(boxes).all(1)))
        raise InputError(
            str(report.source), f"a box of {place(where)} is {boxes[where].tolist()}", "correct or remove it"
        )
    clipped = np.clip(boxes, np.float32(0), sizes[:, [1, 0, 1, 0]])
    empty = (boxes[:, 2:] <= boxes[:, :2]).any(1)
    gone = (clipped[:, 2:] <= clipped[:, :2]).any(1) & ~empty
    moved = (np.abs(clipped - boxes) > 1e-3).any(1) & ~empty & ~gone  # hand-made decimals are no error
    report.boxes += len(boxes)
    for kind, which in ((NO_AREA, empty), (OUTSIDE, gone), (CLIPPED, moved)):
        if which.any():
            report.note(kind, place(int(which.argmax())), int(which.sum()))
    return clipped, ~empty & ~gone


def known_size(size: tuple[int, int] | None) -> tuple[float, float]:
    """(H, W), infinite if it is not known."""
    return (np.inf, np.inf) if size is None else size


def check_same_classes(first: Annotations, second: Annotations) -> None:
    """Refuse two data sets whose labels mean different things.

    Args:
        first: one of them, such as that of the labelled images.
        second: the other one.

    Raises:
        InputError: the class lists differ; the message says where.
    """
    if first.class_names == second.class_names:
        return
    missing = sorted(set(first.class_names) - set(second.class_names))
    more = sorted(set(second.class_names) - set(first.class_names))
    said = [f"has no {_listed(missing)}"] if missing else []
    said += [f"has {_listed(more)} besides"] if more else []
    cause = " and ".join(said) or f"has the order {_listed(second.class_names)}"
    raise InputError(
        str(second.source),
        f"{cause}, unlike {first.source}",
        "give both the same categories with the same ids",
    )


def _listed(names: Sequence[str]) -> str:
    more = "" if len(names) <= _NAMES_SHOWN else f" and {len(names) - _NAMES_SHOWN} more"
    return ", ".join(map(repr, names[:_NAMES_SHOWN])) + more
