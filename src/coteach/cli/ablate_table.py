"""The table of an ablation: figures by variant, pairs with and without border, and the files of them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import mean
from typing import Any

from coteach.cli.ablate_runs import Failure
from coteach.cli.variant_runs import Result
from coteach.cli.variant_table import by_variant, figure_columns, spelled, spread
from coteach.cli.variants import Variant, twin_of

SPLIT = "test"


@dataclass(frozen=True)
class Comparison:
    """What an ablation found.

    Args:
        variants: those that were asked for.
        results: of the runs that succeeded.
        failures: of the others.
        class_names: by code.
    """

    variants: Sequence[Variant]
    results: Sequence[Result]
    failures: Sequence[Failure]
    class_names: Sequence[str]

    @property
    def figures(self) -> dict[str, dict[str, list[float]]]:
        """Column -> variant -> the figure of each run; ``seconds`` comes last."""
        columns = {
            column: by_variant(self.results, SPLIT, figure)
            for column, figure in figure_columns(self.class_names).items()
        }
        seconds: dict[str, list[float]] = {}
        for result in self.results:
            seconds.setdefault(result.variant, []).append(result.seconds)
        return {**columns, "seconds": seconds}

    @property
    def measured(self) -> list[Variant]:
        """The variants with at least one result."""
        names = {result.variant for result in self.results}
        return [variant for variant in self.variants if variant.name in names]

    @property
    def pairs(self) -> list[tuple[Variant, Variant]]:
        """Variants with class borders, each with its twin without, where both were measured."""
        measured = {variant.name: variant for variant in self.measured}
        pairs = {}
        for variant in measured.values():
            twin = twin_of(variant)
            if twin is not None and twin.name in measured:
                first, second = (variant, twin) if variant.labels.with_border else (twin, variant)
                pairs[first.name, second.name] = (first, second)
        return list(pairs.values())


def text_rows(comparison: Comparison) -> list[dict[str, str]]:
    """One row a variant; mean ± standard deviation where there are several seeds."""
    figures = comparison.figures
    rows = []
    for variant in comparison.measured:
        row = {"variant": variant.name, "target": variant.target, "weight": variant.weight}
        for column, values in figures.items():
            if column != "seconds":
                row[column] = _no_nan(spelled(values[variant.name]))
        row["runs"] = str(len(figures["seconds"][variant.name]))
        row["seconds"] = f"{mean(figures['seconds'][variant.name]):.0f}"
        rows.append(row)
    return rows


def border_rows(comparison: Comparison) -> list[dict[str, str]]:
    """One row a pair: the variant with class borders in its weights, and without."""
    scores = comparison.figures["mIoU"]
    rows = []
    for with_border, without in comparison.pairs:
        one, other = scores[with_border.name], scores[without.name]
        rows.append(
            {
                "with border": with_border.name,
                "mIoU with": spelled(one),
                "without border": without.name,
                "mIoU without": spelled(other),
                "difference": f"{mean(one) - mean(other):+.3f}",
            }
        )
    return rows


def _no_nan(text: str) -> str:
    return "-" if text.startswith("nan") else text


def markdown(rows: Sequence[Mapping[str, str]]) -> str:
    """Equal rows as a table in Markdown; numbers to the right."""
    columns = list(rows[0])
    cells = [columns, *([row[column] for column in columns] for row in rows)]
    widths = [max(len(line[place]) for line in cells) for place in range(len(columns))]
    right = [
        all(row[column] == "-" or row[column].lstrip("+-")[:1].isdigit() for row in rows)
        for column in columns
    ]
    rule = [
        "-" * (width - 1) + (":" if to_right else "-") for width, to_right in zip(widths, right, strict=True)
    ]
    lines = []
    for line in (cells[0], rule, *cells[1:]):
        padded = [
            cell.rjust(width) if to_right else cell.ljust(width)
            for cell, width, to_right in zip(line, widths, right, strict=True)
        ]
        lines.append(f"| {' | '.join(padded)} |")
    return "\n".join(lines)


def csv_rows(comparison: Comparison) -> list[dict[str, str]]:
    """The table as numbers: each column's mean and, as ``<column>_sd``, its standard deviation, or empty cells."""
    figures = comparison.figures
    rows = []
    for variant in comparison.measured:
        row = {"variant": variant.name, "target": variant.target, "weight": variant.weight}
        row["runs"] = str(len(figures["seconds"][variant.name]))
        for column, values in figures.items():
            middle, deviation = spread(values[variant.name])
            row[column] = "" if math.isnan(middle) else f"{middle:.6f}"
            row[f"{column}_sd"] = "" if deviation is None else f"{deviation:.6f}"
        rows.append(row)
    return rows


def as_dict(comparison: Comparison) -> dict[str, Any]:
    """Everything as plain data for JSON; what is not a number is None."""
    figures = comparison.figures
    names = list(comparison.class_names)
    return {
        "variants": [
            {
                "variant": variant.name,
                "target": variant.target,
                "weight": variant.weight,
                "method": dict(variant.method),
                "labels": dict(variant.labels.options),
                **{
                    column: dict(zip(("mean", "sd"), map(_number, spread(values[variant.name])), strict=True))
                    for column, values in figures.items()
                },
                "runs": [
                    {
                        "seed": result.seed,
                        "seconds": result.seconds,
                        "folder": str(result.folder),
                        **result.accuracy[SPLIT].as_dict(names),
                    }
                    for result in comparison.results
                    if result.variant == variant.name
                ],
            }
            for variant in comparison.measured
        ],
        "borders": [{"with": one.name, "without": other.name} for one, other in comparison.pairs],
        "failures": [
            {"variant": failure.variant, "seed": failure.seed, "error": failure.error}
            for failure in comparison.failures
        ],
    }


def _number(value: float | None) -> float | None:
    return None if value is None or math.isnan(value) else value
