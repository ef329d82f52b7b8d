"""What an override that Hydra cannot read should have been."""

from __future__ import annotations

import re

from coteach.errors import ConfigError

_KEY = re.compile(r"(\+{0,2}|~)[\w.$@:/-]+", re.ASCII)
_NEEDS_MORE = "'\"\\`$![{"  # quotes of its own are not enough, for Hydra or for the shell


def unreadable(override: str) -> ConfigError:
    """The error of an override that does not parse.

    Args:
        override: as the user gave it.

    Example:
        >>> print(unreadable("output_dir=runs/a, b"))
        override output_dir=runs/a, b: cannot be read; put a value with spaces, commas, brackets or letters other than \
ASCII into quotes of its own: "output_dir='runs/a, b'"
        >>> print(unreadable("two words=1"))
        override two words=1: cannot be read; give key=value, or ~key, which deletes
    """
    key, equals, value = override.partition("=")
    if not equals or not _KEY.fullmatch(key):
        return ConfigError(f"override {override}", "cannot be read", "give key=value, or ~key, which deletes")
    remedy = "put a value with spaces, commas, brackets or letters other than ASCII into quotes of its own"
    if value and not any(mark in value for mark in _NEEDS_MORE):
        remedy += f": \"{key}='{value}'\""
    return ConfigError(f"override {override}", "cannot be read", remedy)
