"""Items that have one label each: images, not maps."""

from __future__ import annotations

from collections.abc import Sequence

from coteach.errors import InputError


def check_one_label(method: str, extent: Sequence[int]) -> None:
    """Refuse labels of maps, for methods that remember something of every item or mix inputs.

    Args:
        method: name of the method, for the message.
        extent: ``*S``, sides of the labels of one item.

    Raises:
        InputError: the items have axes of their own.
    """
    if len(extent):
        size = " x ".join(map(str, extent))
        raise InputError(
            f"method {method}",
            f"needs one label an image, but labels are maps of {size}",
            "use co_teaching, jocor or soft_label for maps",
        )
