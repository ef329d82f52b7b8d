"""Finds methods: every module of this folder and the entry points of the group ``coteach.methods``."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from importlib.metadata import entry_points
from pkgutil import iter_modules
from typing import Any

from coteach import methods
from coteach.errors import ConfigError, OptionError
from coteach.methods.base import Method
from coteach.schema import checked, nearest

_NOT_METHODS = {"base", "label_method", "discovery"}
_GROUP = "coteach.methods"


def discover_methods() -> dict[str, type[Method]]:
    """All methods by name. One that cannot be imported fails here, loudly, not when it is first asked for.

    Raises:
        ConfigError: an installed plug-in cannot be imported, or two methods bear one name.
    """
    found: dict[str, type[Method]] = {}
    for module in iter_modules(methods.__path__):
        if module.name not in _NOT_METHODS:
            _collect(found, import_module(f"{methods.__name__}.{module.name}"))
    for point in entry_points(group=_GROUP):
        try:
            loaded = point.load()
        except Exception as error:
            raise ConfigError(
                f"method plug-in {point.name!r} ({point.value})",
                f"cannot be imported: {error}",
                "repair or uninstall it",
            ) from error
        _add(found, loaded)
    return found


def _collect(found: dict[str, type[Method]], module: object) -> None:
    for value in vars(module).values():
        is_method = isinstance(value, type) and issubclass(value, Method) and "name" in vars(value)
        if is_method and value.__module__ == getattr(module, "__name__", None):
            _add(found, value)


def _add(found: dict[str, type[Method]], method: type[Method]) -> None:
    if found.setdefault(method.name, method) is not method:
        raise ConfigError(
            f"method {method.name!r}",
            f"given by {found[method.name]} and by {method}",
            "uninstall one of them",
        )


def create_method(name: str, options: Mapping[str, Any]) -> Method:
    """Build a method from its name and the fields of its configuration dataclass.

    Args:
        name: such as ``co_teaching``.
        options: field -> value; the others keep their defaults.

    Raises:
        ConfigError: no such method or no such field (the nearest name is given), or a value is of another type or
            out of range.
    """
    known = discover_methods()
    if name not in known:
        raise ConfigError("method.name", f"unknown method {name!r}", nearest(name, known))
    method = known[name]
    try:
        config: Any = checked(method.config_type, options, "method.", f"method {name}")
        return method(config)  # type: ignore[call-arg]  # every method takes its config
    except OptionError as error:
        raise ConfigError(f"method.{error.thing}", error.cause, error.remedy) from error
