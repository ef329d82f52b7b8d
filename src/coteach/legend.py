"""Names and colours of classes, the same in every map and chart."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from coteach.errors import OptionError

Color = tuple[int, int, int]

# Okabe and Ito's colours (2008), told apart by readers with any colour vision; black is left to outlines.
_PALETTE: tuple[Color, ...] = (
    (0, 114, 178),
    (230, 159, 0),
    (0, 158, 115),
    (204, 121, 167),
    (86, 180, 233),
    (213, 94, 0),
    (240, 228, 66),
    (128, 128, 128),
)
_HEX = re.compile(r"#[0-9a-fA-F]{6}")


@dataclass(frozen=True, slots=True)
class Legend:
    """What the classes are called and how they are drawn.

    Args:
        names: one a class, in the order of the codes.
        colors: red, green, blue in 0..255, one a class.
    """

    names: tuple[str, ...]
    colors: tuple[Color, ...]

    @classmethod
    def of(
        cls, num_classes: int, names: Sequence[str] | None = None, colors: Sequence[Color] | None = None
    ) -> Legend:
        """Fill in what is not known: ``class 0`` and a palette for all colour vision.

        Args:
            num_classes: ``C``.
            names: one a class, or None.
            colors: one a class, or None.
        """
        return cls(
            tuple(names or (f"class {code}" for code in range(num_classes))),
            tuple(colors or (default_color(code) for code in range(num_classes))),
        )

    def hex_colors(self) -> list[str]:
        """The colours as ``#rrggbb``."""
        return ["#{:02x}{:02x}{:02x}".format(*color) for color in self.colors]


def default_color(code: int) -> Color:
    """Colour of a class that has none of its own: the palette, then darker and darker rounds of it."""
    turn, place = divmod(code, len(_PALETTE))
    red, green, blue = (round(value * 0.65**turn) for value in _PALETTE[place])
    return red, green, blue


def parse_color(text: str, place: str) -> Color:
    """``#rrggbb`` -> red, green, blue.

    Args:
        text: the colour.
        place: where it stands, for the error.

    Raises:
        OptionError: it is no such text.
    """
    if not _HEX.fullmatch(text):
        raise OptionError(place, f"{text!r} is no colour", "give red, green and blue as '#1f78b4'")
    return int(text[1:3], 16), int(text[3:5], 16), int(text[5:7], 16)
