"""What a run has logged, epoch by epoch, joined over all the times it was started."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class RunLog:
    """The figures of a run.

    Args:
        figures: name -> epoch, counted from 0 -> value; finite.
    """

    figures: Mapping[str, Mapping[int, float]]

    @property
    def num_epochs(self) -> int:
        """Epochs that have left a figure, the last one's number."""
        return max((max(values) + 1 for values in self.figures.values()), default=0)

    def points(self, name: str) -> list[tuple[int, float]]:
        """(epoch, value) in order, epochs counted from 1 as people do; empty if there is no such figure."""
        return [(epoch + 1, value) for epoch, value in sorted(self.figures.get(name, {}).items())]

    def ratio(self, name: str, total: str) -> list[tuple[int, float]]:
        """(epoch, ``name`` / ``total``), left out where ``total`` is 0 or missing."""
        totals = dict(self.points(total))
        return [(epoch, value / totals[epoch]) for epoch, value in self.points(name) if totals.get(epoch)]


def read_log(run_dir: Path) -> RunLog:
    """Join the CSV logs of a run: each resume starts a new one, and the later one knows an epoch better.

    Args:
        run_dir: with ``logs/version_N/metrics.csv``; without any, the log is empty.
    """
    figures: dict[str, dict[int, float]] = {}
    versions = run_dir.glob("logs/version_*/metrics.csv")
    for path in sorted(versions, key=lambda path: _number(path.parent.name)):
        with path.open(encoding="utf-8", newline="") as lines:
            for row in csv.DictReader(lines):
                _add(row, figures)
    return RunLog(figures)


def _add(row: Mapping[str, str | None], figures: dict[str, dict[int, float]]) -> None:
    epoch = _value(row.get("epoch"))
    if epoch is None:  # a line cut off by a kill
        return
    for name, text in row.items():
        value = _value(text)
        if value is not None and name not in ("epoch", "step") and not name.endswith("_step"):
            figures.setdefault(name, {})[int(epoch)] = value


def _value(text: str | None) -> float | None:
    """The finite number of a cell; None if it is empty or holds none."""
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _number(version: str) -> int:
    tail = version.rpartition("_")[2]
    return int(tail) if tail.isdigit() else -1
