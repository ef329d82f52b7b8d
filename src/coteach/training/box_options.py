"""What to find boxes with, and how."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from coteach.errors import OptionError
from coteach.legend import Legend
from coteach.methods.detection_base import DetectionMethod


@dataclass(frozen=True, kw_only=True)
class BoxOptions:
    """How boxes are found and shown.

    Args:
        score: least score of a box that is written, in [0, 1]. The detector has a least score of its own.
        pictures: also draw them.
        picture_score: least score of a box that is drawn, in [0, 1].
        batch_size: images at once, >= 1.

    Raises:
        OptionError: one is out of range.
    """

    score: float = 0.05
    pictures: bool = False
    picture_score: float = 0.5
    batch_size: int = 4

    def __post_init__(self) -> None:
        for name in ("score", "picture_score"):
            if not 0 <= getattr(self, name) <= 1:
                raise OptionError(
                    f"--{name.replace('_', '-')}", f"{getattr(self, name)} is no score", "give 0 to 1"
                )
        if self.batch_size < 1:
            raise OptionError("--batch-size", f"{self.batch_size} is below 1", "give a number of images")


@dataclass(frozen=True, kw_only=True)
class BoxJob:
    """What to find boxes with.

    Args:
        method: trained.
        legend: names and colours of the classes, label 1 first.
        category_ids: ids of the classes in the results, label 1 first.
        output_dir: gets everything.
        options: how.
        source: where sizes of images are from, for errors.
        made_by: plain data that tells one model from another.
    """

    method: DetectionMethod
    legend: Legend
    category_ids: Sequence[int | str]
    output_dir: Path
    options: BoxOptions
    source: Path
    made_by: Mapping[str, Any]
