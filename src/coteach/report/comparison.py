"""Runs side by side: one row each, the best figure of every column marked."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from coteach.report.charts import MARKS
from coteach.report.figure_sets import MAPS, FigureSet
from coteach.report.logs import RunLog
from coteach.report.metrics import Accuracy

# Away from the palette of classes, dark enough for lines on white; neighbours differ in lightness too.
_COLORS = (
    "#332288",
    "#cc6677",
    "#117733",
    "#3b8fc4",
    "#8a7d1f",
    "#882255",
    "#2f9585",
    "#aa4499",
    "#b8651b",
    "#4d4d4d",
)
_DIGITS = 3
_NOTHING = "-"


@runtime_checkable
class LoggedRun(Protocol):
    """What has a name and a log."""

    @property
    def name(self) -> str:
        """How it is called."""
        ...

    @property
    def log(self) -> RunLog:
        """Its figures by epoch."""
        ...


@dataclass(frozen=True, slots=True)
class MeasuredRun:
    """What the report knows of a run.

    Args:
        name: how it is called; unique.
        folder: where it lies.
        method: name and options.
        accuracy: on the data set of the report.
        log: its figures by epoch.
        state: ``run.json``: seed, versions, command, seconds.
        config: its configuration as text.
    """

    name: str
    folder: Path
    method: Mapping[str, Any]
    accuracy: Accuracy
    log: RunLog
    state: Mapping[str, Any]
    config: str

    @property
    def described(self) -> str:
        """Method and options in words."""
        return described(self.method)


def described(method: Mapping[str, Any]) -> str:
    """A method and its options in words."""
    options = [
        f"{key} {value:g}" if isinstance(value, float) else f"{key} {value}"
        for key, value in method.items()
        if key != "name"
    ]
    return ", ".join([str(method.get("name", "")), *options])


@dataclass(frozen=True, slots=True)
class RunStyle:
    """How a run looks wherever it appears."""

    color: str
    mark: int

    @classmethod
    def of(cls, index: int) -> RunStyle:
        """Colour and mark of a run: pairs that come again only after many runs."""
        return cls(_COLORS[index % len(_COLORS)], (index + index // len(_COLORS)) % len(MARKS))


@dataclass(frozen=True, slots=True)
class Cell:
    """A figure as text, and whether no other run has a better one."""

    text: str
    best: bool = False


def comparison(
    runs: Sequence[MeasuredRun], class_names: Sequence[str], figure_set: FigureSet = MAPS
) -> tuple[list[str], list[list[Cell]]]:
    """The columns and, for each run, the cells of the table of variants.

    Best is what is highest as it is shown: runs that read the same are marked alike. One run has nothing to be
    better than.
    """
    columns: dict[str, Callable[[Accuracy], float]] = dict(figure_set.columns)
    for code, name in enumerate(class_names):
        columns[f"{figure_set.by_class} {name}"] = (
            lambda a, code=code: float(figure_set.of_class(a)[code])  # type: ignore[misc]  # bound per class
        )
    marked = [marked_cells([figure(run.accuracy) for run in runs]) for figure in columns.values()]
    cells = [
        [*figures, Cell(str(run.log.num_epochs or _NOTHING)), Cell(seconds_text(run.state.get("seconds")))]
        for run, *figures in zip(runs, *marked, strict=True)
    ]
    return [*columns, "epochs", "time"], cells


def best_sentence(runs: Sequence[MeasuredRun], figure_set: FigureSet = MAPS) -> str:
    """Which run has the highest leading figure (mean IoU), and by how much."""
    leading, rank = figure_set.leading, figure_set.rank
    ranked = sorted(runs, key=lambda run: -rank(run.accuracy))
    first = ranked[0]
    figure = f"{rank(first.accuracy):.{_DIGITS}f}"
    if len(runs) == 1:
        right = f"{100 * first.accuracy.overall:.1f} % of the {figure_set.items}"
        return f"{first.name} reaches a {leading} of {figure} and is right at {right}."
    level = [run.name for run in ranked if f"{rank(run.accuracy):.{_DIGITS}f}" == figure]
    if len(level) > 1:
        return f"{', '.join(level[:-1])} and {level[-1]} have the highest {leading}, {figure}."
    ahead = rank(first.accuracy) - rank(ranked[1].accuracy)
    return f"{first.name} has the highest {leading}, {figure}; the next is {ranked[1].name}, {ahead:.{_DIGITS}f} below."


def unique_names(folders: Sequence[Path]) -> list[str]:
    """The folders' names, each with as many of its parents as it takes to tell it from the others."""
    parts = [folder.resolve().parts for folder in folders]
    names = []
    for own in parts:
        tails = ([other[-length:] for other in set(parts)] for length in range(1, len(own) + 1))
        length = next((n for n, tail in enumerate(tails, start=1) if tail.count(own[-n:]) == 1), len(own))
        names.append("/".join(own[-length:]))
    return names


def figure_text(value: float) -> str:
    """A share with three decimals; a dash for NaN."""
    return _NOTHING if math.isnan(value) else f"{value:.{_DIGITS}f}"


def seconds_text(seconds: float | None) -> str:
    """How long something took: ``48 s``, ``3 min 20 s``, ``2 h 5 min``."""
    if seconds is None:
        return _NOTHING
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 1:
        return f"{rest} s"
    hours, minutes_left = divmod(minutes, 60)
    return f"{hours} h {minutes_left} min" if hours else f"{minutes} min {rest} s"


def marked_cells(values: Sequence[float]) -> list[Cell]:
    """A column of figures; the highest as it is shown is marked, of a single run none."""
    known = [value for value in values if not math.isnan(value)]
    best = figure_text(max(known)) if known and len(values) > 1 else None
    return [Cell(text, text == best) for text in map(figure_text, values)]
