"""Codes of a reference that are no class."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from coteach.errors import OptionError, RasterError

_LISTED = 8


def check_reference_codes(
    thing: str, unknown: Collection[int], num_classes: int, ignored: Collection[int]
) -> None:
    """Refuse to measure against a map that may mean something else than the classes.

    Args:
        thing: the reference.
        unknown: codes that it holds, and that are no class or that its legend lacks.
        num_classes: C.
        ignored: codes that are known to mean nothing.

    Raises:
        RasterError: there are others.
    """
    strange = sorted(set(unknown) - set(ignored))
    if not strange:
        return
    listed = ", ".join(map(str, strange[:_LISTED])) + (", …" if len(strange) > _LISTED else "")
    cause = f"holds codes that are none of the classes 0 to {num_classes - 1}: {listed}"
    remedy = "say with --legend what they mean, or name those that mean nothing with --ignore-code"
    raise RasterError(thing, cause, remedy)


def check_reference_options(
    reference: Path | None, reference_key: str | None, legend: Path | None, ignored: Collection[int]
) -> None:
    """Refuse to explain the codes of no reference.

    Raises:
        OptionError: there is a legend, or a code to ignore, but no reference.
    """
    if reference is None and reference_key is None and (legend is not None or ignored):
        option = "--ignore-code" if legend is None else "--legend"
        raise OptionError(option, "is for the codes of a reference", "add --reference or --reference-key")
