"""``coteach predict`` on the real scene, with a run that was hardly trained."""

import csv
import json
import os
import re
import shutil

import numpy as np
import pytest
import rasterio
import torch
import yaml
from label_rasters import write_map
from left_files import NO_PROCESS, left_by

from coteach import build_soft_labels, generate_training_csv
from coteach.cli.config import load_config
from coteach.cli.main import main
from coteach.cli.runs import load_trained
from coteach.cli.targets import TargetResolver
from coteach.errors import RasterError

NAMES = ["developed", "open land", "forest", "water"]  # those of the sample's land cover
BANDS = 5


def coteach(*args):
    """The exit code."""
    try:
        main([str(arg) for arg in args])
    except SystemExit as stopped:
        return stopped.code or 0
    return 0


def config(splits, folder, **changes):
    normalize = {"_target_": "albumentations.Normalize", "mean": [0.3] * BANDS, "std": [0.2] * BANDS}
    flip = {"_target_": "albumentations.HorizontalFlip", "p": 0.5}
    content = {
        "num_classes": 4,
        "method": {"name": "co_teaching", "e_warm": 1},
        "model": {"_target_": "coteach.models.SmallFCN", "in_channels": BANDS, "classes": 4, "width": 8},
        "optimizer": {"_target_": "torch.optim.AdamW", "lr": 5e-3},
        "train_dataset": {
            "_target_": "coteach.SoftLabelWindowedDataset",
            "input_csv_path": str(splits["train"]),
            "image_scale": 255,
            "augmentation_list": [flip, normalize],
        },
        "data_loader": {"batch_size": 8},
        "trainer": {"max_epochs": 1, "accelerator": "cpu"},
        "output_dir": str(folder / "run"),
    }
    path = folder / "conf.yaml"
    path.write_text(yaml.safe_dump(content | changes))
    return path


@pytest.fixture(scope="module")
def splits(nc_landcover, tmp_path_factory):
    folder = tmp_path_factory.mktemp("nc")
    sources = folder / "sources.csv"
    sources.write_text(f"tile_id,image_path,mask_path\nnc,{nc_landcover.image},{nc_landcover.landcover}\n")
    report = build_soft_labels(sources, folder / "soft", 4, patch_size=64, max_workers=1)
    return generate_training_csv(report.manifest, folder, by="block", block_size=64).files


