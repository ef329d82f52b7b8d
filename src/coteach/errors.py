"""Everything that coteach raises on purpose.

::

    CoteachError                     names the thing, the cause and the remedy
    ├── InputError                   what the user gave cannot be used
    │   ├── OptionError              a parameter or command-line option (also a ValueError)
    │   ├── TableError               a CSV, JSON or other table
    │   └── RasterError              a raster file
    ├── ConfigError                  a configuration file: unknown keys, wrong types
    │   └── TargetError              a ``_target_`` that does not exist or is not allowed at its place
    ├── MissingExtraError            an optional dependency is not installed
    ├── DataUnavailableError         sample data is neither cached nor to be fetched
    ├── TrainingError                a run that cannot start, resume or go on
    └── IncompleteError              the command ended, but not all of its work was done

    CoteachWarning                   what a user should know, though the work goes on (a UserWarning)
"""

from __future__ import annotations


class CoteachWarning(UserWarning):
    """What a user should know, though the work goes on; the command line prints it in one line."""


class CoteachError(Exception):
    """Base of all errors raised on purpose.

    Args:
        thing: what is wrong: the file, tile, key or option.
        cause: what is wrong with it, with the offending value.
        remedy: what the user can do about it.
    """

    def __init__(self, thing: str, cause: str, remedy: str) -> None:
        super().__init__(thing, cause, remedy)  # all three in args: the error survives pickling
        self.thing = thing
        self.cause = cause
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.thing}: {self.cause}; {self.remedy}"


class InputError(CoteachError):
    """Something the user gave cannot be used."""


class OptionError(InputError, ValueError):
    """A parameter or command-line option is out of its range, or contradicts another."""


class TableError(InputError):
    """A table lacks a column, holds a bad value, or cannot be read."""


class RasterError(InputError):
    """A raster file is missing, damaged, or does not fit its use."""


class ConfigError(CoteachError):
    """A configuration has an unknown key or a value of the wrong kind."""


class TargetError(ConfigError):
    """A ``_target_`` does not exist, is not allowed, or is not the kind of object its place takes."""


class MissingExtraError(CoteachError, ImportError):
    """An optional dependency is not installed."""


class DataUnavailableError(CoteachError):
    """Sample data is not in the cache and cannot be fetched."""


class TrainingError(CoteachError):
    """A training run cannot start, resume or continue."""


class IncompleteError(CoteachError):
    """A command finished, but part of its work was not done."""
