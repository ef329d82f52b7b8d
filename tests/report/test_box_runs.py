"""The page of runs with boxes: what stands in it, and what is left out."""

import math

import pytest

from coteach.legend import Legend
from coteach.report.box_page import BoxReport, render_boxes
from coteach.report.box_runs import BoxRun, box_charts, box_sentence, box_table, kept_charts, pr_charts
from coteach.report.charts import BOTTOM, LEFT, RIGHT, TOP
from coteach.report.logs import RunLog
from coteach.report.views import Panel

LEGEND = Legend.of(2, ["cell", "<b>"])
RECALL = [0.0, 0.5, 1.0]


def a_run(tmp_path, name="one", ap=0.3, **changes):
    fields = {
        "name": name,
        "folder": tmp_path,
        "method": {"name": "soft_teacher", "ema_decay": 0.999},
        "figures": {
            "AP": ap,
            "AP50": 0.6,
            "AP75": None,
            "classes": {"cell": {"AP": 0.2}, "<b>": {"AP": None}},
        },
        "pr_curves": {
            "cell": {"recall": RECALL, "precision_50": [1.0, 1.0, 0.0], "precision_75": [1.0, 0.5, 0.0]}
        },
        "log": RunLog(
            {
                "val/AP": {0: 0.1, 1: 0.2},
                "train/pseudo_boxes/precision": {1: 0.75},
                "train/pseudo_boxes/class_2": {0: 1.5, 1: 2.0},
            }
        ),
        "state": {"seconds": 65.0},
        "config": "seed: 1",
    }
    return BoxRun(**(fields | changes))


def test_the_table_by_hand(tmp_path):
    runs = [a_run(tmp_path), a_run(tmp_path, "two", 0.25)]
    columns, cells = box_table(runs, LEGEND.names)
    assert columns == ["AP", "AP50", "AP75", "AP cell", "AP <b>", "epochs", "time"]
    assert [cell.text for cell in cells[0]] == ["0.300", "0.600", "-", "0.200", "-", "2", "1 min 5 s"]
    assert [cell.best for cell in cells[0]] == [True, True, False, True, False, False, False]
    assert not cells[1][0].best
    assert box_sentence(runs) == "one has the highest AP, 0.300; its AP50 is 0.600."
    assert box_sentence(runs[1:]) == "two reaches an AP of 0.250, and of 0.600 at an overlap of 0.5."
    assert math.isnan(runs[0].figure("AP", "unheard of"))


def test_charts_show_what_the_log_has_and_nothing_else(tmp_path):
    run = a_run(tmp_path)
    assert [chart.title for chart in box_charts([run])] == [
        "Validation AP and AP50",
        "Precision and recall of pseudo boxes",
    ]
    [kept] = kept_charts([run], LEGEND)
    assert [curve.label for curve in kept.curves] == ["one, <b>"]
    assert [mark.tooltip for mark in kept.curves[0].marks] == [
        "one, <b>, epoch 1: 1.5",
        "one, <b>, epoch 2: 2",
    ]
    assert kept_charts([a_run(tmp_path, log=RunLog({}))], LEGEND) == []


def test_precision_against_recall_by_hand(tmp_path):
    [chart] = pr_charts([a_run(tmp_path)], LEGEND)
    middle = (LEFT + RIGHT) / 2
    wide, narrow = chart.curves
    assert wide.path == f"M{LEFT:.1f} {TOP:.1f}L{middle:.1f} {TOP:.1f}L{RIGHT:.1f} {BOTTOM:.1f}"
    assert (
        narrow.path == f"M{LEFT:.1f} {TOP:.1f}L{middle:.1f} {(TOP + BOTTOM) / 2:.1f}L{RIGHT:.1f} {BOTTOM:.1f}"
    )
    assert (wide.dashed, narrow.dashed) == (False, True)
    assert wide.marks[1].tooltip == "cell, IoU 0.50, recall 0.5: 1"
    assert chart.x_name == "recall"
    assert chart.x_ticks[0] == (LEFT, "0")
    assert chart.x_ticks[-1] == (RIGHT, "1")
    assert pr_charts([a_run(tmp_path, pr_curves={})], LEGEND) == []


@pytest.mark.parametrize("pictured", [True, False])
def test_the_page_holds_everything_and_escapes_names(tmp_path, pictured):
    panels = [Panel("a.png: 2 kept, 1 refused", "data:image/png;base64,AAAA", photo=True)]
    run = a_run(tmp_path, pictures=panels if pictured else [], pictures_epoch=7)
    page = render_boxes(
        BoxReport(
            title="Run one", runs=[run], legend=LEGEND, signs=[("kept", (0, 114, 178))], facts=[], command="c"
        )
    )
    assert ('id="pictures"' in page, "after epoch 7" in page, "2 kept, 1 refused" in page) == (pictured,) * 3
    assert ("#0072b2" in page.partition('id="pictures"')[2]) is pictured
    assert "<b>" not in page.replace('<b class="best">', "").replace("<body>", "")
    assert 'id="precision"' in page
    assert ">recall</text>" in page
    assert "http" not in page.replace("http://www.w3.org/2000/svg", "")
