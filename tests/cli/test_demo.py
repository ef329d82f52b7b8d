"""The demo: its table by hand, and a short run of all of it on the real scene."""

import csv
import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from coteach.cli.demo_labels import CLASS_NAMES, DemoLabels
from coteach.cli.demo_runs import Result
from coteach.cli.demo_table import gap_closed, table_rows, write_results
from coteach.cli.demo_variants import variant_config
from coteach.cli.main import main
from coteach.data.samples import NcLandcover
from coteach.report.metrics import Accuracy


def result(variant, mean_iou, seed=0):
    """A result of which only the mean IoU matters."""
    figures = Accuracy(0.5, mean_iou, 0.5, np.full(4, mean_iou), np.eye(4, dtype=np.int64))
    return Result(variant, seed, {"test": figures}, 1.0, Path(variant))


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


def test_what_is_not_a_number_is_left_out_of_the_files(tmp_path):
    # The best product is better than the clean labels: no share of such a gap can be told; class 3 occurs nowhere.
    results = [*SINGLES, result("E0 clean", 0.39)]
    figures = Accuracy(0.5, 0.39, math.nan, np.array([0.1, 0.2, 0.3, math.nan]), np.eye(4, dtype=np.int64))
    results.append(Result("E2", 0, {"test": figures}, 2.0, tmp_path))
    labels = DemoLabels(NcLandcover(tmp_path, tmp_path, tmp_path), {"coarse": 0.25}, {})
    content = write_results(tmp_path / "results.csv", results, labels)
    text = json.dumps(content, allow_nan=False)  # refuses NaN
    shares = json.loads(text)["gap_closed"]["test"]
    assert shares["gap"] == pytest.approx(-0.01)
    assert shares["E2"] is None
    with (tmp_path / "results.csv").open() as lines:
        *_, last = csv.DictReader(lines)
    assert (last["kappa"], last[CLASS_NAMES[2]], last[CLASS_NAMES[3]]) == ("", "0.300000", "")


def short(*args):
    """The configuration of a variant, with a tiny network and few steps."""
    config = variant_config(*args)
    model = config.model | {"width": 16, "depth": 2}
    return replace(config, model=model, trainer=config.trainer | {"max_steps": 8})


def test_all_of_it_on_the_real_scene(nc_landcover, tmp_path, capfd, monkeypatch, unchecked):
    monkeypatch.setattr("coteach.cli.demo_runs.variant_config", short)
    command = ["demo", "--output-dir", str(tmp_path / "demo"), "--epochs", "1"]
    with pytest.raises(SystemExit) as ended:
        main(command)
    assert ended.value.code == 0
    done = capfd.readouterr()
    with (tmp_path / "demo" / "results.csv").open() as lines:
        rows = list(csv.DictReader(lines))
    assert [r["variant"] for r in rows] == [
        *["E0 coarse", "E0 shifted", "E0 regional", "E0 mask", "E0 majority vote"],
        *["E1", "E2-NB", "E2", "CoT-Full", "E0 clean"],
    ]
    assert len({r["mIoU"] for r in rows}) > 5  # what was learned differs with the labels
    content = json.loads((tmp_path / "demo" / "results.json").read_text())
    rates = content["error_rates"]
    assert all(0.20 <= rates[name] <= 0.35 for name in ("coarse", "shifted", "regional", "mask"))
    assert rates["majority"] < min(rates[name] for name in ("coarse", "shifted", "regional", "mask"))
    pixels = {sum(map(sum, r["accuracy"]["test"]["confusion"])) for r in content["runs"]}
    assert len(pixels) == 1  # every variant is measured on the same pixels
    assert all(r["variant"] in done.out for r in rows)
    page = (tmp_path / "demo" / "report.html").read_text(encoding="utf-8")
    assert str(tmp_path / "demo" / "report.html") in done.out
    assert all(f"{float(r['mIoU']):.3f}" in page for r in rows)
    assert page.count('alt="Predictions: ') == page.count('alt="Where predictions differ') == 10
    assert {alt for alt in ("coarse", "shifted", "regional", "mask") if f'alt="Sources: {alt}"' in page} == {
        *("coarse", "shifted", "regional", "mask")
    }
    assert done.err == ""  # no bar where nobody looks

    # Again: nothing is trained, so the seconds stay those of the training.
    with pytest.raises(SystemExit) as ended:
        main([*command, "--quiet"])
    assert ended.value.code == 0
    with (tmp_path / "demo" / "results.csv").open() as lines:
        assert list(csv.DictReader(lines)) == rows
