"""Findings of a check as a table on the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from coteach.cli.output import Verbosity, verbosity

if TYPE_CHECKING:
    from rich.table import Table

    from coteach.rasters.findings import Finding, Gathered, Severity

_SHOWN = 50  # lines, unless --verbose
_NARROWEST = 80  # characters; a line of words needs some room
_STYLES: dict[Severity, str] = {"error": "bold red", "warning": "yellow", "note": "dim"}


def print_findings(findings: Sequence[Finding], *, notes: bool, stderr: bool = False) -> None:
    """Print findings, the worst first, equal ones once; nothing if there are none.

    On a terminal long words are broken to its width; elsewhere each finding has one line.

    Args:
        findings: in the order of rows.
        notes: whether to print notes, too.
        stderr: print to standard error.
    """
    from rich.console import Console

    from coteach.rasters.findings import gather

    gathered = gather(one for one in findings if notes or one.severity != "note")
    shown = gathered if verbosity() >= Verbosity.VERBOSE else gathered[:_SHOWN]
    if not shown:
        return
    table = _table(shown)
    console = Console(stderr=stderr)
    if console.is_terminal:
        console.width = max(_NARROWEST, console.width)
        console.print(table)
    else:
        console.width = Console(width=1_000_000).measure(table).maximum
        with console.capture() as captured:
            console.print(table)
        click.echo("\n".join(line.rstrip() for line in captured.get().splitlines()), err=stderr)
    if len(shown) < len(gathered):
        click.echo(f"and {len(gathered) - len(shown)} more; --verbose shows all", err=stderr)


def _table(gathered: Sequence[Gathered]) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, collapse_padding=True)
    table.add_column("")
    table.add_column("row", justify="right")
    for column in ("tile", "column", "what is wrong, and what to do"):
        table.add_column(column, overflow="fold")
    for finding, further in gathered:
        row = "" if finding.row is None else str(finding.row)
        if further:
            row += f" +{further}"
        file = f"{finding.file}: " if finding.file else ""
        said = f"{file}{finding.cause}; {finding.remedy}"
        cells = [Text(cell) for cell in (row, finding.tile_id, finding.column, said)]  # no markup in names
        table.add_row(Text(finding.severity, style=_STYLES[finding.severity]), *cells)
    return table
