"""``_target_`` -> object, by kind: what a place in the configuration may hold decides, not a list of bad names.

A target is first resolved (imported and looked up, nothing called), then checked to be of its place's kind and
from an allowed package, and only then called with the values beside it.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from importlib import import_module
from inspect import Parameter, signature
from types import ModuleType
from typing import Any, Literal

from coteach.errors import CoteachError, TargetError

Kind = Literal["model", "optimizer", "scheduler", "dataset", "transform"]

ALLOWED_PACKAGES = (
    "coteach",
    "torch",
    "torchvision",
    "torchmetrics",
    "lightning",
    "timm",
    "segmentation_models_pytorch",
    "albumentations",
)
# Functions that give a Module; any other callable that is not a class is refused.
_MODEL_FACTORIES = ("segmentation_models_pytorch.create_model", "timm.create_model")


class TargetResolver:
    """Turns configuration nodes into objects.

    Args:
        extra_packages: packages allowed beside ``ALLOWED_PACKAGES`` (``--allow-target``).
    """

    def __init__(self, extra_packages: Sequence[str] = ()) -> None:
        self.packages = (*ALLOWED_PACKAGES, *extra_packages)

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
        if not self._is_kind(found, path, kind):
            raise TargetError(place, f"_target_ {path!r} is not a {kind}", f"name a {kind} here")
        return found  # type: ignore[no-any-return]  # _is_kind has checked that it can be called

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
            if not isinstance(parent, ModuleType) or not self._is_ours(parent.__name__):
                raise TargetError(
                    place, f"_target_ {path!r} leads out of {parts[0]}", "give package.module.Name"
                )
            value = getattr(parent, part, None)
            if value is None:
                value = self._import_submodule(parts[: depth + 1])
            if value is None:
                close = get_close_matches(part, dir(parent), n=1)
                remedy = f"did you mean {close[0]!r}?" if close else "check the spelling"
                raise TargetError(place, f"_target_ {path!r}: {parent.__name__} has no {part!r}", remedy)
        return value

    @staticmethod
    def _import_submodule(parts: Sequence[str]) -> ModuleType | None:
        try:
            return import_module(".".join(parts))
        except Exception:  # noqa: BLE001 -- a module that cannot be imported, for whatever reason, has no target
            return None

    def _is_ours(self, module: str | None) -> bool:
        return module is not None and module.split(".")[0] in self.packages

    def _is_kind(self, found: Any, path: str, kind: Kind) -> bool:
        if not isinstance(found, type):
            return kind == "model" and path in _MODEL_FACTORIES
        return issubclass(found, _base(kind)) and self._is_ours(found.__module__)

    def build(self, node: Mapping[str, Any], kind: Kind, place: str, *positional: Any) -> Any:
        """Make the object that a node describes; nodes inside it are of the same kind unless known otherwise.

        Args:
            node: ``_target_`` and its keyword arguments.
            kind: what the place takes.
            place: key in the configuration, for messages.
            *positional: arguments that the program gives (parameters, an optimizer).

        Raises:
            TargetError: see ``resolve``; or the target refuses its arguments.
        """
        if "_target_" not in node:
            raise TargetError(place, "no _target_", f"name a {kind}, such as {_EXAMPLES[kind]}")
        path = str(node["_target_"])
        target = self.resolve(path, kind, place)
        _refuse_misspelt(target, node, place)
        values = {
            key: self._value(value, "transform" if key == "augmentation_list" else kind, f"{place}.{key}")
            for key, value in node.items()
            if key != "_target_"
        }
        if path.rpartition(".")[2] == "Normalize" and kind == "transform":
            values.setdefault("max_pixel_value", 1.0)  # images are scaled to [0, 1] before augmentation
        try:
            with warnings.catch_warnings():
                # albumentations only warns of a misspelt argument and then ignores it.
                warnings.filterwarnings("error", ".*not valid for transform.*")
                return target(*positional, **values)
        except CoteachError:
            raise
        except Exception as error:
            raise TargetError(place, f"{path} refuses its values: {error}", "correct them") from error

    def _value(self, value: Any, kind: Kind, place: str) -> Any:
        if isinstance(value, Mapping) and "_target_" in value:
            return self.build(value, kind, place)
        if isinstance(value, list):
            return [self._value(one, kind, f"{place}[{i}]") for i, one in enumerate(value)]
        return value


def _refuse_misspelt(target: Callable[..., Any], node: Mapping[str, Any], place: str) -> None:
    """Targets with ``**kwargs`` (every model of segmentation_models_pytorch) swallow a misspelt argument."""
    parameters = signature(target).parameters.values()
    if not any(p.kind is Parameter.VAR_KEYWORD for p in parameters):
        return  # they refuse it themselves
    names = [p.name for p in parameters if p.kind is not Parameter.VAR_KEYWORD]
    for key in node:
        close = get_close_matches(key, names, n=1, cutoff=0.8)
        if key not in names and close:
            raise TargetError(
                f"{place}.{key}", f"{node['_target_']} has no such argument", f"did you mean {close[0]!r}?"
            )


_EXAMPLES: dict[Kind, str] = {
    "model": "segmentation_models_pytorch.Unet",
    "optimizer": "torch.optim.AdamW",
    "scheduler": "torch.optim.lr_scheduler.CosineAnnealingLR",
    "dataset": "coteach.SoftLabelDataset",
    "transform": "albumentations.HorizontalFlip",
}


def _base(kind: Kind) -> Any:
    """The class that every target of a kind derives from."""
    if kind == "model":
        from torch.nn import Module

        return Module
    if kind == "optimizer":
        from torch.optim import Optimizer

        return Optimizer
    if kind == "scheduler":
        from torch.optim.lr_scheduler import LRScheduler

        return LRScheduler
    if kind == "dataset":
        from torch.utils.data import Dataset

        return Dataset
    from albumentations.core.composition import BaseCompose
    from albumentations.core.transforms_interface import BasicTransform

    return (BasicTransform, BaseCompose)
