"""Figures as tables for the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from rich.console import Console
from rich.table import Table

from coteach.report.metrics import Accuracy


def print_accuracy(accuracy: Accuracy, class_names: Sequence[str], title: str) -> None:
    """Print overall figures, IoU by class and the confusion matrix with its shares of each reference class."""
    console = Console()
    console.print(
        f"[bold]{title}[/bold]   OA {accuracy.overall:.4f}   mIoU {accuracy.mean_iou:.4f}   kappa {accuracy.kappa:.4f}"
    )
    _print_classes(accuracy, "IoU", accuracy.iou, class_names)


def _print_classes(
    accuracy: Accuracy, figure: str, values: Iterable[float], class_names: Sequence[str]
) -> None:
    """A figure of each class beside its row of the confusion matrix."""
    table = Table(
        "reference",
        figure,
        *[f"→ {name}" for name in class_names],
        title="rows: reference, columns: predicted",
    )
    for column in table.columns[1:]:
        column.justify = "right"
    for name, value, row in zip(class_names, values, accuracy.confusion, strict=True):
        table.add_row(name, f"{value:.4f}", *[str(count) for count in row])
    _print_whole(table)


def print_image_accuracy(
    accuracy: Accuracy, top: Mapping[int, float], class_names: Sequence[str], title: str
) -> None:
    """Print overall figures, the recall of each class and the confusion matrix."""
    console = Console()
    more = "".join(f"   top-{k} {share:.4f}" for k, share in top.items())
    console.print(
        f"[bold]{title}[/bold]   OA {accuracy.overall:.4f}   BA {accuracy.balanced:.4f}{more}   "
        f"kappa {accuracy.kappa:.4f}   ({accuracy.confusion.sum()} images)"
    )
    _print_classes(accuracy, "recall", accuracy.recall, class_names)


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
