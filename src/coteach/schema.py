"""Plain data -> a dataclass, with its keys and the types of its values checked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
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
        ConfigError: a key is unknown (the nearest is named) or missing, or a value or an element of a list is of
            another type.
    """
    names = [f.name for f in fields(schema)]  # type: ignore[arg-type]  # a dataclass by contract
    hints = get_type_hints(schema)
    for key, value in content.items():
        if key not in names:
            raise ConfigError(origin, f"unknown key {prefix}{key}", nearest(key, names, prefix))
        _check(value, hints[key], f"{prefix}{key}", origin)
    try:
        return schema(**content)
    except TypeError as error:
        missing = str(error).partition(": ")[2]
        raise ConfigError(
            origin, f"missing key {missing}", "add it; see the example configurations"
        ) from error


def nearest(name: str, known: Iterable[str], prefix: str = "") -> str:
    """What to write instead of a name that is unknown.

    Example:
        >>> nearest("lamda_reg", ["e_warm", "lambda_reg"], "method.")
        'did you mean method.lambda_reg?'
    """
    names = sorted(known)
    close = get_close_matches(name, names, n=1)
    if close:
        return f"did you mean {prefix}{close[0]}?"
    return f"use one of {', '.join(names)}" if names else "leave it out"


def _check(value: Any, hint: Any, place: str, origin: str) -> None:
    """Raise ConfigError unless the value, and each element of it if it is a list, is of its type."""
    if not _fits(value, hint):
        remedy = f"give {_spelled(hint)}"
        if isinstance(value, bool) and _takes_text(hint):
            remedy += " in quotes: yes, no, on and off mean true and false in YAML"
        raise ConfigError(origin, f"{place} is {value!r} ({type(value).__name__})", remedy)
    element = _element(hint)
    if isinstance(value, list) and element is not None:
        for index, one in enumerate(value):
            _check(one, element, f"{place}[{index}]", origin)


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


def _options(hint: Any) -> tuple[Any, ...]:
    return get_args(hint) if get_origin(hint) in (UnionType, Union) else (hint,)


def _element(hint: Any) -> Any:
    """The type of a list's elements; None where none is stated."""
    lists = [option for option in _options(hint) if get_origin(option) is list]
    return get_args(lists[0])[0] if lists else None


def _takes_text(hint: Any) -> bool:
    return str in _options(hint)


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
