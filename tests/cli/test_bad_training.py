"""Bad input to ``coteach train`` and ``evaluate``: one or two lines that say what to do, and nothing left behind."""

import json
import os

import numpy as np
import pytest
import torch
import yaml
from label_rasters import write_map, write_sources

from coteach.cli.main import main
from coteach.errors import TargetError

BANDS, SIZE = 3, 32
SMALL = {"_target_": "coteach.models.SmallFCN", "in_channels": BANDS, "classes": 2, "width": 4, "depth": 1}


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    """Train and val tables of two little images each, whose class is whether the first band is bright."""
    folder = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    rows = []
    for name in "abcd":
        image = rng.integers(0, 256, (BANDS, SIZE, SIZE), dtype=np.uint8)
        bright = (image[0] > 127).astype(np.float32)
        write_map(folder / f"{name}.tif", image)
        write_map(folder / f"{name}_soft.tif", np.stack([1 - bright, bright]))
        rows.append({"tile_id": name, "image_path": f"{name}.tif", "p_soft_path": f"{name}_soft.tif"})
    return {
        "train": write_sources(folder / "train.csv", rows[:2]),
        "val": write_sources(folder / "val.csv", rows[2:]),
    }


@pytest.fixture
def configure(tables, tmp_path):
    """Writes a configuration; keys that are given replace the good ones."""

    def write(**changes):
        content = {
            "num_classes": 2,
            "method": {"name": "supervised"},
            "model": SMALL,
            "optimizer": {"_target_": "torch.optim.SGD", "lr": 0.1},
            "train_dataset": {"_target_": "coteach.SoftLabelDataset", "input_csv_path": str(tables["train"])},
            "val_dataset": {"_target_": "coteach.SoftLabelDataset", "input_csv_path": str(tables["val"])},
            "trainer": {"max_epochs": 1, "accelerator": "cpu", "devices": 1, "log_every_n_steps": 1},
            "data_loader": {"batch_size": 1},
            "output_dir": str(tmp_path / "runs" / "run"),
        }
        path = tmp_path / "conf.yaml"
        path.write_text(yaml.safe_dump(content | changes))
        return path

    return write


def run(*args):
    """Exit code of a command."""
    try:
        main([str(arg) for arg in args])
    except SystemExit as stopped:
        return stopped.code
    return 0


@pytest.fixture
def refused(capfd):
    """Runs a command that must fail, and gives its message."""

    def check(*args):
        capfd.readouterr()
        assert run(*args) == 1
        message = capfd.readouterr().err
        assert message.startswith("Error: ")
        assert 1 <= len(message.splitlines()) <= 2
        assert "Traceback" not in message
        return message

    return check


@pytest.mark.parametrize(
    ("method", "words"),
    [
        ({"name": "jocor", "balance": "set"}, "balance: 'set' is for images with one label each"),
        ({"name": "co_teaching", "balance": "set"}, "balance: 'set' is for images with one label each"),
        ({"name": "elr"}, "method elr: needs one label an image, but labels are maps of 32 x 32"),
        (
            {"name": "divide_mix"},
            "method divide_mix: needs one label an image, but labels are maps of 32 x 32",
        ),
        ({"name": "peer_ensemble"}, "method peer_ensemble: needs one label an image, but labels are maps"),
    ],
)
def test_what_is_not_for_maps_is_refused_before_training(configure, refused, tmp_path, method, words):
    assert words in refused("train", configure(method=method))
    assert not (tmp_path / "runs").exists()


def nothing_left(tmp_path):
    return not (tmp_path / "runs").exists()


