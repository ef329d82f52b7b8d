"""Charts of what runs logged: which lines they have."""

from pathlib import Path

import numpy as np

from coteach.report.comparison import MeasuredRun
from coteach.report.curves import run_charts
from coteach.report.logs import RunLog
from coteach.report.metrics import Accuracy


def measured(name, figures):
    return MeasuredRun(
        name, Path(name), {"name": "jocor"}, Accuracy.of(np.eye(2, dtype=int)), RunLog(figures), {}, ""
    )


def test_right_labels_of_both_networks_are_drawn_where_they_are_known():
    known = {
        "train/loss_epoch": {0: 1.0, 1: 0.5},
        "train/label_precision/a": {0: 0.5, 1: 1.0},
        "train/label_precision/b": {0: 0.5, 1: 0.75},
        "train/label_recall/a": {0: 1.0, 1: 0.5},
    }
    charts = {chart.title: chart for chart in run_charts([measured("x", known), measured("y", {})])}
    curves = charts["Label precision of the selection"].curves
    assert [(curve.label, curve.dashed) for curve in curves] == [
        ("x, train/label_precision/a", False),
        ("x, train/label_precision/b", False),
        ("x, train/label_recall/a", True),
    ]
    # shares of 0 to 1 over 180 pixels upwards from 190
    assert curves[0].path == "M44.0 100.0L368.0 10.0"
    unknown = {chart.title for chart in run_charts([measured("y", {"train/loss_epoch": {0: 1.0}})])}
    assert unknown == {"Training loss"}
