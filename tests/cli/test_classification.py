"""``coteach train``, ``evaluate`` and ``report`` on images with one label each; what bad input says."""

from __future__ import annotations

import json
import re
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from coteach.cli.main import main
from coteach.report.logs import read_log

NAMES = ("blue", "green", "red")
SIZE = 8


def picture(rng, code) -> np.ndarray:
    image = rng.integers(0, 100, (SIZE, SIZE, 3), np.uint8)
    image[..., 2 - code] += 120
    return image


def write_images(root: Path, count: int, seed: int = 0) -> Path:
    rng = np.random.default_rng(seed)
    for code, name in enumerate(NAMES):
        (root / name).mkdir(parents=True)
        for index in range(count):
            Image.fromarray(picture(rng, code)).save(root / name / f"{index}.png")
    return root


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sets")
    write_images(folder / "train", 8)
    write_images(folder / "val", 3, seed=1)
    return folder


def folder_node(root: Path, **options) -> dict:
    return {"_target_": "coteach.ImageFolderDataset", "root": str(root), **options}


def config(sets: Path, run: Path, **changes) -> dict:
    return {
        "method": {"name": "supervised"},
        "num_classes": 3,
        "model": {"_target_": "coteach.models.SmallMobileNet", "num_classes": 3, "in_channels": 3},
        "optimizer": {"_target_": "torch.optim.Adam", "lr": 0.02},
        "train_dataset": folder_node(sets / "train"),
        "val_dataset": folder_node(sets / "val"),
        "test_dataset": folder_node(sets / "val"),
        "data_loader": {"batch_size": 8},
        "trainer": {"max_epochs": 4, "accelerator": "cpu", "monitor": "val/BA", "log_images": 1},
        "output_dir": str(run),
    } | changes


def call(*args) -> int:
    with pytest.raises(SystemExit) as left:
        main([str(arg) for arg in args])
    return left.value.code or 0


def train(tmp_path: Path, content: dict) -> int:
    (tmp_path / "conf.yaml").write_text(yaml.safe_dump(content))
    return call("train", tmp_path / "conf.yaml")


def refused(tmp_path, capsys, content) -> str:
    """The error of a training that must not begin."""
    code = train(tmp_path, content)
    error = capsys.readouterr().err
    assert code == 1, error
    assert not Path(content["output_dir"]).exists()
    assert error.startswith("Error: ")
    return error


