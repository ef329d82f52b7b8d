"""YAML as data of a sensible size: aliases of aliases can stand for more than a memory holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from coteach.errors import ConfigError

_MOST = 100_000  # keys and values, aliases counted as often as they stand there
_DEEPEST = 50


def check_yaml(path: Path) -> None:
    """Refuse a file that would not be read in a sensible time; nothing is made of it.

    Raises:
        ConfigError: it is no text in UTF-8, no YAML, nested too deeply, a list, holds too much, or an alias of itself.
    """
    import yaml

    remedy = "correct the file"
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(str(path), f"cannot be read ({error})", "give a YAML file in UTF-8") from error
    try:
        depth = 0
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > _DEEPEST:
                raise ConfigError(str(path), f"is nested more than {_DEEPEST} deep", remedy)
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        raise ConfigError(str(path), " ".join(str(error).split()), remedy) from error
    if isinstance(node, yaml.SequenceNode):
        raise ConfigError(str(path), "is a list", "a configuration is a mapping of keys to values")
    if node is not None and _size(node, {}) > _MOST:
        cause = f"holds more than {_MOST} values, or an alias of itself"
        raise ConfigError(str(path), cause, remedy)


def _size(node: Any, sizes: dict[int, int]) -> int:
    """Keys and values that a node stands for; of one that stands for itself more than any file may hold."""
    if isinstance(node.value, str):
        return 1
    if id(node) not in sizes:
        sizes[id(node)] = _MOST + 1  # until it is known: it is met again only within itself
        parts = [one for pair in node.value for one in (pair if isinstance(pair, tuple) else (pair,))]
        sizes[id(node)] = 1 + sum(_size(part, sizes) for part in parts)
    return sizes[id(node)]
