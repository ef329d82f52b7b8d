"""Figures as tables for the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from rich.console import Console
from rich.table import Table

from coteach.report.box_accuracy import BoxAccuracy, distinct
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


def print_box_accuracy(accuracy: BoxAccuracy, class_names: Sequence[str], title: str) -> None:
    """Print average precision over all classes and of each one."""
    counts = f"({accuracy.images} images, {accuracy.boxes.sum()} boxes)"
    shown = "   ".join(f"{name} {accuracy.overall[name]:.4f}" for name in ("AP", "AP50", "AP75"))
    Console().print(f"[bold]{title}[/bold]   {shown}   {counts}", soft_wrap=True)
    table = Table("class", "boxes", *accuracy.overall, title="AP: mean over IoU 0.50 to 0.95; -: no such box")
    for column in table.columns[1:]:
        column.justify = "right"
    rows = zip(distinct(class_names), accuracy.boxes, accuracy.by_class(), strict=True)
    for name, count, figures in (("all", accuracy.boxes.sum(), accuracy.overall), *rows):
        cells = ("-" if np.isnan(value) else f"{value:.4f}" for value in figures.values())
        table.add_row(name, str(count), *cells)
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
