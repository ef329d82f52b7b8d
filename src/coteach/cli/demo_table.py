"""The demo's table: figures by variant, and the share of the gap that each closes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from statistics import mean
from typing import Any

from coteach.cli.demo_labels import CLASS_NAMES, DemoLabels
from coteach.cli.variant_runs import Result
from coteach.cli.variant_table import by_variant, figure_columns, spelled
from coteach.tables import write_table

SMALLEST_GAP = 0.02  # mIoU; the share of a smaller one is noise


def gap_closed(results: Sequence[Result], split: str = "test") -> dict[str, float]:
    """Share of the gap between the best single product and the clean labels that each variant closes.

    Returns:
        Variant -> (mIoU − best product) / (clean − best product), means over the seeds; and under ``gap`` the
        gap itself in mIoU. A share means little where the gap is small.
    """
    figures = {name: mean(v) for name, v in by_variant(results, split, lambda a: a.mean_iou).items()}
    best = max(figures[f"E0 {name}"] for name in ("coarse", "shifted", "regional", "mask"))
    gap = figures["E0 clean"] - best
    shares = {name: (value - best) / gap if gap > 0 else math.nan for name, value in figures.items()}
    return shares | {"gap": gap}


def table_rows(results: Sequence[Result], split: str = "test") -> list[dict[str, str]]:
    """The table as text: one row a variant; mean ± standard deviation where there are several seeds."""
    shares = gap_closed(results, split)
    figures = {
        column: by_variant(results, split, figure) for column, figure in figure_columns(CLASS_NAMES).items()
    }
    rows = []
    for name in figures["mIoU"]:
        row = {"variant": name} | {column: spelled(values[name]) for column, values in figures.items()}
        row["gap closed"] = f"{100 * shares[name]:.0f} %" if shares["gap"] >= SMALLEST_GAP else "-"
        row["seconds"] = f"{mean(r.seconds for r in results if r.variant == name):.0f}"
        rows.append(row)
    return rows


def write_results(path: Path, results: Sequence[Result], labels: DemoLabels) -> dict[str, Any]:
    """Write every figure of every run as CSV at ``path`` and return them as plain data for JSON.

    What is not a number is an empty cell, and None.
    """
    rows = [_csv_row(result, split) for result in results for split in result.accuracy]
    write_table(path, list(rows[0]), rows)
    return {
        "error_rates": dict(labels.error_rates),
        "gap_closed": {
            split: {name: None if math.isnan(v) else v for name, v in gap_closed(results, split).items()}
            for split in results[0].accuracy
        },
        "runs": [
            {
                "variant": r.variant,
                "seed": r.seed,
                "seconds": r.seconds,
                "accuracy": {split: a.as_dict(CLASS_NAMES) for split, a in r.accuracy.items()},
            }
            for r in results
        ],
    }


def _csv_row(result: Result, split: str) -> dict[str, str]:
    accuracy = result.accuracy[split]
    figures = {column: figure(accuracy) for column, figure in figure_columns(CLASS_NAMES).items()}
    return {
        "variant": result.variant,
        "seed": str(result.seed),
        "split": split,
        **{name: "" if math.isnan(value) else f"{value:.6f}" for name, value in figures.items()},
        "seconds": f"{result.seconds:.2f}",
    }