@pytest.fixture(scope="module")
def run_dir(splits, tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    assert coteach("train", config(splits, folder), "--quiet") == 0
    return folder / "run"


@pytest.fixture
def predict(run_dir, tmp_path):
    """The command with short windows and the last checkpoint; maps go to ``maps``."""

    def run(*args):
        options = ("--checkpoint", "last", "--window", 128, "--overlap", 32)
        return coteach("predict", run_dir, *args, "--output-dir", tmp_path / "maps", *options)

    return run


def rows_of(path):
    return list(csv.DictReader(path.read_text().splitlines()))


def crop(source, target, *, bands=None, drop_place=False, size=(60, 70)):
    """A piece of an image as a file of its own."""
    with rasterio.open(source) as file:
        window = rasterio.windows.Window(200, 200, size[1], size[0])
        values = file.read(bands, window=window)
        place = (
            {"crs": None, "transform": None} if drop_place else {"crs": file.crs, "transform": file.transform}
        )
    return write_map(target, values, **place)


def test_a_run_on_a_data_set_of_others_needs_none_of_it(run_dir, tmp_path, nc_landcover, capsys):
    other = tmp_path / "other"
    shutil.copytree(run_dir, other)
    text = (other / "config.yaml").read_text()
    assert "coteach.SoftLabelWindowedDataset" in text
    (other / "config.yaml").write_text(text.replace("coteach.SoftLabelWindowedDataset", "ourpackage.Windows"))
    crop(nc_landcover.image, tmp_path / "piece.tif")
    options = ("--checkpoint", "last", "--window", 64, "--overlap", 16)
    assert coteach("predict", other, tmp_path / "piece.tif", "--output-dir", tmp_path / "maps", *options) == 0
    assert "1 predicted" in capsys.readouterr().out


def test_the_whole_scene(run_dir, predict, tmp_path, nc_landcover, capsys):
    assert predict(nc_landcover.image, "--disagreement") == 0
    out = capsys.readouterr()
    assert "1 predicted, 0 up to date, 0 failed" in out.out
    assert out.err == ""
    [row] = rows_of(tmp_path / "maps" / "predictions.csv")
    assert row["tile_id"] == "image"
    with rasterio.open(nc_landcover.image) as image:
        values, seen = image.read(), (image.read_masks() > 0).all(0)
        place = (image.crs, image.transform, image.shape)
    with rasterio.open(tmp_path / "maps" / row["class_path"]) as file:
        classes = file.read(1)
        assert (file.crs, file.transform, file.shape) == place
        assert np.array_equal(file.read_masks(1) > 0, seen)
        assert json.loads(file.tags()["CLASS_NAMES"]) == NAMES  # by way of P_soft, from the sample's map
        with rasterio.open(nc_landcover.landcover) as labels:
            assert [file.colormap(1)[c] for c in range(4)] == [labels.colormap(1)[c] for c in range(4)]
    with rasterio.open(tmp_path / "maps" / row["confidence_path"]) as file:
        confidence, disagreement = file.read()
        assert (file.crs, file.transform, file.shape) == place

    # at once: what is far from the scene's NoData and edge, of the windows' edges too, hardly differs
    method = load_trained(
        load_config(run_dir / "config.yaml"), TargetResolver(), run_dir / "checkpoints" / "last.ckpt"
    )
    shown = (np.where(seen, values, 0) / np.float32(255) - np.float32(0.3)) / np.float32(0.2)
    with torch.inference_mode():
        a, b = (
            method.networks[name](torch.from_numpy(shown.astype(np.float32))[None]).softmax(1)[0].numpy()
            for name in "ab"
        )
    assert np.abs(confidence - a.max(0))[seen].mean() < 1e-3
    assert (classes == a.argmax(0))[seen].mean() > 0.999
    assert np.abs(disagreement - np.abs(a - b).sum(0) / 2)[seen].mean() < 1e-3
    assert np.isnan(confidence[~seen]).all()


def test_again_it_leaves_alone_what_is_up_to_date(predict, tmp_path, nc_landcover, capsys):
    folder = tmp_path / "scenes"
    crop(nc_landcover.image, folder / "a.tif")
    crop(nc_landcover.image, folder / "b.tif", size=(300, 40))
    assert predict(folder) == 0
    before = {file: (file.read_bytes(), file.stat().st_mtime_ns) for file in tmp_path.glob("maps/*_*.tif")}
    assert len(before) == 4
    crop(nc_landcover.image, folder / "b.tif", size=(301, 40))
    assert predict(folder) == 0
    assert "1 predicted, 1 up to date, 0 failed" in capsys.readouterr().out
    changed = [file.name for file in before if file.stat().st_mtime_ns != before[file][1]]
    assert sorted(changed) == ["b_class.tif", "b_confidence.tif"]
    assert [row["tile_id"] for row in rows_of(tmp_path / "maps" / "predictions.csv")] == ["a", "b"]

    (tmp_path / "maps" / "a_class.tif").unlink()
    assert predict(folder) == 0
    assert "1 predicted, 1 up to date, 0 failed" in capsys.readouterr().out
    again = tmp_path / "maps" / "a_class.tif"
    assert again.read_bytes() == before[again][0]
    assert predict(folder, "--disagreement") == 0
    assert "2 predicted, 0 up to date, 0 failed" in capsys.readouterr().out


def test_what_fails_does_not_stop_the_others(predict, tmp_path, nc_landcover, capsys):
    crop(nc_landcover.image, tmp_path / "good.tif")
    crop(nc_landcover.image, tmp_path / "three.tif", bands=[1, 2, 3])
    whole = nc_landcover.image.read_bytes()
    (tmp_path / "cut.tif").write_bytes(whole[: len(whole) // 2])
    table = tmp_path / "scenes.csv"
    names = ("none", "three", "cut", "good")
    table.write_text("tile_id,image_path\n" + "".join(f"{name}_id,{name}.tif\n" for name in names))
    assert predict(table) == 1
    out = capsys.readouterr()
    assert "1 predicted, 0 up to date, 3 failed" in out.out
    assert "3 of 4 scenes failed" in out.err
    assert "Traceback" not in out.err
    assert all(len(line) < 400 for line in out.err.splitlines())
    failed = {row["tile_id"]: row["error"] for row in rows_of(tmp_path / "maps" / "failures.csv")}
    assert set(failed) == {"none_id", "three_id", "cut_id"}
    assert "none.tif: does not exist" in failed["none_id"]
    assert "three.tif: has 3 bands" in failed["three_id"]
    assert "cut.tif: cannot be read" in failed["cut_id"]
    made = {file.name for file in (tmp_path / "maps").iterdir()} - {"fingerprints"}
    assert made == {
        "good_id_class.tif",
        "good_id_class.tif.aux.xml",
        "good_id_confidence.tif",
        "predictions.csv",
        "failures.csv",
    }
    for name in names[:3]:
        crop(nc_landcover.image, tmp_path / f"{name}.tif")
    assert predict(table) == 0
    assert "3 predicted, 1 up to date, 0 failed" in capsys.readouterr().out
    assert not (tmp_path / "maps" / "failures.csv").exists()


def test_without_a_place_on_earth_it_is_predicted_with_a_warning(predict, tmp_path, nc_landcover, capsys):
    crop(nc_landcover.image, tmp_path / "nowhere.tif", drop_place=True)
    assert predict(tmp_path / "nowhere.tif") == 0
    assert "Warning: no coordinate reference system: nowhere" in capsys.readouterr().err


def test_a_scene_that_failed_has_no_map_without_a_place(predict, tmp_path, nc_landcover, capsys, monkeypatch):
    def fails(*_, **__):
        raise RasterError("nowhere.tif", "is damaged", "copy it again")

    monkeypatch.setattr("coteach.training.scene_job.predict_scene", fails)
    crop(nc_landcover.image, tmp_path / "nowhere.tif", drop_place=True)
    assert predict(tmp_path / "nowhere.tif") == 1
    told = capsys.readouterr().err
    assert "nowhere.tif: is damaged" in told
    assert "no coordinate reference system" not in told


def test_a_scene_without_data_is_told_of(predict, tmp_path, nc_landcover, capsys):
    write_map(tmp_path / "scenes" / "void.tif", np.zeros((BANDS, 200, 30), np.uint8), nodata=0)
    crop(nc_landcover.image, tmp_path / "scenes" / "a.tif")
    for counts in ("2 predicted, 0 up to date", "0 predicted, 2 up to date"):
        assert predict(tmp_path / "scenes") == 0
        told = capsys.readouterr()
        assert f"{counts}, 0 failed (1 without data): " in told.out
        assert told.err.count("Warning: ") == 1
        assert "no data anywhere (NoData, mask, or NaN): void; their maps are NoData throughout" in told.err
    with rasterio.open(tmp_path / "maps" / "void_class.tif") as file:
        assert not file.read_masks(1).any()


def test_what_a_killed_run_left_is_cleared_away(predict, tmp_path, nc_landcover):
    maps = tmp_path / "maps"
    (maps / "fingerprints").mkdir(parents=True)
    names = ("a_class.tif", "predictions.csv", "fingerprints/a_class.json")
    left = [left_by(NO_PROCESS, maps / name) for name in names]
    goes_on = left_by(os.getppid(), maps / "b_class.tif")  # of another scene, predicted at the same time
    for file in (*left, goes_on):
        file.write_text("half")
    crop(nc_landcover.image, tmp_path / "a.tif")
    assert predict(tmp_path / "a.tif") == 0
    assert list(maps.rglob("*.part")) == [goes_on]


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["{}/none.tif"], "none.tif: does not exist"),
        (["{}"], "holds no raster"),
        (["{}/same.csv"], "have the same id, 'X'"),
        (["{}/climbs.csv"], "cannot be the name of a file"),
        (["{}/same.csv", "--image-key", "path"], "no column 'path'"),
        (["{image}", "--window", "16", "--overlap", "16"], "overlap: 16 is not from 0 to 15"),
        (["{image}", "--checkpoint", "first"], "first.ckpt: no such checkpoint"),
        (["{image}", "--device", "abacus"], "--device: 'abacus' cannot be used"),
        (["{image}", "--output-dir", "{}/file/maps"], "cannot be written"),
        (["{folder}", "--output-dir", "{folder}"], "is a folder of scenes"),
    ],
)
def test_what_is_refused_before_anything_is_done(run_dir, tmp_path, nc_landcover, capsys, args, message):
    (tmp_path / "same.csv").write_text("tile_id,image_path\nx,a.tif\nX,b.tif\n")
    (tmp_path / "climbs.csv").write_text("tile_id,image_path\n../x,a.tif\n")
    (tmp_path / "file").write_text("")
    places = {"image": nc_landcover.image, "folder": nc_landcover.image.parent}
    filled = [arg.format(tmp_path, **places) for arg in args]
    maps = ["--output-dir", tmp_path / "maps", "--checkpoint", "last"]
    before = sorted(tmp_path.rglob("*")), sorted(nc_landcover.image.parent.iterdir())
    assert coteach("predict", run_dir, *maps, *filled) == 1
    error = capsys.readouterr().err
    assert message in error
    assert len(error.splitlines()) == 1
    assert (sorted(tmp_path.rglob("*")), sorted(nc_landcover.image.parent.iterdir())) == before


