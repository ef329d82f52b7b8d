"""``coteach ablate`` on small tiles, from the command line."""

import csv
import json
import statistics
from pathlib import Path

import numpy as np
import pytest
from label_rasters import rows_of, two_class_tiles, write_sources

from coteach.cli import variant_runs
from coteach.cli.ablate_table import Comparison, border_rows, markdown, text_rows
from coteach.cli.main import main
from coteach.cli.variant_runs import Result
from coteach.cli.variants import VARIANTS
from coteach.report.metrics import Accuracy

SIZE = 16


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    """Six tiles, two maps of which err, as does a mask."""
    return two_class_tiles(tmp_path_factory.mktemp("tiles"), count=6, size=SIZE)


def ablate(sources, folder, *more, variants="E0,E2", seeds=2, expected=0):
    maps = ("--lulc-key", "a_path", "--lulc-key", "b_path", "--reference-key", "truth_path")
    quick = ("--epochs", "1", "--max-workers", "1", "data_loader.batch_size=2", "trainer.accelerator=cpu")
    command = ["ablate", str(sources), "--output-dir", str(folder), "--num-classes", "2", *maps]
    command += ["--variants", variants, "--seeds", str(seeds), "--train-ratio", "0.5", "--val-ratio", "0.17"]
    with pytest.raises(SystemExit) as left:
        main([*command, *quick, *more])
    assert (left.value.code or 0) == expected


@pytest.fixture(scope="module")
def finished(sources, tmp_path_factory):
    folder = tmp_path_factory.mktemp("ablation") / "out"
    ablate(sources, folder, variants="E0,E1,E2,E2-NB")
    return folder


def table(folder):
    return {row["variant"]: row for row in rows_of(folder / "ablation.csv")}


def test_the_table_is_mean_and_deviation_of_the_runs(finished):
    rows = table(finished)
    assert list(rows) == ["E0", "E1", "E2", "E2-NB"]
    content = json.loads((finished / "ablation.json").read_text())
    assert content["failures"] == []
    for entry in content["variants"]:
        row = rows[entry["variant"]]
        assert [run["seed"] for run in entry["runs"]] == [0, 1]
        for column in ("OA", "mIoU"):
            values = [run[column] for run in entry["runs"]]
            assert float(row[column]) == pytest.approx(statistics.mean(values), abs=1e-6)
            assert float(row[f"{column}_sd"]) == pytest.approx(statistics.stdev(values), abs=1e-6)
        for run in entry["runs"]:
            matrix = np.array(run["confusion"])
            assert matrix.sum() == 2 * SIZE * SIZE  # two of six tiles are held out, whole
            assert run["OA"] == pytest.approx(np.trace(matrix) / matrix.sum())
    reference = {tuple(np.sum(run["confusion"], 1)) for entry in content["variants"] for run in entry["runs"]}
    assert len(reference) == 1  # all runs are measured against the same pixels


def test_the_figures_are_those_of_evaluate_against_the_reference(finished):
    run = finished / "runs" / "e2_1"
    with pytest.raises(SystemExit):
        main(["evaluate", str(run), "--checkpoint", "last", "--reference-key", "reference_path", "--quiet"])
    expected = json.loads((run / "evaluation.json").read_text())
    content = json.loads((finished / "ablation.json").read_text())
    [entry] = [entry for entry in content["variants"] if entry["variant"] == "E2"]
    assert entry["runs"][1]["confusion"] == expected["confusion"]


def test_label_sets_are_built_once_and_divided_alike(finished):
    folders = sorted((finished / "labels").iterdir())
    assert [folder.name for folder in folders] == ["e2", "e2_nb", "mask"]
    drawn = [
        [
            [row["tile_id"] for row in rows_of(folder / "splits" / f"{split}.csv")]
            for split in ("train", "test")
        ]
        for folder in folders
    ]
    assert drawn[0] == drawn[1] == drawn[2]


