"""The table of variants: what is best is marked, and said in a sentence."""

from pathlib import Path

import numpy as np
import pytest

from coteach.report.comparison import (
    Cell,
    MeasuredRun,
    RunStyle,
    best_sentence,
    comparison,
    seconds_text,
    unique_names,
)
from coteach.report.logs import RunLog
from coteach.report.metrics import Accuracy


def run(name, mean_iou, kappa=0.5, iou=(0.5, 0.5), **state):
    figures = Accuracy(0.8, mean_iou, kappa, np.array(iou), np.eye(2, dtype=np.int64))
    log = RunLog({"val/loss": {0: 1.0, 2: 0.5}})
    return MeasuredRun(
        name=name,
        folder=Path(name),
        method={"name": "co_teaching", "e_warm": 4.0, "balance": "batch"},
        accuracy=figures,
        log=log,
        state=state,
        config="",
    )


def test_the_best_of_each_column_is_marked():
    columns, cells = comparison(
        [run("a", 0.5, iou=(0.9, np.nan), seconds=75), run("b", 0.6, kappa=np.nan, iou=(0.1, 0.2))],
        ["x", "y"],
    )
    assert columns == ["mIoU", "OA", "kappa", "IoU x", "IoU y", "epochs", "time"]
    assert cells[0] == [
        Cell("0.500"),
        Cell("0.800", best=True),
        Cell("0.500", best=True),
        Cell("0.900", best=True),
        Cell("-"),
        Cell("3"),
        Cell("1 min 15 s"),
    ]
    assert [cell.best for cell in cells[1]] == [True, True, False, False, True, False, False]


def test_figures_that_read_the_same_are_marked_alike():
    _, cells = comparison([run("a", 0.50001), run("b", 0.50049), run("c", 0.4)], ["x", "y"])
    assert [row[0].best for row in cells] == [True, True, False]


def test_one_run_has_nothing_to_be_better_than():
    _, [cells] = comparison([run("a", 0.5)], ["x", "y"])
    assert not any(cell.best for cell in cells)


def test_the_best_in_words():
    assert best_sentence([run("a", 0.5), run("b", 0.6127)]) == (
        "b has the highest mean IoU, 0.613; the next is a, 0.113 below."
    )
    assert best_sentence([run("a", 0.5), run("b", 0.5), run("c", 0.1)]) == (
        "a and b have the highest mean IoU, 0.500."
    )
    assert "0.500" in best_sentence([run("a", 0.5)])
    assert "80.0 %" in best_sentence([run("a", 0.5)])


def test_a_method_in_words():
    assert run("a", 0.5).described == "co_teaching, e_warm 4, balance batch"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, "-"), (0.4, "0 s"), (59.6, "1 min 0 s"), (200, "3 min 20 s"), (7505, "2 h 5 min")],
)
def test_how_long_it_took(seconds, text):
    assert seconds_text(seconds) == text


def test_no_two_of_forty_runs_look_alike():
    assert len({RunStyle.of(index) for index in range(40)}) == 40


def test_names_are_as_long_as_it_takes():
    folders = [Path("/w/a/run"), Path("/w/b/run"), Path("/w/b/other")]
    assert unique_names(folders) == ["a/run", "b/run", "other"]