def test_no_run_is_named(tmp_path, nc_landcover, capsys):
    assert coteach("predict", tmp_path, nc_landcover.image, "--output-dir", tmp_path / "maps") == 1
    assert re.search(rf"{tmp_path}: is no run: it has no config\.yaml", capsys.readouterr().err)


def test_one_network_cannot_disagree(splits, tmp_path, nc_landcover, capsys):
    names = {
        "class_names": ["a", "b", "c", "d"],
        "class_colors": ["#000001", "#000002", "#000003", "#000004"],
    }
    data = {"_target_": "coteach.SoftLabelWindowedDataset", "input_csv_path": str(splits["train"])}
    changes = {"method": {"name": "supervised"}, "train_dataset": data | {"image_scale": 255}}
    path = config(splits, tmp_path, **changes, **names)
    assert coteach("train", path, "--quiet") == 0
    crop(nc_landcover.image, tmp_path / "a.tif")
    common = ("predict", tmp_path / "run", tmp_path / "a.tif", "--checkpoint", "last", "--window", "64")
    common += ("--overlap", "8", "--output-dir", tmp_path / "maps")
    assert coteach(*common, "--disagreement") == 1
    assert "supervised has one network" in capsys.readouterr().err
    assert not (tmp_path / "maps").exists()

    # without it, it works; names and colours of the configuration go before those of the sources
    assert coteach(*common) == 0
    with rasterio.open(tmp_path / "maps" / "a_class.tif") as file:
        assert json.loads(file.tags()["CLASS_NAMES"]) == names["class_names"]
        assert [file.colormap(1)[c][:3] for c in range(4)] == [(0, 0, c) for c in (1, 2, 3, 4)]

    crop(nc_landcover.image, tmp_path / "three.tif", bands=[1, 2, 3])
    assert coteach(*common[:2], tmp_path / "three.tif", *common[3:]) == 1
    error = capsys.readouterr().err
    assert "three.tif: the model takes images of 5 bands, these have 3; give images of 5 bands" in error
    assert "--window" not in error
    assert "Traceback" not in error
