"""``_target_`` -> object, by kind: what a place in the configuration may hold decides, not a list of bad names.

A target is first resolved (imported and looked up, nothing called), then checked to be of its place's kind and
from an allowed package, and only then called with the values beside it.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from difflib import get_close_matches
from importlib import import_module
from inspect import Parameter, signature
from textwrap import shorten
from types import ModuleType
from typing import Any

from coteach.cli.pretrained import fetching, without_pretrained
from coteach.cli.target_kinds import ALLOWED_PACKAGES, EXAMPLES, Kind, is_kind, nested_kind
from coteach.errors import CoteachError, TargetError
from coteach.schema import nearest

_KEY = "_target_"
_LONGEST = 300  # characters of another package's message; some list all names they know


class TargetResolver:
    """Turns configuration nodes into objects.

    Args:
        extra_packages: packages allowed beside ``ALLOWED_PACKAGES`` (``--allow-target``).
        pretrained: False builds models from random weights, whatever their nodes say.
    """

    def __init__(self, extra_packages: Sequence[str] = (), *, pretrained: bool = True) -> None:
        self.packages = (*ALLOWED_PACKAGES, *extra_packages)
        self._extra = tuple(extra_packages)
        self._pretrained = pretrained

    def without_pretrained(self) -> TargetResolver:
        """One that never fetches weights."""
        return TargetResolver(self._extra, pretrained=False)

    def resolve(self, path: str, kind: Kind, place: str) -> Callable[..., Any]:
        """The class or named factory behind a dotted path, without calling anything.

        Args:
            path: such as ``torch.optim.AdamW``.
            kind: what the place takes.
            place: key in the configuration, for messages.

        Raises:
            TargetError: not from an allowed package, does not exist, or is of another kind.
        """
        parts = path.split(".")
        if parts[0] not in self.packages:
            raise TargetError(
                place,
                f"_target_ {path!r} is not from an allowed package ({', '.join(self.packages)})",
                f"name another, or allow it with --allow-target {parts[0]}",
            )
        if len(parts) < 2 or any(part.startswith("_") or not part.isidentifier() for part in parts):
            raise TargetError(place, f"_target_ {path!r} is no public name", "give package.module.Name")
        found = self._look_up(parts, place)
        if not is_kind(found, path, kind, self.packages):
            raise TargetError(place, f"_target_ {path!r} is not {_a(kind)}", "name one")
        return found  # type: ignore[no-any-return]  # is_kind has checked that it can be called

    def _look_up(self, parts: Sequence[str], place: str) -> Any:
        if parts[0] == "albumentations":
            os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # it asks the network for news otherwise
        path = ".".join(parts)
        try:
            value: Any = import_module(parts[0])
        except ImportError as error:
            raise TargetError(place, f"_target_ {path!r}: {error}", f"install {parts[0]}") from error
        for depth, part in enumerate(parts[1:], start=1):
            parent = value
            if not isinstance(parent, ModuleType) or parent.__name__.split(".")[0] not in self.packages:
                raise TargetError(
                    place, f"_target_ {path!r} leads out of {parts[0]}", "give package.module.Name"
                )
            value = getattr(parent, part, None)
            if value is None:
                value = _import_submodule(parts[: depth + 1])
            if value is None:
                close = get_close_matches(part, dir(parent), n=1)
                remedy = f"did you mean {close[0]!r}?" if close else "check the spelling"
                raise TargetError(place, f"_target_ {path!r}: {parent.__name__} has no {part!r}", remedy)
        return value

    def build(
        self, node: Mapping[str, Any], kind: Kind, place: str, *positional: Any, beside: Sequence[str] = ()
    ) -> Any:
        """Make the object that a node describes, and first the objects inside it (see ``nested_kind``).

        Args:
            node: ``_target_`` and its keyword arguments.
            kind: what the place takes.
            place: key in the configuration, for messages.
            *positional: arguments that the program gives (parameters, an optimizer).
            beside: keys that may stand beside the arguments and have been taken out; only messages name them.

        Raises:
            TargetError: see ``resolve``; or the target refuses its arguments.
        """
        if _KEY not in node:
            close = get_close_matches(_KEY, list(map(str, node)), n=1)
            remedy = f"rename {place}.{close[0]}" if close else f"name {_a(kind)}"
            raise TargetError(place, f"no {_KEY}", remedy)
        path = str(node[_KEY])
        target = self.resolve(path, kind, place)
        _refuse_misspelt(target, node, place, beside)
        if kind == "model" and not self._pretrained:
            node = without_pretrained(target, node)
        inner = positional if kind == "scheduler" else ()  # schedules within one act on its optimizer
        values = {
            key: self._value(value, nested_kind(kind, key), f"{place}.{key}", *inner)
            for key, value in node.items()
            if key != _KEY
        }
        if kind == "dataset":
            _refuse_unquoted(values.get("class_names"), f"{place}.class_names")
        _fill_in(values, target, kind)
        try:
            with fetching(target, node, place) if kind == "model" else nullcontext():
                return _call(target, positional, values)
        except CoteachError:
            raise
        except Exception as error:
            cause = shorten(str(error), _LONGEST, placeholder=" …") or type(error).__name__
            raise TargetError(place, f"{path} refuses its values: {cause}", "correct them") from error

    def _value(self, value: Any, kind: Kind, place: str, *positional: Any) -> Any:
        if isinstance(value, Mapping) and _KEY in value:
            return self.build(value, kind, place, *positional)
        if isinstance(value, list):
            return [self._value(one, kind, f"{place}[{i}]", *positional) for i, one in enumerate(value)]
        return value


def _refuse_unquoted(names: Any, place: str) -> None:
    """Refuse classes called 10 or no, which YAML takes for a number and for false: labels would mean other classes.

    Raises:
        TargetError: one is no text.
    """
    for name in names if isinstance(names, list) else ():
        if not isinstance(name, str):
            raise TargetError(
                place, f"{name!r} is no text", "put names that look like numbers, yes or no in quotes"
            )


def _a(kind: Kind) -> str:
    """A kind in a sentence, with an example."""
    return f"{'an' if kind == 'optimizer' else 'a'} {kind}, such as {EXAMPLES[kind]}"


def _import_submodule(parts: Sequence[str]) -> ModuleType | None:
    try:
        return import_module(".".join(parts))
    except Exception:  # noqa: BLE001 -- a module that cannot be imported, for whatever reason, has no target
        return None


def _refuse_misspelt(
    target: Callable[..., Any], node: Mapping[str, Any], place: str, beside: Sequence[str]
) -> None:
    """Name the nearest argument; a target with ``**kwargs`` (smp's and timm's models) would swallow a misspelt one."""
    parameters = signature(target).parameters.values()
    names = [p.name for p in parameters if p.kind not in (Parameter.VAR_KEYWORD, Parameter.VAR_POSITIONAL)]
    names += beside
    takes_any = any(p.kind is Parameter.VAR_KEYWORD for p in parameters)
    for key in node:
        if key == _KEY or key in names or (takes_any and not get_close_matches(key, names, n=1, cutoff=0.8)):
            continue
        raise TargetError(f"{place}.{key}", f"{node[_KEY]} has no such argument", nearest(key, names))


def _fill_in(values: dict[str, Any], target: Callable[..., Any], kind: Kind) -> None:
    """Arguments that follow from how images are scaled and missing labels written here."""
    if kind == "transform" and target.__name__ == "Normalize":
        values.setdefault("max_pixel_value", 1.0)  # images are scaled to [0, 1] before augmentation
    if kind == "metric" and "ignore_index" in signature(target).parameters:
        values.setdefault("ignore_index", -1)  # items without a label


def _call(target: Callable[..., Any], positional: Sequence[Any], values: Mapping[str, Any]) -> Any:
    with warnings.catch_warnings():
        # albumentations only warns of a misspelt argument and then ignores it.
        warnings.filterwarnings("error", ".*not valid for transform.*")
        return target(*positional, **values)
