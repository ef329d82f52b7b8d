"""The maps of one image: what stands beside what in the report."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Int, Int16

from coteach.errors import OptionError
from coteach.labels.confidence import entropy
from coteach.labels.votes import NO_VOTE, argmax_codes
from coteach.legend import Color, Legend
from coteach.rasters.codes import read_codes
from coteach.rasters.grid import Grid, Window
from coteach.rasters.read import read_image, read_soft_label
from coteach.report.outline import choose_view, cover, outline
from coteach.report.pictures import class_picture, data_uri, photo_picture, ramp_picture

RIGHT: Color = (226, 230, 235)
WRONG: Color = (178, 24, 72)


@dataclass(frozen=True, slots=True)
class Panel:
    """One picture.

    Args:
        title: what it shows.
        uri: the picture as a data URI.
        photo: smoothed when it is scaled; maps are not.
        color: of the run it belongs to, ``#rrggbb``; empty if it belongs to none.
    """

    title: str
    uri: str
    photo: bool = False
    color: str = ""


@dataclass(frozen=True, slots=True)
class LabelFiles:
    """A soft label of the image.

    Args:
        name: which one, where there are several.
        p_soft: its file.
        w_conf: None if there is none.
    """

    name: str
    p_soft: Path
    w_conf: Path | None


@dataclass(frozen=True, slots=True)
class ImageView:
    """The part of an image that is shown, and the pictures of it.

    Args:
        image: the file.
        part: what is shown of it.
        covered: ``(h, w)``, where the windows that are counted lie.
        groups: heading -> pictures.
    """

    image: Path
    part: Window
    covered: Bool[np.ndarray, "h w"]
    groups: dict[str, list[Panel]] = field(default_factory=dict)

    @classmethod
    def of(cls, image: Path, windows: Sequence[Window], most: int) -> ImageView:
        """Choose the part of an image that shows its windows, ``most`` pixels high and wide at most."""
        part = choose_view(windows, most)
        return cls(image, part, cover(windows, part))

    @property
    def outline(self) -> str:
        """SVG path around what is counted."""
        return outline(self.covered)

    def add(self, group: str, panel: Panel) -> None:
        """Put a picture under a heading."""
        self.groups.setdefault(group, []).append(panel)

    def codes(self, raster: Path, num_classes: int) -> Int16[np.ndarray, "h w"]:
        """A label map on the view's pixels; negative where it says nothing."""
        codes: Int16[np.ndarray, "h w"] = self.part.cut(read_codes(raster, Grid.of(self.image), num_classes))
        return codes


def photo_panel(view: ImageView, bands: Sequence[int] | None) -> Panel:
    """The image itself.

    Args:
        view: which.
        bands: three (or one) to show, counted from 1; None shows the first three, or the first of fewer.

    Raises:
        OptionError: the image has no such band.
    """
    values, valid = read_image(view.image, view.part)
    chosen = bands or ((1, 2, 3) if len(values) >= 3 else (1,))
    missing = [band for band in chosen if not 1 <= band <= len(values)]
    if missing:
        raise OptionError(
            "--bands", f"{view.image} has no band {missing[0]}", f"choose from 1 to {len(values)}"
        )
    named = ", ".join(map(str, chosen))
    picture = photo_picture(values[[band - 1 for band in chosen]], valid)
    return Panel(f"Image, band{'s' if len(chosen) > 1 else ''} {named}", data_uri(picture), photo=True)


def class_panel(title: str, codes: Int[np.ndarray, "h w"], legend: Legend, color: str = "") -> Panel:
    """A class map."""
    return Panel(title, data_uri(class_picture(codes, legend.colors)), color=color)


def difference_panel(
    title: str, prediction: Int[np.ndarray, "h w"], reference: Int[np.ndarray, "h w"], color: str = ""
) -> Panel:
    """Where a prediction is right and where it is wrong; transparent where either says nothing."""
    counted = (prediction >= 0) & (reference >= 0)
    wrong = np.where(counted, prediction != reference, NO_VOTE).astype(np.int16)
    return Panel(title, data_uri(class_picture(wrong, (RIGHT, WRONG))), color=color)


def p_soft_panels(view: ImageView, p_soft: Path, legend: Legend, which: str = "") -> list[Panel]:
    """The argmax of P_soft, and its entropy as a share of log C.

    Args:
        view: the image.
        p_soft: file.
        legend: of the classes.
        which: put behind the titles.
    """
    shares, _, voted = read_soft_label(p_soft, None, view.part)
    spread = entropy(shares) / math.log(len(shares))
    return [
        class_panel(f"argmax of P_soft{which}", argmax_codes(shares, voted), legend),
        Panel(f"Entropy of P_soft{which}", data_uri(ramp_picture(spread, voted))),
    ]


def w_conf_panel(view: ImageView, labels: LabelFiles, which: str = "") -> Panel:
    """The confidence weight."""
    _, w_conf, voted = read_soft_label(labels.p_soft, labels.w_conf, view.part)
    return Panel(f"W_conf{which}", data_uri(ramp_picture(w_conf, voted)))


def vote_codes(view: ImageView, p_soft: Path) -> Int16[np.ndarray, "h w"]:
    """The argmax of P_soft; negative where nobody votes."""
    shares, _, voted = read_soft_label(p_soft, None, view.part)
    return argmax_codes(shares, voted)