BAD = {
    "bands": (
        {"model": SMALL | {"in_channels": 5}},
        "takes images of 5 bands, these have 3; set model.in_channels to 3",
    ),
    "classes": (
        {"model": SMALL | {"classes": 4}},
        "gives 4 classes, num_classes is 2; set model.classes to 2",
    ),
    "size": (
        {"model": {"_target_": "torch.nn.Conv2d", "in_channels": 3, "out_channels": 2, "kernel_size": 3}},
        "gives maps of 30 x 30 pixels for images of 32 x 32 pixels",
    ),
    "no network": (
        {"model": {"_target_": "torch.nn.Linear", "in_features": 7, "out_features": 2}},
        "model: cannot take 32 x 32 pixels of 3 bands",
    ),
    "default bands": (
        {
            "model": {
                "_target_": "segmentation_models_pytorch.Unet",
                "encoder_name": "resnet18",
                "encoder_weights": None,
                "in_channels": 4,
                "classes": 2,
            }
        },
        "set model.in_channels to 3",
    ),
    "labels": ({"num_classes": 3}, "its labels have 2 classes, num_classes is 3"),
    "target not allowed": ({"model": {"_target_": "os.system", "command": "touch x"}}, "--allow-target os"),
    "target of another kind": ({"model": {"_target_": "torch.optim.SGD"}}, "is not a model"),
    "function for a class": (
        {"optimizer": {"_target_": "torch.nn.functional.relu"}},
        "is not an optimizer",
    ),
    "data set of another package": (
        {"train_dataset": {"_target_": "torchvision.datasets.FakeData"}},
        "is not a dataset",
    ),
    "closure": (
        {"optimizer": {"_target_": "torch.optim.LBFGS"}},
        "optimizer: LBFGS computes the loss several times a step; here a step is one batch; use SGD",
    ),
    "target misspelt": ({"optimizer": {"_target_": "torch.optim.SGDD"}}, "did you mean 'SGD'?"),
    "no target": ({"optimizer": {"target": "torch.optim.SGD"}}, "rename optimizer.target"),
    "key": ({"optimiser": {}}, "did you mean optimizer?"),
    "trainer key": ({"trainer": {"max_epoch": 1}}, "did you mean trainer.max_epochs?"),
    "loader key": ({"data_loader": {"batchsize": 1}}, "did you mean data_loader.batch_size?"),
    "method key": ({"method": {"name": "co_teaching", "ewarm": 1}}, "did you mean method.e_warm?"),
    "model key": ({"model": SMALL | {"in_chanels": 3}}, "did you mean in_channels?"),
    "method": ({"method": {"name": "supervized"}}, "did you mean supervised?"),
    "method option": (
        {"method": {"name": "co_teaching", "e_warm": "abc"}},
        "method.e_warm is 'abc' (str); give a number",
    ),
    "smoothing": ({"method": {"name": "supervised", "label_smoothing": 2}}, "2 is outside [0, 1]"),
    "normalisation": (
        {"method": {"name": "soft_label", "normalize_by": "item"}},
        "give 'items' or 'weights'",
    ),
    "no full batch": (
        {"data_loader": {"batch_size": 3, "drop_last": True}},
        "of train there are 2 samples, a batch has 3; lower data_loader.batch_size to 2 or less",
    ),
    "interval key": (
        {"scheduler": {"_target_": "torch.optim.lr_scheduler.StepLR", "step_size": 1, "intervall": "step"}},
        "did you mean interval?",
    ),
    "monitor": ({"trainer": {"monitor": "val/mIOU"}}, "did you mean val/mIoU?"),
    "accelerator": ({"trainer": {"accelerator": "cpuu"}}, "trainer.accelerator: 'cpuu'"),
    "devices": ({"trainer": {"accelerator": "cpu", "devices": 0}}, "trainer.devices: 0"),
    "strategy": ({"trainer": {"accelerator": "cpu", "strategy": "dpp"}}, "trainer.strategy: 'dpp'"),
    "plateau without validation": (
        {"scheduler": {"_target_": "torch.optim.lr_scheduler.ReduceLROnPlateau"}, "val_dataset": None},
        "give a val_dataset",
    ),
    "plateau by step": (
        {"scheduler": {"_target_": "torch.optim.lr_scheduler.ReduceLROnPlateau", "interval": "step"}},
        "set scheduler.interval: epoch",
    ),
    "booleans for names": ({"class_names": [False, True]}, "in quotes"),
    "names twice": ({"class_names": ["a", "a"]}, "'a' stands there twice"),
    "metric of another kind": ({"metrics": {"x": {"_target_": "torch.nn.ReLU"}}}, "is not a metric"),
    "metric of many numbers": (
        {
            "metrics": {
                "matrix": {
                    "_target_": "torchmetrics.classification.MulticlassConfusionMatrix",
                    "num_classes": 2,
                }
            }
        },
        "metrics.matrix: gives 4 numbers",
    ),
    "metric that is there": (
        {
            "metrics": {
                "mIoU": {"_target_": "torchmetrics.classification.MulticlassF1Score", "num_classes": 2}
            }
        },
        "choose another name",
    ),
}


