"""Figures as tables for the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.table import Table

from coteach.report.metrics import Accuracy


def print_accuracy(accuracy: Accuracy, class_names: Sequence[str], title: str) -> None:
    """Print overall figures, IoU by class and the confusion matrix with its shares of each reference class."""
    console = Console()
    console.print(
        f"[bold]{title}[/bold]   OA {accuracy.overall:.4f}   mIoU {accuracy.mean_iou:.4f}   kappa {accuracy.kappa:.4f}"
    )
    table = Table(
        "reference",
        "IoU",
        *[f"→ {name}" for name in class_names],
        title="rows: reference, columns: predicted",
    )
    for column in table.columns[1:]:
        column.justify = "right"
    for name, iou, row in zip(class_names, accuracy.iou, accuracy.confusion, strict=True):
        table.add_row(name, f"{iou:.4f}", *[str(count) for count in row])
    _print_whole(table)


def print_rows(rows: Sequence[Mapping[str, str]], title: str) -> None:
    """Print equal mappings, column -> text, as a table."""
    table = Table(title=title)
    for i, column in enumerate(rows[0]):
        table.add_column(column, justify="left" if i == 0 else "right", no_wrap=True)
    for row in rows:
        table.add_row(*row.values())
    _print_whole(table)


def _print_whole(table: Table) -> None:
    """Print a table without cutting figures off, however narrow the terminal is."""
    needed = Console(width=1000).measure(table).maximum
    Console(width=max(needed, Console().width)).print(table)
