"""``coteach train`` and ``coteach evaluate`` on the real scene, by the command line."""

import csv
import json
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from types import SimpleNamespace

import numpy as np
import pytest
import yaml
from label_rasters import write_map

from coteach import build_soft_labels, generate_training_csv
from coteach.cli.main import main
from coteach.rasters.codes import read_codes
from coteach.rasters.grid import Grid
from coteach.rasters.read import read_image

NAMES = ["developed", "open land", "forest", "water"]


def own_process(*args):
    command = [sys.executable, "-m", "coteach.cli.main", *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def coteach(*args):
    """As ``own_process``, without the seconds that it takes to import everything."""
    said, told, code = StringIO(), StringIO(), 0
    with redirect_stdout(said), redirect_stderr(told):
        try:
            main([str(word) for word in args])
        except SystemExit as left:
            code = int(left.code or 0)
    return SimpleNamespace(returncode=code, stdout=said.getvalue(), stderr=told.getvalue())


@pytest.fixture(scope="module")
def splits(nc_landcover, tmp_path_factory):
    """The untouched land cover as the only source, 64-pixel patches, split by block."""
    folder = tmp_path_factory.mktemp("nc")
    sources = folder / "sources.csv"
    sources.write_text(f"tile_id,image_path,mask_path\nnc,{nc_landcover.image},{nc_landcover.landcover}\n")
    report = build_soft_labels(sources, folder / "soft", 4, patch_size=64, max_workers=1)
    assert report.failures == ()
    return generate_training_csv(report.manifest, folder, by="block", block_size=64).files


def config(splits, folder, **changes):
    def dataset(split):
        return {
            "_target_": "coteach.SoftLabelWindowedDataset",
            "input_csv_path": str(splits[split]),
            "w_conf_key": "w_conf_path",
            "image_scale": 255,
        }

    flips = [{"_target_": "albumentations.HorizontalFlip", "p": 0.5}]
    content = {
        "num_classes": 4,
        "class_names": NAMES,
        "method": {"name": "co_teaching", "e_warm": 2},
        "model": {
            "_target_": "segmentation_models_pytorch.Unet",
            "encoder_name": "resnet18",
            "encoder_weights": None,
            "encoder_depth": 3,
            "decoder_channels": [32, 16, 8],
            "in_channels": 5,
            "classes": 4,
        },
        "optimizer": {"_target_": "torch.optim.AdamW", "lr": 1e-3},
        "scheduler": {"_target_": "torch.optim.lr_scheduler.CosineAnnealingLR", "T_max": 3},
        "train_dataset": dataset("train") | {"augmentation_list": flips},
        "val_dataset": dataset("val"),
        "test_dataset": dataset("test"),
        "data_loader": {"batch_size": 8},
        "trainer": {"max_epochs": 2, "accelerator": "cpu", "gradient_clip_val": 1.0},
        "output_dir": str(folder / "run"),
    }
    path = folder / "conf.yaml"
    path.write_text(yaml.safe_dump(content | changes))
    return path


@pytest.fixture(scope="module")
def run_dir(splits, tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    done = own_process("train", config(splits, folder), "optimizer.lr=2e-3")
    assert done.returncode == 0, done.stderr
    told = [line.split(":")[0] for line in done.stderr.splitlines()]
    assert told == ["epoch 1/2", "epoch 2/2"], done.stderr  # and no warning
    return folder / "run"


def test_train_leaves_checkpoints_logs_and_its_configuration(run_dir):
    assert (run_dir / "checkpoints" / "best.ckpt").is_file()
    assert (run_dir / "checkpoints" / "last.ckpt").is_file()
    assert list(run_dir.glob("tensorboard/*/events*"))
    assert yaml.safe_load((run_dir / "config.yaml").read_text())["optimizer"]["lr"] == 2e-3
    [log] = run_dir.glob("logs/*/metrics.csv")
    rows = list(csv.DictReader(log.read_text().splitlines()))
    assert len([r for r in rows if r["val/mIoU"]]) == 2  # one an epoch
    assert [float(r["train/retention_rate"]) for r in rows if r["train/retention_rate"]] == pytest.approx(
        [0.5, 0.725]
    )
    state = json.loads((run_dir / "run.json").read_text())
    assert state["finished"]
    assert state["packages"]["torch"]


def test_training_again_finds_it_finished(run_dir):
    before = (run_dir / "checkpoints" / "last.ckpt").stat().st_mtime_ns
    again = coteach("train", run_dir / "config.yaml")
    assert again.returncode == 0, again.stderr
    assert (run_dir / "checkpoints" / "last.ckpt").stat().st_mtime_ns == before
    other = coteach("train", run_dir / "config.yaml", "seed=7")
    assert other.returncode == 1
    assert "another configuration" in other.stderr


def test_evaluate_counts_each_pixel_of_the_test_windows_once(run_dir, splits, nc_landcover):
    done = coteach("evaluate", run_dir, "--reference", nc_landcover.landcover, "--checkpoint", "last")
    assert done.returncode == 0, done.stderr
    result = json.loads((run_dir / "evaluation.json").read_text())
    confusion = np.array(result["confusion"])

    # The pixels that are to be counted, by hand: in a window of the test table, with image data and a class.
    shown = np.zeros((443, 489), bool)
    for row in csv.DictReader(splits["test"].read_text().splitlines()):
        y, x, size = (int(row[k]) for k in ("row_off", "col_off", "patch_size"))
        shown[y : y + size, x : x + size] = True
    _, seen = read_image(nc_landcover.image)
    truth = read_codes(nc_landcover.landcover, Grid.of(nc_landcover.image), 4)
    counted = truth[shown & seen & (truth >= 0)]
    assert confusion.sum(1).tolist() == np.bincount(counted, minlength=4).tolist()
    assert result["OA"] == pytest.approx(np.trace(confusion) / confusion.sum())
    for name in NAMES:
        assert name in done.stdout


def test_without_a_reference_it_is_the_argmax_of_p_soft(run_dir, nc_landcover, tmp_path):
    # Here the only source is the land cover itself: both references are the same map.
    own, given = tmp_path / "own.json", tmp_path / "given.json"
    assert coteach("evaluate", run_dir, "--output", own).returncode == 0
    assert (
        coteach("evaluate", run_dir, "--output", given, "--reference", nc_landcover.landcover).returncode == 0
    )
    assert json.loads(own.read_text()) == json.loads(given.read_text())


@pytest.mark.parametrize(
    ("changes", "overrides", "expected"),
    [
        ({}, ["+trainer.max_epoch=3"], "trainer.max_epochs"),
        ({}, ["optimizer._target_=torch.optim.AdmW"], "AdamW"),
        ({}, ["model._target_=os.system"], "allowed package"),
        ({}, ["+model.clases=4"], "did you mean classes?"),
        ({"num_classes": 5, "class_names": None}, [], "4 classes"),
        ({}, ["+method.lamda_reg=0"], "lambda_reg"),
        ({}, ["train_dataset.input_csv_path=none.csv"], "none.csv"),
        ({}, ["optimizer.lr=-1"], "Invalid learning rate"),
    ],
)
def test_bad_configurations_are_refused_before_training(
    splits, tmp_path, changes, overrides, expected, capsys
):
    with pytest.raises(SystemExit) as stopped:
        main(["train", str(config(splits, tmp_path, **changes)), *overrides])
    assert stopped.value.code == 1
    message = capsys.readouterr().err
    assert expected in message
    assert len(message.splitlines()) <= 2
    assert not (tmp_path / "run").exists()


def test_evaluate_names_what_is_missing(run_dir, tmp_path, nc_landcover):
    assert "none" in coteach("evaluate", tmp_path / "none").stderr
    done = coteach("evaluate", run_dir, "--checkpoint", "first")
    assert done.returncode == 1
    assert "first.ckpt" in done.stderr
    both = coteach("evaluate", run_dir, "--reference", nc_landcover.landcover, "--reference-key", "mask_path")
    assert both.returncode == 1
    assert "--reference-key" in both.stderr


@pytest.mark.parametrize(
    "words",
    [
        ["evaluate"],
        ["export", "--format", "torch-export", "--output", "x"],
        ["predict", "--output-dir", "maps"],
    ],
)
def test_a_folder_that_is_no_run_is_refused(words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_map(tmp_path / "scene.tif", np.ones((8, 8), np.uint8))
    scene = ["scene.tif"] if words[0] == "predict" else []
    with pytest.raises(SystemExit) as left:
        main([words[0], str(tmp_path / "runs"), *scene, *words[1:]])
    assert left.value.code == 1
    assert "runs: is no run: it has no config.yaml; give a folder of coteach train" in capsys.readouterr().err
