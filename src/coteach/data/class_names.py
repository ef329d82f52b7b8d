"""Names of classes: the code of each, and whether two data sets mean the same by them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from coteach.errors import OptionError


def codes_by_name(names: Sequence[Any]) -> dict[str, int]:
    """The code of each class.

    Raises:
        OptionError: they are one text, a name is there twice, or is no text: codes in another order would be taken for
            names.
    """
    if isinstance(names, str):
        raise OptionError("class_names", f"{names!r} is one text", "give a list of names")
    codes: dict[str, int] = {}
    for code, name in enumerate(names):
        if not isinstance(name, str):
            raise OptionError(
                "class_names", f"{name!r} is no text", "give names; without any, labels are codes"
            )
        if codes.setdefault(name, code) != code:
            raise OptionError("class_names", f"{name!r} stands there twice", "tell the classes apart")
    return codes


def names_of(dataset: Any, attribute: str = "class_names") -> Sequence[str] | None:
    """The names of a data set's classes by code; None if the attribute is missing, or no list of texts of which each is there once."""
    names = getattr(dataset, attribute, None)
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
        return None
    return names if len(set(names)) == len(names) else None


def moved_name(names: Sequence[str] | None, known: Sequence[str] | None) -> str:
    """A name that stands for one class in ``names`` and for another in ``known``, in words; empty if there is none."""
    codes = codes_by_name(known or ())
    for code, name in enumerate(names or ()):
        if codes.get(name, code) != code:
            return f"{name!r} is class {code} here, in the training set it is class {codes[name]}"
    return ""


def changed_name(names: Sequence[str] | None, known: Sequence[str] | None) -> str:
    """A class that has another name in ``names`` than in ``known``, in words; empty if there is none."""
    for code, (name, own) in enumerate(zip(names or (), known or (), strict=False)):
        if name != own:
            return f"class {code} is {name!r} here, in the training set it is {own!r}"
    return ""
