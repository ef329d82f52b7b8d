"""``_target_`` -> object for Python code, by Hydra; a class must be of the kind that its place takes."""

from __future__ import annotations

from collections.abc import Mapping
from inspect import signature
from typing import Any

from hydra.errors import InstantiationException
from hydra.utils import get_class, instantiate

from coteach.errors import TargetError


def make(node: Mapping[str, Any], kinds: Mapping[str, type], place: str, *positional: Any) -> Any:
    """The object that a node describes.

    Args:
        node: ``_target_`` and its keyword arguments.
        kinds: key -> the class that nodes below it derive from; the empty key is for the others.
        place: of the node, for messages.
        *positional: arguments of the program: parameters, an optimizer.

    Raises:
        TargetError: a class cannot be found or is of another kind, or it refuses its values.
    """
    cls = _class(node, kinds, "", place)
    fixed = {}
    if "ignore_index" in signature(cls).parameters:
        fixed["ignore_index"] = -1  # of items without a label, for metrics
    try:
        return instantiate(fixed | dict(node), *positional, _convert_="all")
    except InstantiationException as error:
        cause = " ".join(str(error.__cause__ or error).split())
        raise TargetError(place, f"{node['_target_']} refuses its values: {cause}", "correct them") from error


def _class(node: Mapping[str, Any], kinds: Mapping[str, type], key: str, place: str) -> type:
    """The class of a node, when those of all nodes below it are of their kind, too."""
    try:
        cls = get_class(str(node.get("_target_", "")))
    except (ImportError, ValueError) as error:
        raise TargetError(place, f"_target_ {node.get('_target_')!r}: {error}", "name a class") from error
    kind = kinds.get(key, kinds[""])
    if not issubclass(cls, kind):
        raise TargetError(place, f"_target_ {node['_target_']!r} is no {kind.__name__}", "name one")
    for name, value in node.items():
        for index, below in enumerate(value if isinstance(value, list) else [value]):
            if isinstance(below, Mapping) and "_target_" in below:
                _class(below, kinds, name if name in kinds else key, f"{place}.{name}[{index}]")
    return cls
