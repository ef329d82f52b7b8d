"""The table of a benchmark of detection with few labels."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from detection_choices import FIGURES


def print_table(rows: Sequence[Mapping[str, Any]]) -> None:
    """One line a share of labels and method: mean and standard deviation over the seeds, in percent; seconds a run."""
    columns = [
        (part, role, figure)
        for part in ("test", "val")
        for role in ("student", "teacher")
        for figure in FIGURES
    ]
    names = [f"{role} {figure}{', val' if part == 'val' else ''}" for part, role, figure in columns]
    print(f"| labels | method | seeds | {' | '.join(names)} | seconds |\n|{'---|' * (len(names) + 4)}")
    for name, method in dict.fromkeys((row["name"], row["method"]) for row in rows):
        own = [row for row in rows if (row["name"], row["method"]) == (name, method)]
        cells = [
            _spread([100 * row[f"{part}/{role}"][figure] for row in own]) for part, role, figure in columns
        ]
        seconds = statistics.mean(row["seconds"] for row in own)
        print(f"| {name} | {method} | {len(own)} | {' | '.join(cells)} | {seconds:.0f} |")


def _spread(values: Sequence[float]) -> str:
    deviation = f" ± {statistics.stdev(values):.1f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.1f}{deviation}"
