"""Items that have one label each: images, not maps."""

from __future__ import annotations

from torch import Tensor

from coteach.errors import InputError


def check_one_label(method: str, probs: Tensor) -> None:
    """Refuse labels of maps, for methods that remember something of every item or mix inputs.

    Args:
        method: name of the method, for the message.
        probs: ``(B, C, *S)`` label distributions.

    Raises:
        InputError: the items have axes of their own.
    """
    if probs.ndim != 2:
        size = " x ".join(map(str, probs.shape[2:]))
        raise InputError(
            f"method {method}",
            f"needs one label an image, but labels are maps of {size}",
            "use co_teaching, jocor or soft_label for maps",
        )
