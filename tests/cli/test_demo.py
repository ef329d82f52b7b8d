"""The demo: its table by hand, and a short run of all of it on the real scene."""

import csv
import json
import subprocess
import sys

import numpy as np
import pytest

from coteach.cli.demo_runs import Result
from coteach.cli.demo_table import gap_closed, table_rows
from coteach.report.metrics import Accuracy


def result(variant, mean_iou, seed=0):
    """A result of which only the mean IoU matters."""
    figures = Accuracy(0.5, mean_iou, 0.5, np.full(4, mean_iou), np.eye(4, dtype=np.int64))
    return Result(variant, seed, {"test": figures}, 1.0)


SINGLES = [
    result("E0 coarse", 0.30),
    result("E0 shifted", 0.40),
    result("E0 regional", 0.35),
    result("E0 mask", 0.20),
]


def test_share_of_the_gap_by_hand():
    # The best product is 0.40, clean 0.60: 0.55 closes three quarters.
    shares = gap_closed([*SINGLES, result("E2", 0.55), result("E0 clean", 0.60)])
    assert shares["gap"] == pytest.approx(0.2)
    assert shares["E2"] == pytest.approx(0.75)
    assert shares["E0 coarse"] == pytest.approx(-0.5)


def test_several_seeds_give_mean_and_standard_deviation():
    rows = table_rows([*SINGLES, result("E2", 0.5), result("E2", 0.6, seed=1), result("E0 clean", 0.6)])
    [row] = [r for r in rows if r["variant"] == "E2"]
    assert row["mIoU"] == "0.550 ± 0.071"
    assert row["gap closed"] == "75 %"


def test_no_share_of_a_gap_that_is_noise():
    assert {r["gap closed"] for r in table_rows([*SINGLES, result("E0 clean", 0.41)])} == {"-"}


def test_all_of_it_on_the_real_scene(nc_landcover, tmp_path):
    command = [
        sys.executable,
        "-m",
        "coteach.cli.main",
        "demo",
        "--output-dir",
        str(tmp_path / "demo"),
        "--epochs",
        "1",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    with (tmp_path / "demo" / "results.csv").open() as lines:
        rows = list(csv.DictReader(lines))
    assert [r["variant"] for r in rows] == [
        *["E0 coarse", "E0 shifted", "E0 regional", "E0 mask", "E0 majority vote"],
        *["E1", "E2-NB", "E2", "CoT-Full", "E0 clean"],
    ]
    content = json.loads((tmp_path / "demo" / "results.json").read_text())
    rates = content["error_rates"]
    assert all(0.20 <= rates[name] <= 0.35 for name in ("coarse", "shifted", "regional", "mask"))
    assert rates["majority"] < min(rates[name] for name in ("coarse", "shifted", "regional", "mask"))
    pixels = {sum(map(sum, r["accuracy"]["test"]["confusion"])) for r in content["runs"]}
    assert len(pixels) == 1  # every variant is measured on the same pixels
    assert all(r["variant"] in done.stdout for r in rows)
