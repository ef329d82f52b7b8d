"""The progress bar of every long command."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from coteach.cli.output import Verbosity, verbosity


def shows_progress() -> bool:
    """Whether somebody is there to look at a progress bar, and wants one."""
    return sys.stderr.isatty() and verbosity() > Verbosity.QUIET


@contextmanager
def track(total: int | None, label: str) -> Iterator[Callable[..., None]]:
    """Show a progress bar on standard error while the block runs; nothing where that is no terminal, or with ``--quiet``.

    Args:
        total: how many steps there are; None if that is not known.
        label: what is being done.

    Yields:
        ``advance(n=1)``: call it when ``n`` more steps are done.

    Example:
        >>> with track(2, "tiles") as advance:
        ...     advance()
        ...     advance()
    """
    if not shows_progress():
        yield _silent
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    # what is printed meanwhile appears above the bar, unless it goes elsewhere
    with Progress(*columns, console=Console(stderr=True), redirect_stdout=sys.stdout.isatty()) as bar:
        task = bar.add_task(label, total=total)

        def advance(n: int = 1) -> None:
            bar.advance(task, n)

        yield advance


def _silent(n: int = 1) -> None:
    """No bar to move."""
