"""What became of each key of an old configuration: taken, without effect here (a note), or not to be had (a problem)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from coteach.schema import nearest

# One word or several of a name, and what in that package goes by them.
_FEATURES = {
    "ohem": "OHEM",
    "edl": "evidential deep learning (EDL)",
    "evidential": "evidential deep learning (EDL)",
    "moe": "mixture of experts",
    "medoe": "mixture of experts",
    "dualhead": "dual heads",
    "lora": "LoRA",
    "finetuning": "LoRA and other partial fine-tuning",
    "ema": "moving averages of weights (EMA)",
    "mixstyle": "MixStyle",
    "mcdropout": "Monte Carlo dropout",
    "compoundloss": "compound losses",
    "multiloss": "compound losses",
    "lossparams": "compound losses",
    "gpuaugmentation": "augmentation on the accelerator",
    "weightedsampler": "weighted sampling",
    "fewshot": "few-shot segmentation",
    "domainadaptation": "domain adaptation",
    "distillation": "data set distillation",
}


# The words of ``some_key``, ``SomeClass`` and ``SOMEClass``.
_WORDS = re.compile("[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z0-9]+|[A-Z]+")


def feature(name: str) -> str | None:
    """What a key or a class is for, if it belongs to a part of that package that is not offered here.

    Example:
        >>> feature("custom_models.upernet_dual_head.UPerNetDualHead")
        'dual heads'
    """
    words = [word.lower() for word in _WORDS.findall(name)]
    runs = {
        "".join(words[start:end]) for start in range(len(words)) for end in range(start + 1, len(words) + 1)
    }
    return next((label for part, label in _FEATURES.items() if part in runs), None)


@dataclass
class Ledger:
    """What is to be told about a translation.

    Args:
        notes: keys that have no effect here, or another one, and why.
        problems: keys that cannot be had, and why.
    """

    notes: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def note(self, place: str, why: str) -> None:
        """Say what became of a key."""
        self.notes.append(f"{place}: {why}")

    def refuse(self, place: str, why: str) -> None:
        """Say why a key cannot be had."""
        self.problems.append(f"{place}: {why}")

    def refuse_target(self, place: str, target: str) -> None:
        """Say that a class has no counterpart."""
        what = feature(target)
        self.refuse(f"{place}._target_", f"{target}" + (f" ({what})" if what else ""))


class Section:
    """A mapping of the old file, whose keys are taken one by one; ``close`` refuses those that are left.

    Args:
        ledger: where problems go.
        place: the mapping's own key; empty for the whole file.
        content: the mapping; None counts as an empty one.
    """

    def __init__(self, ledger: Ledger, place: str, content: Any) -> None:
        self.ledger = ledger
        self.place = place
        if content is not None and not isinstance(content, Mapping):
            ledger.refuse(place, f"is {content!r}, not a mapping")
            content = {}
        self.rest: dict[str, Any] = {str(key): value for key, value in (content or {}).items()}
        self._known: list[str] = []

    def __contains__(self, key: str) -> bool:
        return self.rest.get(key) is not None

    def path(self, key: str) -> str:
        """Where a key of this mapping lies in the file."""
        return f"{self.place}.{key}" if self.place else key

    def take(self, key: str, default: Any = None) -> Any:
        """The value of a key, which is then done with; ``default`` where it is missing or null."""
        self._known.append(key)
        value = self.rest.pop(key, None)
        return default if value is None else value

    def section(self, key: str) -> Section:
        """The mapping below a key."""
        return Section(self.ledger, self.path(key), self.take(key))

    def listed(self, key: str) -> list[Any]:
        """The list at a key; a single element counts as a list of one."""
        value = self.take(key, [])
        return value if isinstance(value, list) else [value]

    def ignore(self, why: str, *keys: str) -> None:
        """Note that keys, where they are given, have no effect here."""
        for key in keys:
            if key in self.rest:
                self.take(key)
                self.ledger.note(self.path(key), why)

    def expect(self, key: str, accepted: Iterable[Any], why: str) -> None:
        """Refuse a key's value unless it is missing or one of those that mean what is done anyway."""
        value = self.take(key)
        if value is not None and value not in tuple(accepted):
            self.ledger.refuse(self.path(key), f"{value!r}: {why}")

    def close(self) -> None:
        """Refuse what has not been taken; a part of that package which is switched off does no harm."""
        for key, value in self.rest.items():
            what = feature(key)
            if what is not None and _is_off(value):
                continue
            why = f"{what} is not supported" if what else f"unknown key; {nearest(key, self._known)}"
            self.ledger.refuse(self.path(key), why)
        self.rest = {}


def _is_off(value: Any) -> bool:
    if isinstance(value, Mapping):
        return not value or value.get("enabled") is False
    return not value
