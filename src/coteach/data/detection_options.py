"""Options of the views of semi-supervised detection, from code or from a configuration, where a range is a list."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, TypeVar

from coteach.data.detection_colors import COLOR_OPERATIONS
from coteach.errors import OptionError
from coteach.schema import nearest

GEOMETRIC_OPERATIONS = ("translate", "rotate", "shear")
Options = TypeVar("Options", "WeakOptions", "StrongOptions")


@dataclass(frozen=True, slots=True, kw_only=True)
class WeakOptions:
    """The weak view.

    Args:
        flip: probability of exchanging left and right.
        short_side: range from which the shorter side is drawn, pixels.
        long_side: the longer side is no longer than this, pixels; it wins over ``short_side``.
        color: change colours by one operation, as Soft Teacher does for labelled images.
    """

    flip: float = 0.5
    short_side: tuple[int, int] = (400, 1200)
    long_side: int = 1333
    color: bool = False

    def __post_init__(self) -> None:
        _check_share("flip", self.flip)
        if not 0 < self.short_side[0] <= self.short_side[1]:
            raise OptionError(
                "short_side", f"{self.short_side} is no range", "give two sizes, the smaller first"
            )
        if self.long_side < 1:
            raise OptionError("long_side", f"{self.long_side} is below 1", "give a number of pixels")


@dataclass(frozen=True, slots=True, kw_only=True)
class StrongOptions:
    """The strong view.

    Args:
        flip: probability of exchanging left and right.
        scale: range of the scale jitter, drawn evenly in its logarithm; the view grows and shrinks with it.
        translate: at most this share of each side, either way.
        rotate: at most so many degrees, either way.
        shear: at most so many degrees, either way, along x or along y.
        patches: range of how many patches are erased; (0, 0) erases none.
        patch_side: a patch's sides are at most this share of the image's.
        geometry: the geometric operations to choose from; empty for none.
        colors: the colour operations to choose from; empty for none.
        fill: grey value of what is erased or lies outside the image.
    """

    flip: float = 0.5
    scale: tuple[float, float] = (0.8, 1.25)
    translate: float = 0.1
    rotate: float = 30.0
    shear: float = 30.0
    patches: tuple[int, int] = (1, 5)
    patch_side: float = 0.2
    geometry: tuple[str, ...] = GEOMETRIC_OPERATIONS
    colors: tuple[str, ...] = tuple(COLOR_OPERATIONS)
    fill: float = 0.5

    def __post_init__(self) -> None:
        for name in ("flip", "translate", "patch_side", "fill"):
            _check_share(name, getattr(self, name))
        if not 0 < self.scale[0] <= self.scale[1]:
            raise OptionError(
                "scale", f"{self.scale} is no range", "give two factors above 0, the smaller first"
            )
        if not 0 <= self.patches[0] <= self.patches[1]:
            raise OptionError("patches", f"{self.patches} is no range", "give two counts, the smaller first")
        for name in ("rotate", "shear"):
            if not 0 <= getattr(self, name) < 90:
                raise OptionError(name, f"{getattr(self, name)} is not in [0, 90)", "give degrees")
        _check_names("geometry", self.geometry, GEOMETRIC_OPERATIONS)
        _check_names("colors", self.colors, tuple(COLOR_OPERATIONS))


def options_from(kind: type[Options], given: Options | Mapping[str, Any] | None, place: str) -> Options:
    """Options as a configuration gives them.

    Args:
        kind: what is made.
        given: options as they are; or key -> value, a list for a range or for names; None for the defaults.
        place: the key that they stand under, for messages.

    Raises:
        OptionError: a key is unknown, or a value is out of range or of another type.

    Example:
        >>> options_from(WeakOptions, {"short_side": [400, 600]}, "weak").short_side
        (400, 600)
    """
    if not isinstance(given, Mapping | None):
        return given
    defaults = {field.name: field.default for field in fields(kind)}
    values: dict[str, Any] = {}
    for key, value in (given or {}).items():
        if key not in defaults:
            raise OptionError(f"{place}.{key}", "is unknown", nearest(key, defaults))
        values[key] = _like(defaults[key], value, f"{place}.{key}")
    try:
        return kind(**values)
    except OptionError as error:
        raise OptionError(f"{place}.{error.thing}", error.cause, error.remedy) from error


def _like(default: Any, value: Any, place: str) -> Any:
    """A value of the same type as the default; a list becomes a tuple."""
    if not isinstance(default, tuple):
        numbers = int | float if isinstance(default, float) else type(default)
        if isinstance(value, numbers) and isinstance(value, bool) == isinstance(default, bool):
            return value
        words = {bool: "true or false", int: "a whole number", float: "a number"}[type(default)]
        raise OptionError(place, f"is {value!r}", f"give {words}")
    names = isinstance(default[0], str)
    if not isinstance(value, list | tuple) or (not names and len(value) != len(default)):
        kind = "a list of names" if names else f"a list of {len(default)} numbers, such as {list(default)}"
        raise OptionError(place, f"is {value!r}", f"give {kind}")
    return tuple(_like(default[0], one, place) if not names else str(one) for one in value)


def _check_share(name: str, value: float) -> None:
    if not 0 <= value <= 1:
        raise OptionError(name, f"{value} is not in [0, 1]", "give a share")


def _check_names(option: str, given: tuple[str, ...], known: tuple[str, ...]) -> None:
    if other := [name for name in given if name not in known]:
        raise OptionError(option, f"{other[0]!r} is unknown", f"choose from {', '.join(known)}")