@pytest.mark.parametrize(("changes", "expected"), BAD.values(), ids=BAD)
def test_is_refused_before_anything_is_written(configure, refused, tmp_path, changes, expected):
    assert expected in refused("train", configure(**changes))
    assert nothing_left(tmp_path)


def test_names_that_yaml_reads_as_booleans(configure, refused):
    path = configure()
    path.write_text(path.read_text() + "class_names: [no, yes]\n")
    assert "class_names[0] is False (bool); give text in quotes" in refused("train", path)


def test_a_misspelt_argument_of_a_data_set(configure, refused, tables):
    node = {"_target_": "coteach.SoftLabelDataset", "input_csv_path": str(tables["train"]), "imge_scale": 255}
    assert "train_dataset.imge_scale" in (message := refused("train", configure(train_dataset=node)))
    assert "did you mean image_scale?" in message


def test_an_interval_that_is_none(configure, refused, unchecked):
    node = {"_target_": "torch.optim.lr_scheduler.StepLR", "step_size": 1, "interval": "steps"}
    assert "scheduler.interval: 'steps' is unknown; use 'epoch' or 'step'" in refused(
        "train", configure(scheduler=node)
    )


def test_a_crop_that_is_larger_than_the_image(configure, refused, tables, tmp_path):
    node = {
        "_target_": "coteach.SoftLabelDataset",
        "input_csv_path": str(tables["train"]),
        "augmentation_list": [{"_target_": "albumentations.RandomCrop", "height": 64, "width": 64}],
    }
    assert "Crop size" in refused("train", configure(train_dataset=node))
    assert nothing_left(tmp_path)