def test_the_page_and_the_figure(finished):
    page = (finished / "report.html").read_text(encoding="utf-8")
    best = max(table(finished).values(), key=lambda row: float(row["mIoU"]))
    assert f"{best['variant']} has the highest mIoU, {float(best['mIoU']):.3f} ±" in page
    assert page.count("<circle") == 8
    assert "With and without class borders" in page
    assert (finished / "ablation.svg").read_text(encoding="utf-8").lstrip().startswith("<svg")


def test_again_trains_nothing_and_prints_the_same_table(sources, finished, capsys):
    before = {file: file.stat().st_mtime_ns for file in finished.glob("runs/*/checkpoints/*")}
    assert before
    rows = table(finished)
    ablate(sources, finished, "--no-report", variants="E0,E1,E2,E2-NB")
    assert {file: file.stat().st_mtime_ns for file in finished.glob("runs/*/checkpoints/*")} == before
    assert table(finished) == rows
    shown = capsys.readouterr().out
    assert "| E2-NB" in shown
    assert f"{float(rows['E0']['mIoU']):.3f} ± {float(rows['E0']['mIoU_sd']):.3f}" in shown


def test_a_killed_ablation_goes_on(sources, finished, tmp_path, monkeypatch):
    train, calls = variant_runs.train, []

    def killed_at_the_third(run):
        calls.append(run.output_dir.name)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return train(run)

    monkeypatch.setattr(variant_runs, "train", killed_at_the_third)
    ablate(sources, tmp_path / "out", "--no-report", expected=1)
    assert calls == ["e0_0", "e2_0", "e0_1"]
    assert not (tmp_path / "out" / "ablation.csv").exists()
    monkeypatch.setattr(variant_runs, "train", train)
    ablate(sources, tmp_path / "out", "--no-report")
    again, whole = table(tmp_path / "out"), table(finished)
    for name in ("E0", "E2"):
        assert {**again[name], "seconds": "", "seconds_sd": ""} == {
            **whole[name],
            "seconds": "",
            "seconds_sd": "",
        }


def test_one_that_fails_is_told_and_the_rest_goes_on(sources, tmp_path, capsys):
    ablate(sources, tmp_path, "--no-report", variants="E1", seeds=1)
    ablate(sources, tmp_path, "--no-report", "optimizer.lr=1e-4", variants="E1,E2", seeds=1, expected=1)
    told = capsys.readouterr()
    assert "Failed: E1, seed 0: " in told.err
    assert "optimizer.lr was 0.005, is 0.0001" in told.err
    assert "E1 failed; see the messages above" in told.err
    assert "| E2 " in told.out
    assert list(table(tmp_path)) == ["E2"]
    [failure] = json.loads((tmp_path / "ablation.json").read_text())["failures"]
    assert (failure["variant"], failure["seed"]) == ("E1", 0)


def test_labels_that_cannot_be_built_cost_their_variants_only(sources, tmp_path, capsys):
    rows = rows_of(sources)
    rows[2]["mask_path"] = ""  # this tile has no mask: the set of masks alone lacks it
    lacking = write_sources(tmp_path / "sources.csv", rows)
    ablate(lacking, tmp_path / "out", "--no-report", variants="E0,E1", seeds=1, expected=1)
    told = capsys.readouterr()
    assert "Failed: E0: label set 'mask': tile t2 failed" in told.err
    assert list(table(tmp_path / "out")) == ["E1"]


@pytest.mark.parametrize(
    ("variants", "more", "expected"),
    [
        (
            "E2,E3,E4-AEF",
            (),
            "E3 needs embeddings (--aef-hf-dir), E4-AEF needs embeddings (--aef-gcs-dir); give",
        ),
        ("E0,E1,E5", ("--no-mask",), "E0 needs a mask (--mask-key), E5 needs a mask (--mask-key); give"),
        ("E6", (), "there is no 'E6'"),
        ("E1", ("method.e_wram=2",), "method.e_wram: is an option of no method; did you mean method.e_warm?"),
        ("E1", ("optimiser.lr=2",), "unknown key optimiser"),
        ("E1", ("--reference-key", "thruth_path"), "is it 'truth_path'?"),
    ],
)
def test_refused_before_anything_is_built(sources, tmp_path, capsys, variants, more, expected):
    ablate(sources, tmp_path / "out", *more, variants=variants, expected=1)
    assert expected in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_without_a_mask_a_reference_is_needed(sources, tmp_path, capsys):
    with pytest.raises(SystemExit) as left:
        main(["ablate", str(sources), "--output-dir", str(tmp_path / "o"), "--num-classes", "2", "--no-mask"])
    assert left.value.code == 1
    assert "--no-mask: leaves nothing to measure against; give --reference-key" in capsys.readouterr().err