@pytest.fixture(scope="module")
def trained(sets, tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    assert train(folder, config(sets, folder / "run")) == 0
    return folder / "run"


def test_each_epoch_is_told_where_there_is_no_terminal(sets, tmp_path, capsys):
    assert train(tmp_path, config(sets, tmp_path / "run")) == 0
    told = [line.rsplit(", ", 1) for line in capsys.readouterr().err.splitlines()]
    figures = read_log(tmp_path / "run").figures
    pairs = zip(figures["train/loss_epoch"].values(), figures["val/BA"].values(), strict=True)
    assert [line for line, _ in told] == [
        f"epoch {epoch}/4: train/loss {loss:.4g}, val/BA {accuracy:.4g}"
        for epoch, (loss, accuracy) in enumerate(pairs, start=1)
    ]
    assert all(re.fullmatch(r"\d+ s", seconds) for _, seconds in told)


def test_quiet_tells_of_no_epoch(sets, tmp_path, capsys):
    (tmp_path / "conf.yaml").write_text(
        yaml.safe_dump(config(sets, tmp_path / "run", trainer={"max_epochs": 1, "accelerator": "cpu"}))
    )
    assert call("train", tmp_path / "conf.yaml", "--quiet") == 0
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == ("", "")


def test_a_plateau_waits_in_epochs_without_validation(sets, tmp_path, capsys):
    content = config(sets, tmp_path / "run")
    content["scheduler"] = {
        "_target_": "torch.optim.lr_scheduler.ReduceLROnPlateau",
        "patience": 0,
        "threshold": 1e9,
    }
    content["trainer"] |= {"check_val_every_n_epoch": 2, "max_epochs": 4}
    assert train(tmp_path, content) == 0, capsys.readouterr().err
    kept = torch.load(tmp_path / "run" / "checkpoints" / "last.ckpt", weights_only=True)
    assert kept["optimizer_states"][0]["param_groups"][0]["lr"] == pytest.approx(0.02 / 100)  # lowered twice


def test_training_keeps_the_names_of_the_folders_and_logs_balanced_accuracy(trained):
    assert yaml.safe_load((trained / "config.yaml").read_text())["class_names"] == list(NAMES)
    figures = list(read_log(trained).figures["val/BA"].values())
    assert len(figures) == 4
    assert all(0 <= figure <= 1 for figure in figures)


def test_evaluation_counts_as_a_plain_loop_over_the_files_does(trained, sets, capsys):
    assert call("evaluate", trained, "--top-k", "1", "--top-k", "3", "--checkpoint", "last") == 0
    shown = capsys.readouterr().out
    found = json.loads((trained / "evaluation.json").read_text())

    from coteach.cli.config import load_config
    from coteach.cli.runs import load_trained
    from coteach.cli.targets import TargetResolver

    method = load_trained(
        load_config(trained / "config.yaml"), TargetResolver(), trained / "checkpoints" / "last.ckpt"
    )
    import torch

    expected = np.zeros((3, 3), int)
    for code, name in enumerate(NAMES):
        for file in sorted((sets / "val" / name).iterdir()):
            image = torch.from_numpy(np.asarray(Image.open(file)).transpose(2, 0, 1) / 255).float()
            with torch.no_grad():
                expected[code, int(method.networks["a"](image[None]).argmax())] += 1
    assert found["confusion"] == expected.tolist()
    assert found["OA"] == pytest.approx(np.trace(expected) / 9)
    assert found["BA"] == pytest.approx((np.diag(expected) / 3).mean())
    assert (found["top-1"], found["top-3"]) == (found["OA"], 1.0)
    assert (found["images"], found["skipped"]) == (9, [])
    assert re.search(r"OA \d\.\d{4}   BA \d\.\d{4}   top-1 .*top-3 1\.0000", shown)
    assert all(name in shown for name in NAMES)


def test_the_report_shows_images_not_pixels(trained, tmp_path, capsys):
    assert call("report", trained, "--output", tmp_path / "r.html") == 0, capsys.readouterr().err
    page = (tmp_path / "r.html").read_text()
    for part in ("balanced accuracy", "images counted", "recall", "Validation balanced accuracy", *NAMES):
        assert part in page
    assert "IoU" not in page
    assert not re.search(r"of the pixels|pixels counted|>pixels<|right pixels", page)


def test_options_of_maps_are_refused_for_images(trained, capsys):
    for command in ("evaluate", "report"):
        assert call(command, trained, "--reference", "truth.tif") == 1
        assert "--reference: is for maps; images are measured against their labels" in capsys.readouterr().err
    assert call("evaluate", trained, "--top-k", "4") == 1
    assert "top-k: 4 of 3 classes; give 1 to 3" in capsys.readouterr().err


def test_figures_that_cannot_be_written_are_not_worked_out(trained, tmp_path, monkeypatch, capsys):
    assert call("evaluate", trained, "--output", tmp_path / "new" / "deep" / "e.json", "--quiet") == 0
    assert json.loads((tmp_path / "new" / "deep" / "e.json").read_text())["images"] == 9
    (tmp_path / "file").write_text("")
    monkeypatch.setattr("coteach.cli.evaluate_images.measure_images", None)
    monkeypatch.setattr("coteach.cli.report_page.make_report", None)
    for command, place in (("evaluate", "file/e.json"), ("evaluate", "new"), ("report", "file/r.html")):
        assert call(command, trained, "--output", tmp_path / place) == 1
        error = capsys.readouterr().err
        assert f"Error: --output {tmp_path / place}: " in error
        assert ("is a folder" if place == "new" else "cannot be written (Not a directory)") in error


def test_a_table_trains_to_the_same_numbers_and_goes_on(sets, trained, tmp_path, capsys):
    """A CSV of the same files in the same order, with names as labels, is the same data."""
    for part in ("train", "val"):
        files = sorted((sets / part).rglob("*.png"))
        rows = [f"{file.relative_to(sets)},{file.parent.name}" for file in files]
        (tmp_path / f"{part}.csv").write_text("path,label\n" + "\n".join(rows) + "\n")
    node = {"_target_": "coteach.ImageTableDataset", "root": str(sets), "class_names": list(NAMES)}
    content = config(
        sets,
        tmp_path / "run",
        train_dataset=node | {"input_csv_path": str(tmp_path / "train.csv")},
        val_dataset=node | {"input_csv_path": str(tmp_path / "val.csv")},
    )
    content["trainer"] |= {"max_epochs": 1}
    assert train(tmp_path, content) == 0
    content["trainer"] |= {"max_epochs": 4}
    assert train(tmp_path, content) == 0
    losses = [read_log(run).figures["val/loss"] for run in (tmp_path / "run", trained)]
    assert losses[0] == losses[1]
    (tmp_path / "train.csv").write_text((tmp_path / "train.csv").read_text().replace(",red", ",blue", 1))
    capsys.readouterr()
    assert train(tmp_path, content) == 1
    assert "train_dataset" in capsys.readouterr().err  # other labels are another run


def test_co_teaching_learns_from_arrays_with_wrong_labels(tmp_path, capsys):
    rng = np.random.default_rng(3)
    codes = np.arange(60) % 3
    images = np.stack([picture(rng, code) for code in codes])
    noisy = codes.copy()
    noisy[:12] = (noisy[:12] + 1) % 3
    np.savez(tmp_path / "set.npz", images=images, labels=noisy, clean=codes)
    node = {"_target_": "coteach.ArrayDataset", "images": str(tmp_path / "set.npz"), "num_classes": 3}
    method = {"name": "co_teaching", "e_warm": 1, "p_start": 1.0, "p_end": 1.0, "forget_end": 0.2}
    clean = node | {"labels": str(tmp_path / "set.npz"), "labels_key": "clean"}
    content = config(
        tmp_path,
        tmp_path / "run",
        method=method,
        train_dataset=node,
        val_dataset=clean,
        test_dataset=clean,
        class_names=list(NAMES),
    )
    content["trainer"] |= {"max_epochs": 6}
    assert train(tmp_path, content) == 0
    assert call("evaluate", tmp_path / "run", "--checkpoint", "last", "--quiet") == 0
    assert json.loads((tmp_path / "run" / "evaluation.json").read_text())["BA"] > 0.9


# -- bad input ------------------------------------------------------------------------------------------------


def arrays(tmp_path, images, labels) -> dict:
    np.savez(tmp_path / "bad.npz", images=images, labels=labels)
    return {"_target_": "coteach.ArrayDataset", "images": str(tmp_path / "bad.npz")}


def test_labels_outside_the_classes(sets, tmp_path, capsys):
    node = arrays(tmp_path, np.zeros((6, 8, 8, 3), np.uint8), [0, 1, 2, 3, 255, 1])
    error = refused(tmp_path, capsys, config(sets, tmp_path / "run", train_dataset=node))
    assert "train_dataset: " in error
    assert "bad.npz, item 3: its label 3 is not one of 0 to 2 (2 such labels); correct it or num_cl" in error


def test_labels_outside_the_classes_in_a_data_set_of_another_package(sets, tmp_path, capsys, monkeypatch):
    (tmp_path / "strangers.py").write_text(
        "import torch\n"
        "from torch.utils.data import Dataset\n"
        "class Codes(Dataset):\n"
        "    def __init__(self, last): self.targets = [0, 1, 2, 1, 0, last]\n"
        "    def __len__(self): return 6\n"
        "    def __getitem__(self, index): return torch.ones(3, 8, 8), self.targets[index]\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    content = config(
        sets, tmp_path / "run", train_dataset={"_target_": "strangers.Codes", "last": 7}, val_dataset=None
    )
    (tmp_path / "conf.yaml").write_text(yaml.safe_dump(content))
    command = ("train", str(tmp_path / "conf.yaml"), "--allow-target", "strangers")
    assert call(*command) == 1
    told = capsys.readouterr().err
    assert "Codes, item 5" in told
    assert "7" in told
    assert not (tmp_path / "run").exists()
    assert call(*command, "train_dataset.last=2") == 0


def test_images_that_hold_nan(sets, tmp_path, capsys):
    images = np.zeros((6, 8, 8, 3), np.float32)
    images[4, 0, 0, 0] = np.nan
    node = arrays(tmp_path, images, [0, 1, 2, 0, 1, 2])
    error = refused(tmp_path, capsys, config(sets, tmp_path / "run", train_dataset=node))
    assert "bad.npz, item 4: holds NaN or infinity; replace the image or leave it out" in error


def test_an_empty_class_folder(sets, tmp_path, capsys):
    write_images(tmp_path / "set", 1)
    (tmp_path / "set" / "red" / "0.png").unlink()
    content = config(sets, tmp_path / "run", train_dataset=folder_node(tmp_path / "set"))
    assert f"{tmp_path / 'set' / 'red'}: is an empty class folder; add" in refused(tmp_path, capsys, content)


def test_a_missing_class_folder_does_not_move_the_others(sets, tmp_path, capsys):
    write_images(tmp_path / "set", 1)
    (tmp_path / "set" / "green" / "0.png").unlink()
    (tmp_path / "set" / "green").rmdir()
    content = config(sets, tmp_path / "run", val_dataset=folder_node(tmp_path / "set"))
    error = refused(tmp_path, capsys, content)
    assert "val_dataset: has 2 classes (blue, red), num_classes is 3" in error
    write_images(tmp_path / "other" / "x", 1)
    (tmp_path / "other" / "x" / "green").rename(tmp_path / "other" / "x" / "a_green")
    content["val_dataset"] = folder_node(tmp_path / "other" / "x")
    error = refused(tmp_path, capsys, content)
    assert (
        "val_dataset: 'blue' is class 1 here, in the training set it is class 0; give class_names: [blue,"
        in error
    )
    (tmp_path / "other" / "x" / "a_green").rename(tmp_path / "other" / "x" / "grene")
    error = refused(tmp_path, capsys, content)
    assert "val_dataset: class 1 is 'grene' here, in the training set it is 'green'; name it" in error


def test_names_of_the_run_are_those_of_the_training_set(sets, tmp_path, capsys):
    """Predictions are told by the names of the run: in another order they would be those of other classes."""
    content = config(sets, tmp_path / "run", class_names=["red", "green", "blue"])
    error = refused(tmp_path, capsys, content)
    told = "class_names: 'red' is class 0 here, in the training set it is class 2; give [blue, green, red]"
    assert told in error


def test_a_run_with_names_of_its_own_is_evaluated(sets, tmp_path, capsys):
    content = config(sets, tmp_path / "run", class_names=["blau", "grün", "rot"])
    content["trainer"] |= {"max_epochs": 1}
    assert train(tmp_path, content) == 0
    assert call("evaluate", tmp_path / "run", "--dataset", "val_dataset") == 0, capsys.readouterr().err
    assert "grün" in capsys.readouterr().out
    assert call("report", tmp_path / "run", "--output", tmp_path / "r.html") == 0


def test_one_class_only(sets, tmp_path, capsys):
    node = arrays(tmp_path, np.zeros((6, 8, 8, 3), np.uint8), [2] * 6)
    error = refused(tmp_path, capsys, config(sets, tmp_path / "run", train_dataset=node))
    assert "train_dataset: its labels hold only class 2; give labels of at least two classes" in error
    node = arrays(tmp_path, np.zeros((6, 8, 8, 3), np.uint8), [-1] * 6)
    error = refused(tmp_path, capsys, config(sets, tmp_path / "run", train_dataset=node))
    assert "its labels hold no class at all" in error
    error = refused(tmp_path, capsys, config(sets, tmp_path / "run", val_dataset=node))
    assert "val_dataset: none of its images has a label; label some of them, or leave it out" in error


def test_labels_without_weight_teach_nothing(sets, tmp_path, capsys):
    node = arrays(tmp_path, np.zeros((6, 8, 8, 3), np.uint8), [0, 1, 2] * 2)
    np.savez(tmp_path / "weights.npz", weights=[0.5, 0, 0] * 2)
    node["weights"] = str(tmp_path / "weights.npz")
    error = refused(tmp_path, capsys, config(sets, tmp_path / "run", train_dataset=node))
    assert "train_dataset: its labels hold only class 0 with a weight above 0; give labels of at" in error


def test_a_class_without_labels_is_told(sets, tmp_path, capsys):
    node = arrays(tmp_path, np.zeros((6, 8, 8, 3), np.uint8), [0, 2] * 3)
    assert train(tmp_path, config(sets, tmp_path / "run", train_dataset=node, val_dataset=None)) == 0
    assert "Warning: train_dataset: no image is labelled as class 1" in capsys.readouterr().err


def test_unreadable_rows_of_a_table(sets, tmp_path, capsys):
    (tmp_path / "t.csv").write_text("path,label\nblue/0.png,0\nblue/1.png,blue\nred/0.png\ngreen/0.png,7\n")
    node = {
        "_target_": "coteach.ImageTableDataset",
        "input_csv_path": str(tmp_path / "t.csv"),
        "root": str(sets / "train"),
    }
    error = refused(tmp_path, capsys, config(sets, tmp_path / "run", train_dataset=node))
    assert (
        "2 of 4 rows cannot be read (line 3: label 'blue' is no integer (names need class_names of this data set)"
        in error
    )
    assert "line 4: has 1 cells where the header has 2 columns)" in error
    names = [*NAMES]
    error = refused(
        tmp_path, capsys, config(sets, tmp_path / "r", train_dataset=node | {"class_names": names})
    )
    assert "line 4: has 1 cells" in error
    assert "line 5: label 7 is not one of 0 to 2" in error


@pytest.mark.filterwarnings("always:.*skipped")
def test_a_corrupt_jpeg_is_fatal_or_skipped_and_counted(sets, tmp_path, capsys):
    write_images(tmp_path / "set", 8)
    bad = tmp_path / "set" / "green" / "a.jpg"
    Image.fromarray(picture(np.random.default_rng(0), 1)).resize((64, 64)).save(bad)
    bad.write_bytes(bad.read_bytes()[:300])
    content = config(
        sets,
        tmp_path / "run",
        train_dataset=folder_node(tmp_path / "set", image_size=8),
        test_dataset=folder_node(tmp_path / "set", image_size=8, on_error="skip"),
    )
    content["trainer"] |= {"max_epochs": 1}
    assert train(tmp_path, content) == 1
    error = capsys.readouterr().err
    assert f"{bad}: cannot be read (" in error
    assert "replace or remove it, or set on_error: skip" in error
    content["train_dataset"]["on_error"] = "skip"
    content["output_dir"] = str(tmp_path / "other")
    told = rf"Warning: {re.escape(str(bad))}: cannot be read \(.*\); skipped, 1 of 25 images so far\n"
    assert train(tmp_path, content) == 0
    assert re.search(told, capsys.readouterr().err)
    assert call("evaluate", tmp_path / "other", "--quiet") == 0
    assert re.search(told, capsys.readouterr().err)
    found = json.loads((tmp_path / "other" / "evaluation.json").read_text())
    assert (found["images"], found["skipped"]) == (24, [str(bad)])


@pytest.mark.filterwarnings("always:.*skipped")
def test_missing_files_are_fatal_or_skipped_and_counted(sets, tmp_path, capsys):
    rows = [f"{name}/{index}.png,{code}" for code, name in enumerate(NAMES) for index in range(8)]
    (tmp_path / "t.csv").write_text("\n".join(["path,label", *rows, "red/8.png,2", "red/9.png,2"]))
    node = {"_target_": "coteach.ImageTableDataset", "input_csv_path": str(tmp_path / "t.csv")}
    node["root"] = str(sets / "train")
    missing = f"line 26: {sets / 'train' / 'red' / '8.png'} does not exist; line 27: "
    told = f"{tmp_path / 't.csv'}: 2 of 26 images cannot be read ({missing}"
    for key in ("train_dataset", "val_dataset"):
        error = refused(tmp_path, capsys, config(sets, tmp_path / "run", **{key: node}))
        assert f"Error: {key}: {told}" in error
        assert "correct the paths, or replace or remove the files, or set on_error: skip" in error
    content = config(sets, tmp_path / "run", train_dataset=node | {"on_error": "skip"}, test_dataset=node)
    content["trainer"] |= {"max_epochs": 1}
    assert train(tmp_path, content) == 0
    error = capsys.readouterr().err
    assert f"Warning: {told}" in error
    assert error.count("Warning") == 1
    assert call("evaluate", tmp_path / "run") == 1
    assert f"Error: {told}" in capsys.readouterr().err
    assert not (tmp_path / "run" / "evaluation.json").exists()


@pytest.mark.filterwarnings("always:.*skipped")
def test_missing_files_may_leave_one_class(sets, tmp_path, capsys):
    rows = [f"blue/{index}.png,0" for index in range(8)]
    (tmp_path / "t.csv").write_text("\n".join(["path,label", *rows, "red/9.png,2"]))
    node = {"_target_": "coteach.ImageTableDataset", "input_csv_path": str(tmp_path / "t.csv")}
    node |= {"root": str(sets / "train"), "on_error": "skip"}
    code = train(tmp_path, config(sets, tmp_path / "run", train_dataset=node))
    assert code == 1
    assert "Error: train_dataset: its labels hold only class 0; give labels of at" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_no_full_batch(sets, tmp_path, capsys):
    content = config(sets, tmp_path / "run", data_loader={"batch_size": 25, "drop_last": True})
    error = refused(tmp_path, capsys, content)
    assert (
        "data_loader.drop_last: true leaves no batch: of train there are 24 samples, a batch has 25" in error
    )
    assert "lower data_loader.batch_size to 24 or less, or set it to false" in error


def test_an_output_folder_of_a_variable_that_is_not_set(sets, tmp_path, capsys):
    (tmp_path / "conf.yaml").write_text(yaml.safe_dump(config(sets, tmp_path / "run")))
    assert call("train", tmp_path / "conf.yaml", "output_dir=") == 1
    assert "output_dir: is empty; give the folder of the run" in capsys.readouterr().err


def test_a_batch_of_one_that_batch_norm_cannot_learn_from(sets, tmp_path, capsys):
    node = {
        "_target_": "torchvision.models.shufflenet_v2_x0_5",  # its last maps are 1 x 1 pixels
        "num_classes": 3,
        "weights": None,
    }
    content = config(sets, tmp_path / "run", model=node, data_loader={"batch_size": 23})
    error = refused(tmp_path, capsys, content)
    assert "data_loader.batch_size: 23 leaves one of 24 samples over: BatchNorm cannot be trained on" in error
    assert (
        "set data_loader.drop_last: true (in Python: loader=LoaderOptions(drop_last=True)), or give another batch_size"
        in error
    )
    content["data_loader"] = {"batch_size": 1}
    assert "BatchNorm cannot be trained on single samples" in refused(tmp_path, capsys, content)


@pytest.mark.parametrize("rate", [1.0, -0.1, 3])
def test_forget_rates_that_are_no_shares(sets, tmp_path, capsys, rate):
    method = {"name": "co_teaching", "forget_end": rate}
    error = refused(tmp_path, capsys, config(sets, tmp_path / "run", method=method))
    assert re.search(rf"method\.forget_end: {rate} is outside \[0, 1\)", error), error


def test_a_schedule_longer_than_the_run_is_warned_of(sets, tmp_path, capsys):
    content = config(sets, tmp_path / "run", method={"name": "co_teaching", "e_warm": 5})
    content["trainer"] |= {"max_epochs": 1}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert train(tmp_path, content) == 0
    error = capsys.readouterr().err
    assert "co_teaching: e_warm 5 is longer than the run of 1 epochs, so its schedule never reaches" in error


def test_a_model_for_other_images(sets, tmp_path, capsys):
    content = config(sets, tmp_path / "run")
    content["model"] |= {"in_channels": 1}
    assert "takes images of 1 bands, these have 3; set model.in_channels to 3" in refused(
        tmp_path, capsys, content
    )
    content["model"] = {"_target_": "coteach.models.SmallFCN", "in_channels": 3, "classes": 3}
    assert "gives maps of 8 x 8 pixels" in refused(tmp_path, capsys, content)
