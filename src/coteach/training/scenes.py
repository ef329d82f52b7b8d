"""A trained method -> the class map of a scene of any size, in constant memory.

Windows overlap, and where they do the mean of their probabilities counts, weighted towards each window's middle: a
network sees less around a pixel at a window's edge. Finished rows are handed out at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import torch
from jaxtyping import Bool, Float32, Int64

from coteach.data.scene import SceneImage
from coteach.errors import OptionError
from coteach.methods.base import Method
from coteach.methods.label_method import LabelMethod
from coteach.rasters.grid import Window
from coteach.training.network_distance import mean_distance
from coteach.training.scene_blend import SceneBlend
from coteach.training.scene_layout import SceneLayout
from coteach.training.scene_windows import SceneWindows
from coteach.training.tta import VIEWS, Tta


@dataclass(frozen=True, kw_only=True, slots=True)
class SceneOptions:
    """How a scene is cut into windows.

    Args:
        window: side of a window in pixels, >= 1. Networks with strides want a multiple of their largest one.
        overlap: pixels that neighbours share, 0 to ``window - 1``; those at the far edges are shifted inward and
            share more.
        batch_size: windows at once, >= 1.
        disagreement: compare the trained networks, too.
        tta: average over the window and its mirrored (``flips``) or also turned (``d4``) views, for 4 or 8 times the
            time; ``none`` does not.

    Raises:
        OptionError: one is out of range.
    """

    window: int = 512
    overlap: int = 128
    batch_size: int = 4
    disagreement: bool = False
    tta: Tta = "none"

    def __post_init__(self) -> None:
        for name in ("window", "batch_size"):
            if getattr(self, name) < 1:
                raise OptionError(name, f"{getattr(self, name)} is below 1", "give a positive number")
        if self.tta not in VIEWS:
            raise OptionError("tta", f"{self.tta!r} is unknown", f"use one of {', '.join(VIEWS)}")
        if not 0 <= self.overlap < self.window:
            cause = f"{self.overlap} is not from 0 to {self.window - 1}"
            raise OptionError("overlap", cause, f"give less than the window, {self.window}")


@dataclass(frozen=True)
class ScenePart:
    """Finished rows of a scene, or of a band of its columns.

    Args:
        window: where they lie in the scene.
        classes: ``(h, w)`` int64, most probable class, ties to the lowest code; -1 where the image has no data.
        confidence: ``(h, w)`` float32 in [0, 1], probability of that class; NaN where the image has no data.
        disagreement: ``(h, w)`` float32 in [0, 1], how far the trained networks are apart: the total variation
            distance ``½ Σ_c |p_a − p_b|``, of more than two the mean over all pairs; NaN where the image has no data.
            None if not asked for.
        valid: ``(h, w)`` bool, where the image has data.
    """

    window: Window
    classes: Int64[np.ndarray, "h w"]
    confidence: Float32[np.ndarray, "h w"]
    disagreement: Float32[np.ndarray, "h w"] | None
    valid: Bool[np.ndarray, "h w"]


def _silent(count: int) -> None:
    """Nobody follows the progress."""


def predict_scene(
    method: Method,
    image: SceneImage,
    num_classes: int,
    options: SceneOptions = SceneOptions(),
    *,
    part: Window | None = None,
    device: torch.device | None = None,
    advance: Callable[[int], None] = _silent,
) -> Iterator[ScenePart]:
    """Predict a scene window by window and blend the windows.

    Args:
        method: trained.
        image: the scene.
        num_classes: ``C``.
        options: size and overlap of the windows.
        part: only this part of the scene; it is the same as that part of the whole prediction.
        device: where to compute; None means where the method's weights are.
        advance: called with the number of windows that are done, of :func:`count_windows`.

    Yields:
        Rows from top to bottom; of a very wide scene, band of columns by band of columns.

    Raises:
        OptionError: disagreement is asked of a method with one network.
        RasterError: the image is damaged, or does not fit the network.
    """
    compared = compared_networks(method, options)
    rows = scene_probs(method, image, num_classes, options, advance, part, device)
    for window, probs, valid in rows:
        yield _finish(window, probs, valid, method, compared)


def scene_probs(
    method: Method,
    image: SceneImage,
    num_classes: int,
    options: SceneOptions,
    advance: Callable[[int], None],
    part: Window | None = None,
    device: torch.device | None = None,
) -> Iterator[tuple[Window, Float32[np.ndarray, "planes h w"], Bool[np.ndarray, "h w"]]]:
    """The blended probabilities behind :func:`predict_scene`, which tells of the arguments and errors.

    Yields:
        Where the rows lie; ``(planes, h, w)`` float32 in [0, 1], the ``C`` probabilities that the method predicts, with ``disagreement``
        those of each trained network after the other, 0 where the image has no data and to be used before the next
        rows are asked for; and ``(h, w)``, where it has data.
    """
    layout = _layout(method, image, num_classes, options, part)
    compared = compared_networks(method, options)
    device = device or next(method.parameters()).device
    windows = SceneWindows(
        method.eval(), image, num_classes, compared, options.window, options.batch_size, device, options.tta
    )
    with image.kept_open():
        for band in layout.bands():
            yield from _blended(layout, band, windows, advance)


def count_windows(
    method: Method,
    image: SceneImage,
    num_classes: int,
    options: SceneOptions = SceneOptions(),
    *,
    part: Window | None = None,
) -> int:
    """How many windows :func:`predict_scene` predicts."""
    return _layout(method, image, num_classes, options, part).count()


def _layout(
    method: Method, image: SceneImage, num_classes: int, options: SceneOptions, part: Window | None
) -> SceneLayout:
    height, width = image.grid.height, image.grid.width
    planes = num_classes * len(compared_networks(method, options) or (None,))
    return SceneLayout(
        height, width, options.window, options.overlap, planes, part or Window(0, 0, height, width)
    )


def compared_networks(method: Method, options: SceneOptions) -> tuple[str, ...]:
    """The networks that are compared; none unless disagreement is asked for.

    Args:
        method: trained.
        options: of the prediction.

    Raises:
        OptionError: there is nothing to compare.
    """
    if not options.disagreement:
        return ()
    if not isinstance(method, LabelMethod) or len(method.trained) < 2:
        cause = f"the method {method.name} has one network, which cannot disagree"
        raise OptionError("disagreement", cause, "leave it out, or train a method of two, as co_teaching")
    return method.trained


def _blended(
    layout: SceneLayout, band: Window, windows: SceneWindows, advance: Callable[[int], None]
) -> Iterator[tuple[Window, Float32[np.ndarray, "planes h w"], Bool[np.ndarray, "h w"]]]:
    """The finished rows of a band of columns: where they lie, probabilities, and where there is data."""
    tops, lefts = layout.starts(band)
    blend = SceneBlend(layout, band, tops[0])
    predicted = windows.predicted([(top, left) for top in tops for left in lefts])
    ends = [*tops[1:], band.row_off + band.height]
    for end, (_, row) in zip(ends, groupby(predicted, lambda pair: pair[0].top), strict=True):
        for shown, probs in row:
            blend.add(shown.top, shown.left, probs, shown.valid)
            advance(1)
        if end > band.row_off:
            yield blend.rows(end)
        blend.move(end)


def _finish(
    window: Window,
    probs: Float32[np.ndarray, "planes h w"],
    valid: Bool[np.ndarray, "h w"],
    method: Method,
    compared: Sequence[str],
) -> ScenePart:
    """Blended probabilities -> what is told of the pixels."""
    disagreement = None
    if compared and isinstance(method, LabelMethod):
        networks = probs.reshape(len(compared), -1, *valid.shape)
        disagreement = np.where(valid, mean_distance(networks), np.float32(np.nan))
        predicting = [compared.index(name) for name in method.predicting]
        probs = networks[predicting].mean(0) if len(predicting) > 1 else networks[predicting[0]]
    return ScenePart(
        window=window,
        classes=np.where(valid, probs.argmax(0), -1),
        confidence=np.where(valid, np.minimum(probs.max(0), np.float32(1)), np.float32(np.nan)),
        disagreement=disagreement,
        valid=valid,
    )
