"""What the command line prints, and how much of it: ``--quiet``, ``--verbose`` and ``--debug`` of every command."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from enum import IntEnum
from typing import TextIO

import click

from coteach.errors import CoteachWarning

SHOWN = 20  # printed of a long list; all of it is in a file
_KEY = "coteach.verbosity"


class Verbosity(IntEnum):
    """How much is printed."""

    QUIET = 0
    NORMAL = 1
    VERBOSE = 2


def verbosity() -> Verbosity:
    """What the user asked for; ``NORMAL`` where no command is running."""
    context = click.get_current_context(silent=True)
    return Verbosity.NORMAL if context is None else context.meta.get(_KEY, Verbosity.NORMAL)


def say(text: str) -> None:
    """Print a result or a remark to standard output, unless ``--quiet``."""
    if verbosity() >= Verbosity.NORMAL:
        click.echo(text)


def detail(text: str) -> None:
    """Print what only ``--verbose`` asks for, to standard error."""
    if verbosity() >= Verbosity.VERBOSE:
        click.echo(text, err=True)


def remark(text: str) -> None:
    """Print how far a command is to standard error, unless ``--quiet``."""
    if verbosity() >= Verbosity.NORMAL:
        click.echo(text, err=True)


def warn(text: str) -> None:
    """Print a warning to standard error, always."""
    click.echo(f"Warning: {text}", err=True)


def print_failures(messages: Sequence[str]) -> None:
    """Print the first ``SHOWN`` of what failed to standard error, always, and how many more there are."""
    for message in messages[:SHOWN]:
        click.echo(f"Failed: {message}", err=True)
    if len(messages) > SHOWN:
        click.echo(f"and {len(messages) - SHOWN} more", err=True)


@contextmanager
def warnings_told() -> Iterator[None]:
    """Print this package's warnings as ``warn`` does; those of others keep their file and line."""
    before = warnings.showwarning

    def tell(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        if issubclass(category, CoteachWarning):
            warn(str(message))
        else:
            before(message, category, filename, lineno, file, line)

    warnings.showwarning = tell
    try:
        yield
    finally:
        warnings.showwarning = before


def with_common_options(command: click.Command) -> click.Command:
    """Give a command the options that all commands have; a second call changes nothing."""
    if not any(option.name == "debug" for option in command.params):
        command.params += [
            click.Option(
                ["-q", "--quiet"],
                is_flag=True,
                expose_value=False,
                callback=_ask_for(Verbosity.QUIET),
                help="Print warnings and errors only, and no progress.",
            ),
            click.Option(
                ["-v", "--verbose"],
                is_flag=True,
                expose_value=False,
                callback=_ask_for(Verbosity.VERBOSE),
                help="Print more about what is done.",
            ),
            click.Option(
                ["--debug"], is_flag=True, expose_value=False, help="Show the traceback of an error."
            ),
        ]
    return command


def _ask_for(wanted: Verbosity) -> Callable[[click.Context, click.Parameter, bool], None]:
    """A callback that notes the verbosity; two different ones contradict each other."""

    def note(context: click.Context, parameter: click.Parameter, value: bool) -> None:  # noqa: ARG001 -- click's
        if value and context.meta.setdefault(_KEY, wanted) != wanted:
            raise click.UsageError("--quiet contradicts --verbose; give one of them")

    return note