def test_a_data_set_of_another_package_whose_samples_fail(configure, refused, tmp_path, monkeypatch):
    (tmp_path / "theirs.py").write_text(
        "from torch.utils.data import Dataset\n"
        "class Broken(Dataset):\n"
        "    def __len__(self): return 1\n"
        "    def __getitem__(self, index): raise KeyError('lost')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    path = configure(train_dataset={"_target_": "theirs.Broken"})
    assert "--allow-target theirs" in refused("train", path)
    message = refused("train", path, "--allow-target", "theirs")
    assert "train_dataset: its first sample cannot be made: 'lost'" in message
    assert nothing_left(tmp_path)


@pytest.mark.parametrize(
    ("model", "key"),
    [
        (
            {"_target_": "segmentation_models_pytorch.Unet", "encoder_weights": "imagenet"},
            "encoder_weights: null",
        ),
        ({"_target_": "segmentation_models_pytorch.Unet"}, "encoder_weights: null"),  # the default
        (
            {"_target_": "timm.create_model", "model_name": "resnet18", "pretrained": True},
            "pretrained: false",
        ),
    ],
)
def test_pretrained_weights_without_a_network(configure, refused, tmp_path, monkeypatch, model, key):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    assert f"set model.{key} to start from random weights" in refused("train", configure(model=model))
    assert nothing_left(tmp_path)


def test_a_folder_below_a_file(configure, refused, tmp_path):
    (tmp_path / "file").write_text("x")
    message = refused("train", configure(output_dir=str(tmp_path / "file" / "deep" / "run")))
    assert "cannot be written" in message
    assert "choose another output_dir" in message
    assert (tmp_path / "file").read_text() == "x"


def test_debug_shows_the_traceback(configure, refused):
    bad = configure(model={"_target_": "os.system"})
    assert "os.system" in refused("train", bad)
    with pytest.raises(TargetError):  # left to Python, which shows it
        main(["train", str(bad), "--debug"])


@pytest.fixture
def trained(configure, tmp_path):
    assert run("train", configure()) == 0
    return tmp_path / "runs" / "run"


def test_what_differs_from_the_run_in_the_folder_is_named(trained, configure, refused):
    message = refused("train", configure(), "optimizer.lr=0.5", "+seed=3")
    assert "optimizer.lr was 0.1, is 0.5" in message
    assert "seed was 42, is 3" in message


def test_what_does_not_decide_the_result_may_differ(trained, configure):
    path = configure(class_names=["x", "y"])
    kept = (trained / "checkpoints" / "last.ckpt").stat().st_mtime_ns
    assert run("train", path, "+data_loader.num_workers=0", "trainer.log_every_n_steps=7") == 0
    assert (trained / "checkpoints" / "last.ckpt").stat().st_mtime_ns == kept
    assert yaml.safe_load((trained / "config.yaml").read_text())["class_names"] == ["x", "y"]


def test_a_raster_that_changed_is_another_run(trained, configure, refused, tables):
    image = tables["train"].parent / "a.tif"
    os.utime(image, ns=(1, image.stat().st_mtime_ns + 1))
    assert "train_dataset.rasters.a.tif was" in refused("train", configure())


@pytest.mark.filterwarnings("always:.*epochs already")
def test_asking_for_more_epochs_goes_on(trained, configure, capfd):
    before = json.loads((trained / "run.json").read_text())
    assert before["finished"]
    assert (before["num_bands"], before["num_items"], before["num_classes"]) == (BANDS, 2, 2)
    assert run("train", configure(), "trainer.max_epochs=3") == 0
    last = torch.load(trained / "checkpoints" / "last.ckpt", weights_only=True)["coteach"]
    assert last["batches_seen"] == 6
    assert last["task"] == {"num_bands": BANDS, "num_items": 2, "num_classes": 2}
    assert json.loads((trained / "run.json").read_text())["seconds"] > before["seconds"] > 0
    capfd.readouterr()
    assert run("train", configure(), "trainer.max_epochs=2") == 0  # fewer is finished
    told = capfd.readouterr().err
    assert told.startswith("Warning: ")
    assert "run: has 3 epochs already; asked for 2, it stays as it is" in told
    assert (
        torch.load(trained / "checkpoints" / "last.ckpt", weights_only=True)["coteach"]["batches_seen"] == 6
    )


def test_a_damaged_run_json(trained, configure, refused):
    (trained / "run.json").write_text('{"finished": tr')
    assert "run.json: is damaged" in refused("train", configure())


def test_checkpoints_of_an_unknown_run(trained, configure, refused):
    (trained / "run.json").unlink()
    assert "nothing that says of which run" in refused("train", configure())


def test_weights_of_another_architecture(trained, refused):
    path = trained / "config.yaml"
    path.write_text(path.read_text().replace("width: 4", "width: 6"))
    message = refused("evaluate", trained, "--dataset", "val_dataset")
    assert "best.ckpt: weights of another model" in message
    assert "networks.a.0.weight is 4 x 3 x 3 x 3, in the model 6 x 3 x 3 x 3" in message
    assert not (trained / "evaluation.json").exists()


def test_a_damaged_checkpoint(trained, refused):
    best = trained / "checkpoints" / "best.ckpt"
    best.write_bytes(best.read_bytes()[:500])
    assert "best.ckpt: cannot be read" in refused("evaluate", trained, "--dataset", "val_dataset")


def test_a_data_set_that_the_run_has_not(trained, refused):
    assert "did you mean val_dataset?" in refused("evaluate", trained, "--dataset", "vl_dataset")
    assert "no test_dataset; give --dataset val_dataset" in refused("evaluate", trained)


def test_images_of_other_bands_cannot_be_evaluated(trained, refused, tmp_path):
    write_map(tmp_path / "x.tif", np.zeros((2, SIZE, SIZE), np.uint8))
    write_map(tmp_path / "x_soft.tif", np.full((2, SIZE, SIZE), 0.5, np.float32))
    write_sources(tmp_path / "x.csv", [{"image_path": "x.tif", "p_soft_path": "x_soft.tif"}])
    path = trained / "config.yaml"
    content = yaml.safe_load(path.read_text())
    content["test_dataset"] = content["val_dataset"] | {"input_csv_path": str(tmp_path / "x.csv")}
    path.write_text(yaml.safe_dump(content))
    assert "takes images of 3 bands, these have 2" in refused("evaluate", trained)


def test_loading_never_fetches_pretrained_weights(trained, refused, monkeypatch):
    path = trained / "config.yaml"
    content = yaml.safe_load(path.read_text())
    content["model"] = {
        "_target_": "segmentation_models_pytorch.Unet",
        "encoder_name": "resnet18",
        "encoder_weights": "imagenet",
        "in_channels": 3,
        "classes": 2,
    }
    path.write_text(yaml.safe_dump(content))
    # The model is built, without a network; then its weights differ.
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert "it has no networks.a.encoder" in refused("evaluate", trained, "--dataset", "val_dataset")


@pytest.mark.filterwarnings("default::coteach.errors.CoteachWarning")
def test_a_network_that_ends_in_softmax_is_told(configure, capsys):
    model = {
        "_target_": "segmentation_models_pytorch.Unet",
        "encoder_name": "resnet18",
        "encoder_weights": None,
        "encoder_depth": 3,
        "decoder_channels": [32, 16, 8],
        "in_channels": 3,
        "classes": 2,
        "activation": "softmax2d",
    }
    trainer = {"max_epochs": 1, "max_steps": 1, "accelerator": "cpu", "devices": 1}
    assert run("train", configure(model=model, trainer=trainer)) == 0
    told = "Warning: the network gives probabilities, which sum to 1, and losses take scores"
    assert told in capsys.readouterr().err


def test_extra_figures_of_validation(configure, tmp_path):
    metrics = {
        "kappa": {"_target_": "torchmetrics.classification.MulticlassCohenKappa", "num_classes": 2},
        "f1": {
            "_target_": "torchmetrics.F1Score",
            "task": "multiclass",
            "num_classes": 2,
            "average": "macro",
        },
    }
    trainer = {"max_epochs": 1, "accelerator": "cpu", "devices": 1, "monitor": "val/kappa"}
    assert run("train", configure(metrics=metrics, trainer=trainer)) == 0
    folder = tmp_path / "runs" / "run"
    [log] = folder.glob("logs/*/metrics.csv")
    assert {"val/kappa", "val/f1"} <= set(log.read_text().splitlines()[0].split(","))
    saved = torch.load(folder / "checkpoints" / "best.ckpt", weights_only=True)["callbacks"]
    [state] = [key for key in saved if "'monitor': 'val/kappa'" in key]
    assert "'mode': 'max'" in state


def test_verbose_tells_what_is_trained(configure, capsys):
    assert run("train", configure(), "--verbose") == 0
    told = capsys.readouterr()
    assert "_target_: coteach.models.SmallFCN" in told.err
    assert "supervised: 1 network, 2 classes, samples: 2 to train, 2 to val" in told.err
    assert "trained: " in told.out
