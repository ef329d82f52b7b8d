"""Whether a network fits the images and classes it is meant for: one forward pass, and the fault in words."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Shaped
from torch import Tensor

from coteach.errors import CoteachError, CoteachWarning

# How torch words a first layer that is made for another number of bands: (pattern, group with what it takes).
_BANDS = (
    (re.compile(r"to have (\d+) channels, but got (\d+) channels"), 1),
    (re.compile(r"running_mean should contain (\d+) elements not (\d+)"), 2),
)
_EVEN = 1e-5  # by which probabilities of float32 may miss 1


def as_written() -> AbstractContextManager[Any]:
    """Where compiled networks run uncompiled: one sample is not worth a minute of compilation (torch 2.6 or newer)."""
    return (
        torch.compiler.set_stance("force_eager") if hasattr(torch.compiler, "set_stance") else nullcontext()
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Misfit:
    """Why a network does not fit.

    Args:
        cause: in words, to be read after the network's name.
        about: what does not fit: the image's ``bands``, the number of ``classes``, what it answers (``answer``), or
            another thing.
        has: the number of them that the network was made for; None if that is not known.
        needs: the number that it should be made for.
    """

    cause: str
    about: str = "other"
    has: int | None = None
    needs: int | None = None


def misfit(
    predict: Callable[[Shaped[Tensor, "batch bands ..."]], Any],
    sample: Shaped[Tensor, "batch bands ..."],
    num_classes: int,
) -> str | None:
    """Why a network cannot map ``sample`` to classes; None if it can.

    Args:
        predict: the network or a method's prediction; called once, without gradient.
        sample: images, of the dtype that the network takes.
        num_classes: ``C``; each pixel is to get ``C`` numbers.

    Example:
        >>> misfit(torch.nn.Conv2d(3, 4, 1), torch.zeros(1, 5, 8, 8), 4)
        'takes images of 3 bands, these have 5'
    """
    found = find_misfit(predict, sample, num_classes, sample.shape[2:])
    return None if found is None else found.cause


def find_misfit(
    predict: Callable[[Shaped[Tensor, "batch bands ..."]], Any],
    sample: Shaped[Tensor, "batch bands ..."],
    num_classes: int,
    labelled: Sequence[int],
) -> Misfit | None:
    """As :func:`misfit`, with the numbers.

    Args:
        predict: as there.
        sample: as there.
        num_classes: as there.
        labelled: shape of the labels of one image: ``(H, W)`` for a map, ``()`` for one label an image.
    """
    try:
        with torch.no_grad(), as_written():
            scores = predict(sample)
    except CoteachError:
        raise
    except Exception as error:  # noqa: BLE001 -- networks come from anywhere
        return _from_error(str(error) or type(error).__name__, sample)
    return _from_scores(scores, sample, num_classes, tuple(labelled))


def warn_of_probabilities(
    network: Callable[[Shaped[Tensor, "batch bands ..."]], Tensor], sample: Shaped[Tensor, "batch bands ..."]
) -> None:
    """Say that a network gives probabilities where losses take scores: their softmax is nearly even, and hardly learned from.

    Args:
        network: that fits ``sample``; called once, without gradient.
        sample: images.
    """
    with torch.no_grad(), as_written():
        scores = network(sample).double()
    if (scores >= 0).all() and (scores.sum(1) - 1).abs().max() < _EVEN:
        cause = (
            "the network gives probabilities, which sum to 1, and losses take scores: it will hardly learn"
        )
        warnings.warn(f"{cause}; leave its softmax out", CoteachWarning, stacklevel=2)


def _from_error(message: str, sample: Shaped[Tensor, "batch bands ..."]) -> Misfit:
    bands = sample.shape[1]
    for pattern, group in _BANDS:
        found = pattern.search(message)
        if found and str(bands) in found.groups():  # else layers inside the network do not fit each other
            takes = int(found[group])
            cause = f"takes images of {takes} bands, these have {bands}"
            return Misfit(cause=cause, about="bands", has=takes, needs=bands)
    line = message.strip().splitlines()[0]
    return Misfit(cause=f"cannot take {_extent(sample.shape[2:])} of {bands} bands: {line}")


def _from_scores(
    scores: Any, sample: Shaped[Tensor, "batch bands ..."], num_classes: int, labelled: tuple[int, ...]
) -> Misfit | None:
    if not isinstance(scores, Tensor):
        given = f"a mapping of {', '.join(scores)}" if isinstance(scores, Mapping) else type(scores).__name__
        return Misfit(cause=f"gives {given}, not one tensor of scores by class", about="answer")
    shape = tuple(scores.shape)
    if len(shape) < 2 or shape[0] != len(sample):
        return Misfit(cause=f"gives a tensor of shape {shape} for {len(sample)} images", about="answer")
    if shape[1] != num_classes:
        cause = f"gives {shape[1]} classes, num_classes is {num_classes}"
        return Misfit(cause=cause, about="classes", has=shape[1], needs=num_classes)
    if shape[2:] != labelled:
        cause = f"gives {_answer(shape[2:])} for images of {_extent(sample.shape[2:])}"
        if labelled != tuple(sample.shape[2:]):
            cause += f" with {_answer(labelled)} as label"
        return Misfit(cause=cause)
    return None


def find_box_misfit(
    predict: Callable[[list[Tensor]], Any], images: list[Tensor], num_classes: int
) -> Misfit | None:
    """Why a detector cannot find boxes in images; None if it can.

    Args:
        predict: the method's prediction; called once, without gradient.
        images: ``(bands, H, W)`` each.
        num_classes: ``C``, without the background; labels are 1 to ``C``.
    """
    bands = images[0].shape[0]
    try:
        with torch.no_grad(), as_written():
            found = predict(images)
    except CoteachError:
        raise
    except Exception as error:  # noqa: BLE001 -- networks come from anywhere
        line = (str(error).strip() or type(error).__name__).splitlines()[0]
        return Misfit(cause=f"cannot take images of {bands} bands: {line}")
    needed = {"boxes", "labels", "scores"}
    if not isinstance(found, list) or not all(isinstance(one, dict) and needed <= set(one) for one in found):
        return Misfit(cause="does not give boxes, labels and scores of each image", about="answer")
    highest = max((int(one["labels"].max()) for one in found if len(one["labels"])), default=0)
    if highest > num_classes:
        cause = f"finds class {highest}, num_classes is {num_classes}"
        return Misfit(cause=cause, about="classes", has=highest, needs=num_classes)
    return None


def _answer(extent: Sequence[int]) -> str:
    return f"maps of {_extent(extent)}" if extent else "one answer an image"


def _extent(extent: Sequence[int]) -> str:
    return f"{' x '.join(map(str, extent))} pixels" if extent else "images"
