"""``coteach predict`` of runs whose images have one label each: a table of classes and probabilities."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from coteach.cli.main import main
from coteach.cli.runs import config_of, load_trained
from coteach.cli.targets import TargetResolver

NAMES = ["blue", "green", "red"]
HEIGHT, WIDTH = 8, 6
MEAN, STD = 0.4, 0.25


def coteach(*args) -> int:
    with pytest.raises(SystemExit) as ended:
        main([str(arg) for arg in args])
    return ended.value.code or 0


def picture(seed: int, size=(9, 7), bands: int = 3) -> Image.Image:
    values = np.random.default_rng(seed).integers(0, 256, (*size, bands), np.uint8)
    return Image.fromarray(values[..., 0] if bands == 1 else values)


def train(folder: Path, **changes) -> Path:
    augmentations = [
        {"_target_": "albumentations.HorizontalFlip", "p": 1.0},
        {"_target_": "albumentations.Normalize", "mean": [MEAN] * 3, "std": [STD] * 3},
    ]
    content = {
        "method": {"name": "co_teaching", "e_warm": 1, "p_start": 1.0, "p_end": 1.0, "inference": "mean"},
        "num_classes": 3,
        "model": {"_target_": "coteach.models.SmallMobileNet", "num_classes": 3, "in_channels": 3},
        "optimizer": {"_target_": "torch.optim.Adam", "lr": 0.02},
        "train_dataset": {
            "_target_": "coteach.ImageFolderDataset",
            "root": str(folder / "train"),
            "image_size": [HEIGHT, WIDTH],
            "augmentation_list": augmentations,
        },
        "data_loader": {"batch_size": 3},
        "trainer": {"max_epochs": 1, "accelerator": "cpu"},
        "output_dir": str(folder / "run"),
    }
    (folder / "conf.yaml").write_text(yaml.safe_dump(content | changes))
    assert coteach("train", folder / "conf.yaml", "--quiet") == 0
    return folder / "run"


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    for code, name in enumerate(NAMES):
        (folder / "train" / name).mkdir(parents=True)
        for index in range(3):
            picture(10 * code + index).save(folder / "train" / name / f"{index}.png")
    run = train(folder)
    for file in (folder / "train").rglob("*.png"):
        file.unlink()  # predictions need no training set
    return run


@pytest.fixture(scope="module")
def grey_run(tmp_path_factory):
    """One network, trained on arrays of one band and of one size, classes without names."""
    folder = tmp_path_factory.mktemp("arrays")
    images = np.stack([np.asarray(picture(seed, (8, 8), 1)) for seed in range(6)])
    np.savez(folder / "set.npz", images=images, labels=np.arange(6) % 3)
    return train(
        folder,
        method={"name": "supervised"},
        model={"_target_": "coteach.models.SmallMobileNet", "num_classes": 3, "in_channels": 1},
        train_dataset={"_target_": "coteach.ArrayDataset", "images": str(folder / "set.npz")},
    )


@pytest.fixture
def predict(run_dir, tmp_path):
    def run(*args):
        options = ("--output-dir", tmp_path / "out", "--checkpoint", "last")
        return coteach("predict", run_dir, *options, *args)

    return run


def rows_of(folder: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((folder / "predictions.csv").read_text().splitlines()))


def method_of(run: Path):
    return load_trained(config_of(run), TargetResolver(), run / "checkpoints" / "last.ckpt")


def by_hand(run: Path, file: Path) -> tuple[np.ndarray, np.ndarray]:
    """What networks a and b say of a picture, by Pillow and torch alone."""
    resized = Image.open(file).convert("RGB").resize((WIDTH, HEIGHT), Image.Resampling.BILINEAR)
    shown = (np.asarray(resized, np.float32) / 255 - MEAN) / STD
    image = torch.from_numpy(shown.transpose(2, 0, 1).astype(np.float32))[None]
    networks = method_of(run).networks
    with torch.no_grad():
        a, b = (networks[name](image).softmax(1)[0].numpy() for name in "ab")
    return a, b


def test_files_folders_and_tables_are_classified_in_order_as_the_networks_do(
    run_dir, predict, tmp_path, capsys
):
    folder = tmp_path / "new"
    for number, name in enumerate(["b.png", "a.JPG", "deep/er/c.bmp", ".hidden/d.png"]):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        picture(100 + number, (12 + number, 20)).save(folder / name)
    (folder / "notes.txt").write_text("no picture")
    picture(200, bands=1).save(tmp_path / "grey.png")
    picture(201).save(tmp_path / "no_ending", "PNG")
    (tmp_path / "t.csv").write_text("id,path\n1,new/b.png\n2,grey.png\n")
    assert predict(tmp_path / "no_ending", folder, tmp_path / "t.csv") == 0
    told = capsys.readouterr()
    assert told.out == f"images: 6 predicted, 0 failed: {tmp_path / 'out' / 'predictions.csv'}\n"
    assert told.err == ""
    rows = rows_of(tmp_path / "out")
    expected = ["no_ending", "new/a.JPG", "new/b.png", "new/deep/er/c.bmp", "new/b.png", "grey.png"]
    assert [row["path"] for row in rows] == [f"../{name}" for name in expected]
    assert list(rows[0]) == ["path", "class", "probability", *NAMES, "disagreement"]
    for row in rows:
        a, b = by_hand(run_dir, tmp_path / "out" / row["path"])
        probs = (a + b) / 2
        np.testing.assert_allclose([float(row[name]) for name in NAMES], probs, atol=2e-6)
        assert row["class"] == NAMES[probs.argmax()]
        assert row["probability"] == row[row["class"]]
        assert float(row["disagreement"]) == pytest.approx(np.abs(a - b).sum() / 2, abs=2e-6)
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["predictions.csv"]


def test_a_data_set_of_the_same_images_gets_the_same_answers(run_dir, predict, tmp_path):
    """The table of predictions is one of a data set itself."""
    from coteach import ImageTableDataset
    from coteach.training.image_inference import predict_images

    for number in range(4):
        picture(number, (8 + number, 9)).save(tmp_path / f"{number}.png")
    assert predict(*(tmp_path / f"{number}.png" for number in (2, 0, 3, 1)), "--quiet") == 0
    node = config_of(run_dir).train_dataset
    dataset = ImageTableDataset(
        tmp_path / "out" / "predictions.csv",
        label_key="class",
        class_names=NAMES,
        image_size=node["image_size"],
        augmentation_list=[
            TargetResolver().build(one, "transform", "list") for one in node["augmentation_list"]
        ],
    )
    found = predict_images(method_of(run_dir), dataset)
    rows = rows_of(tmp_path / "out")
    np.testing.assert_allclose(
        [[float(row[name]) for name in NAMES] for row in rows], found.probs, rtol=1e-5, atol=1e-6
    )
    assert found.labels.tolist() == found.classes.tolist()


def test_batches_of_any_size_and_a_column_of_another_name(predict, tmp_path):
    files = [tmp_path / f"{number}.png" for number in range(7)]
    for number, file in enumerate(files):
        picture(number).save(file)
    (tmp_path / "t.csv").write_text("picture\n" + "".join(f"{file.name}\n" for file in files))
    found = []
    for size in (1, 3, 7, 64):
        assert predict(tmp_path / "t.csv", "--image-key", "picture", "--batch-size", size, "--quiet") == 0
        found.append([[float(row[name]) for name in NAMES] for row in rows_of(tmp_path / "out")])
    for other in found[1:]:
        np.testing.assert_allclose(other, found[0], rtol=1e-4, atol=1e-5)


def test_what_cannot_be_read_is_named_and_the_rest_is_done(predict, tmp_path, capsys):
    folder = tmp_path / "new"
    folder.mkdir()
    for name in ("a", "c"):
        picture(1, (40, 40)).save(folder / f"{name}.png")
    (folder / "b.png").write_bytes((folder / "a.png").read_bytes()[:400])
    (folder / "d.png").write_text("no picture")
    (tmp_path / "t.csv").write_text("path\nnew/a.png\ngone.png\n")
    assert predict(folder, tmp_path / "t.csv") == 1
    told = capsys.readouterr()
    assert "images: 3 predicted, 3 failed" in told.out
    errors = told.err.splitlines()
    assert len(errors) == 4
    for error, name in zip(errors, ("new/b.png", "new/d.png", "gone.png"), strict=False):
        assert error.startswith(f"Failed: {tmp_path / name}: ")
        assert "on_error" not in error
    assert "3 of 6 images failed; correct what" in errors[-1]
    assert [row["path"] for row in rows_of(tmp_path / "out")] == [
        "../new/a.png",
        "../new/c.png",
        "../new/a.png",
    ]
    failed = list(csv.DictReader((tmp_path / "out" / "failures.csv").read_text().splitlines()))
    assert [row["path"] for row in failed] == ["../new/b.png", "../new/d.png", "../gone.png"]
    assert predict(folder / "a.png") == 0
    assert not (tmp_path / "out" / "failures.csv").exists()


def test_one_network_without_names_or_a_size(grey_run, tmp_path, capsys):
    """No column of disagreement; colours become grey; all pictures must have the size of the first."""
    picture(1, (8, 8)).save(tmp_path / "a.png")
    picture(2, (9, 8)).save(tmp_path / "b.png")
    picture(3, (8, 8)).save(tmp_path / "c.png")
    files = [tmp_path / f"{name}.png" for name in "abc"]
    options = ("--output-dir", tmp_path / "out", "--checkpoint", "last")
    assert coteach("predict", grey_run, *files, *options) == 1
    error = capsys.readouterr().err
    assert "b.png: is 9 x 8 pixels where others are 8 x 8; predict it by itself, or train with" in error
    rows = rows_of(tmp_path / "out")
    assert list(rows[0]) == ["path", "class", "probability", "class 0", "class 1", "class 2"]
    network = method_of(grey_run).networks["a"]
    for row, name in zip(rows, "ac", strict=True):
        values = np.asarray(Image.open(tmp_path / f"{name}.png").convert("L"), np.float32) / 255
        with torch.no_grad():
            probs = network(torch.from_numpy(values)[None, None]).softmax(1)[0].numpy()
        np.testing.assert_allclose([float(row[f"class {c}"]) for c in range(3)], probs, atol=2e-6)


def test_a_name_that_is_no_text_loses_nothing(predict, tmp_path):
    picture(1).save(tmp_path / "a.png")
    no_text = tmp_path / os.fsdecode(b"\xff.png")
    (tmp_path / "a.png").rename(no_text)
    assert predict(no_text, "--quiet") == 0
    assert [row["path"] for row in rows_of(tmp_path / "out")] == ["../\\udcff.png"]


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["{}/none.png"], "none.png: does not exist; give a picture, a folder of pictures or a CSV"),
        (["{}/empty"], "holds no picture (.png"),
        (
            ["{}/set.npz"],
            "set.npz: holds arrays, which have no files of their own to be named; give pictures",
        ),
        (["{}/other.csv"], "other.csv: no column 'path' (is it 'paths'?)"),
        (["{}/blank.csv"], "path is empty"),
        (["{}/bare.csv"], "has no rows"),
        (["{}/a.png", "--window", "512"], "--window: is for maps; this run classifies whole images"),
        (["{}/a.png", "--tta", "none"], "--tta: is for maps"),
        (["{}/a.png", "--disagreement"], "--disagreement: is for maps; of whole images it is told wherever"),
        (["{}/a.png", "--score", "0.3"], "--score: is for runs of detection"),
        (["{}/a.png", "--image-dir", "x"], "--image-dir: is for runs of detection"),
        (["{}/a.png", "--batch-size", "0"], "--batch-size: 0 is below 1"),
        (["{}/a.png", "--checkpoint", "first"], "first.ckpt: no such checkpoint"),
        (["{}/predictions.csv", "--output-dir", "{}"], "its predictions.csv is a table of images, too"),
        (["{}/empty", "--output-dir", "{}/empty"], "is a folder of scenes, too"),
        (["{}/a.png", "--output-dir", "{}/a.png/out"], "cannot be written"),
    ],
)
def test_what_is_refused_before_anything_is_done(predict, tmp_path, capsys, args, message):
    (tmp_path / "empty").mkdir()
    picture(1).save(tmp_path / "a.png")
    for name, text in (("other", "paths\na.png\n"), ("blank", "path,b\n ,1\n"), ("bare", "path\n")):
        (tmp_path / f"{name}.csv").write_text(text)
    (tmp_path / "predictions.csv").write_text("path\na.png\n")
    before = sorted(tmp_path.rglob("*"))
    assert predict(*(arg.format(tmp_path) for arg in args)) == 1
    error = capsys.readouterr().err
    assert message in error
    assert len(error.splitlines()) == 1
    assert sorted(tmp_path.rglob("*")) == before


def test_a_run_on_arrays_that_no_picture_can_be(grey_run, tmp_path, capsys):
    content = yaml.safe_load((grey_run / "config.yaml").read_text())
    content["train_dataset"]["image_scale"] = 16
    other = tmp_path / "run"
    (other / "checkpoints").mkdir(parents=True)
    (other / "config.yaml").write_text(yaml.safe_dump(content))
    (other / "checkpoints" / "last.ckpt").write_bytes((grey_run / "checkpoints" / "last.ckpt").read_bytes())
    picture(1).save(tmp_path / "a.png")
    options = ("--output-dir", tmp_path / "out", "--checkpoint", "last")
    assert coteach("predict", other, tmp_path / "a.png", *options) == 1
    assert "train_dataset: its arrays are divided by image_scale 16, pictures by" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