def test_embeddings_by_tile_patches_twins_and_a_configuration_of_ones_own(sources, tmp_path):
    vectors = np.random.default_rng(1).normal(size=(6, 64)).astype(np.float32)
    (tmp_path / "aef").mkdir()
    for index, vector in enumerate(vectors):
        np.save(tmp_path / "aef" / f"t{index}.npy", vector / np.linalg.norm(vector))
    own = tmp_path / "own.yaml"
    own.write_text(
        "num_classes: 9\nmethod: {name: supervised, e_warm: 7}\n"
        "model: {_target_: torch.nn.Conv2d, in_channels: 2, out_channels: 2, kernel_size: 1}\n"
        "optimizer: {_target_: torch.optim.SGD, lr: 0.1}\n"
        "train_dataset: {input_csv_path: none.csv, w_conf_key: nothing, image_scale: 250}\n"
    )
    more = ("--aef-hf-dir", str(tmp_path / "aef"), "--config", str(own), "--both-borders")
    more += ("--patch-size", "8", "--no-report")
    ablate(sources, tmp_path / "out", *more, variants="E3,CoT-Curr", seeds=1)
    assert list(table(tmp_path / "out")) == ["E3", "E3-NB", "CoT-Curr", "CoT-Curr-NB"]
    content = json.loads((tmp_path / "out" / "ablation.json").read_text())
    assert content["borders"] == [
        {"with": "E3", "without": "E3-NB"},
        {"with": "CoT-Curr", "without": "CoT-Curr-NB"},
    ]
    state = json.loads((tmp_path / "out" / "runs" / "cot_curr_0" / "run.json").read_text())["identity"]
    assert state["method"]["e_warm"] == 7
    assert state["num_classes"] == 2
    assert state["model"]["_target_"] == "torch.nn.Conv2d"
    assert state["train_dataset"]["_target_"] == "coteach.SoftLabelWindowedDataset"
    assert state["train_dataset"]["image_scale"] == 250
    assert state["train_dataset"]["w_conf_key"] == "w_conf_path"


def result(variant, mean_iou, seed=0):
    figures = Accuracy(0.5, mean_iou, 0.5, np.array([mean_iou, np.nan]), np.eye(2, dtype=np.int64))
    return Result(variant, seed, {"test": figures}, 10.0, Path(variant))


def test_pairs_and_tables_by_hand():
    results = [result("E2-NB", 0.50), result("E2-NB", 0.54, 1), result("E2", 0.60), result("E2", 0.62, 1)]
    chosen = [VARIANTS[name] for name in ("E1", "E2-NB", "E2")]
    comparison = Comparison(chosen, results, [], ["wood", "lake"])
    assert border_rows(comparison) == [
        {
            "with border": "E2",
            "mIoU with": "0.610 ± 0.014",
            "without border": "E2-NB",
            "mIoU without": "0.520 ± 0.028",
            "difference": "+0.090",
        }
    ]
    rows = text_rows(comparison)
    assert [row["variant"] for row in rows] == ["E2-NB", "E2"]  # E1 has no result
    assert (rows[0]["wood"], rows[0]["lake"]) == ("0.520 ± 0.028", "-")  # no lake anywhere
    lines = markdown(rows).splitlines()
    assert len({len(line) for line in lines}) == 1
    assert lines[1].startswith("| ------- | ")
    assert "----: |" in lines[1]
    [cells] = csv.reader([lines[2].strip("| ")], delimiter="|", skipinitialspace=True)
    assert [cell.strip() for cell in cells] == list(rows[0].values())
