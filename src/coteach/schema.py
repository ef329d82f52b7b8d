"""Plain data -> a dataclass, with its keys and the types of its values checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from difflib import get_close_matches
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from coteach.errors import ConfigError

T = TypeVar("T")


def checked(schema: type[T], content: Mapping[str, Any], prefix: str, origin: str) -> T:
    """Make a dataclass of a mapping whose keys and value types must be its own.

    Args:
        schema: the dataclass.
        content: key -> value.
        prefix: where the mapping lies in the configuration, such as ``trainer.``.
        origin: the file, for messages.

    Raises:
        ConfigError: as above.
    """
    names = [f.name for f in fields(schema)]  # type: ignore[arg-type]  # a dataclass by contract
    hints = get_type_hints(schema)
    for key, value in content.items():
        if key not in names:
            close = get_close_matches(key, names, n=1)
            remedy = (
                f"did you mean {prefix}{close[0]}?" if close else f"use one of {', '.join(sorted(names))}"
            )
            raise ConfigError(origin, f"unknown key {prefix}{key}", remedy)
        if not _fits(value, hints[key]):
            raise ConfigError(
                origin, f"{prefix}{key} is {value!r} ({type(value).__name__})", f"give {_spelled(hints[key])}"
            )
    try:
        return schema(**content)
    except TypeError as error:
        missing = str(error).partition(": ")[2]
        raise ConfigError(
            origin, f"missing key {missing}", "add it; see the example configurations"
        ) from error


def _fits(value: Any, hint: Any) -> bool:
    origin = get_origin(hint)
    if origin in (UnionType, Union):
        return any(_fits(value, option) for option in get_args(hint))
    if origin is Literal:
        return value in get_args(hint)
    if hint is Any:
        return True
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, origin or hint)


def _spelled(hint: Any) -> str:
    if get_origin(hint) in (UnionType, Union):
        return " or ".join(_spelled(option) for option in get_args(hint))
    if get_origin(hint) is Literal:
        return " or ".join(map(repr, get_args(hint)))
    if hint is NoneType:
        return "null"
    return {
        dict: "a mapping",
        list: "a list",
        float: "a number",
        int: "a whole number",
        str: "text",
        bool: "true or false",
    }.get(get_origin(hint) or hint, str(hint))
