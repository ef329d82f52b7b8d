"""``coteach export``: files that predict what the model predicts."""

import json
from importlib.util import find_spec

import numpy as np
import pytest
import torch
import yaml
from torch import nn
from toys import ToyMaps, toy_run

from coteach.cli.config import load_config
from coteach.cli.export import tell_exported
from coteach.cli.main import main
from coteach.cli.runs import load_trained
from coteach.cli.targets import TargetResolver
from coteach.errors import TrainingError
from coteach.models import CNN
from coteach.training import export as exporting
from coteach.training.export import export_method
from coteach.training.run import train

needs_onnx = pytest.mark.skipif(
    any(find_spec(name) is None for name in ("onnx", "onnxscript", "onnxruntime")),
    reason="the extra 'export' is not installed",
)


class KnowsItsBands(ToyMaps):
    num_bands = 2


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory):
    """A co-teaching run of SmallFCN, whose prediction is the mean of both networks."""
    folder = tmp_path_factory.mktemp("export")
    method = {"name": "co_teaching", "inference": "mean"}
    model = {"_target_": "coteach.models.SmallFCN", "in_channels": 2, "classes": 2, "width": 4, "depth": 2}
    content = {
        "num_classes": 2,
        "class_names": ["low", "high"],
        "method": method,
        "model": model,
        "optimizer": {"_target_": "torch.optim.Adam", "lr": 0.01},
        "train_dataset": {"_target_": "coteach.SoftLabelDataset", "image_scale": 255},
        "output_dir": str(folder),
    }
    train(
        toy_run(
            folder,
            "co_teaching",
            method_options={"inference": "mean"},
            make_network=lambda: TargetResolver().build(model, "model", "model"),
            datasets={"train": KnowsItsBands()},
            options={"max_epochs": 1},
        )
    )
    (folder / "config.yaml").write_text(yaml.safe_dump(content))
    return folder


@pytest.fixture(scope="module")
def trained(run_dir):
    config = load_config(run_dir / "config.yaml")
    return load_trained(config, TargetResolver(), run_dir / "checkpoints" / "last.ckpt")


def export(*args):
    """The exit code."""
    try:
        main(["export", *map(str, args)])
    except SystemExit as stopped:
        return stopped.code or 0
    return 0


def command(run_dir, file_format, output, *args):
    options = ("--format", file_format, "--output", output, "--checkpoint", "last", "--size", 16)
    return export(run_dir, *options, *args)


def test_torch_export_predicts_the_same_for_any_batch_and_size(run_dir, trained, tmp_path, capsys):
    file = tmp_path / "model.pt2"
    assert command(run_dir, "torch-export", file) == 0
    said = capsys.readouterr().out
    assert f"exported: {file}, takes images (batch, bands 2, height, width)" in said
    assert "largest difference of a probability from the model: " in said
    extra = {"coteach.json": ""}
    program = torch.export.load(file, extra_files=extra)
    assert json.loads(extra["coteach.json"])["class_names"] == ["low", "high"]
    for shape in ((1, 2, 16, 16), (3, 2, 24, 40)):
        images = torch.rand(*shape)
        with torch.no_grad():
            torch.testing.assert_close(program.module()(images), trained.predict(images))


@needs_onnx
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of ONNX's own packages
def test_onnx_predicts_the_same_for_any_batch_and_size(run_dir, trained, tmp_path, capsys):
    import onnx
    import onnxruntime

    file = tmp_path / "model.onnx"
    assert command(run_dir, "onnx", file) == 0
    assert "takes images (batch, bands 2, height, width)" in capsys.readouterr().out
    about = {one.key: one.value for one in onnx.load(file).metadata_props}
    assert json.loads(about["coteach.json"])["image_scale"] == 255
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    for shape in ((1, 2, 16, 16), (3, 2, 24, 40)):
        images = torch.rand(*shape)
        [probs] = session.run(["probabilities"], {"image": images.numpy()})
        with torch.no_grad():
            np.testing.assert_allclose(probs, trained.predict(images).numpy(), atol=1e-5)


def test_a_file_that_predicts_something_else_is_not_kept(run_dir, tmp_path, capsys, monkeypatch):
    def wrong(program, path, about):
        path.write_bytes(b"wrong")
        return lambda image: program.module()(image) + 0.25

    monkeypatch.setitem(exporting._WRITERS, "torch-export", wrong)
    file = tmp_path / "model.pt2"
    assert command(run_dir, "torch-export", file) == 1
    assert "differ from the model's by up to 0.25" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
    assert command(run_dir, "torch-export", file, "--tolerance", 0.3) == 0
    assert file.read_bytes() == b"wrong"


class OneSize(nn.Module):
    """Takes images of 8 x 8 pixels only."""

    def __init__(self):
        super().__init__()
        self.place = nn.Parameter(torch.rand(2, 8, 8))

    def forward(self, images):
        return images + self.place


class Undecided(nn.Module):
    """What it does depends on the values of the image: no fixed program does that."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, images):
        return images * self.scale if images.sum() > 0 else images


def method_of(network, folder):
    run = toy_run(folder, "supervised", make_network=network)
    run.method.setup(run.make_network, run.task)
    return run.method.eval()


def test_a_size_that_the_network_fixes_is_told(tmp_path):
    made = export_method(
        method_of(OneSize, tmp_path), tmp_path / "m.pt2", "torch-export", num_bands=2, size=8
    )
    assert made.axes == {"batch": None, "bands": 2, "height": 8, "width": 8}
    assert made.checked == ((2, 2, 8, 8), (1, 2, 8, 8), (1, 2, 8, 8))
    assert made.difference == 0


def test_a_graph_that_holds_for_one_size_takes_that_size(tmp_path, capsys):
    """Of 28 x 28 pixels the last convolutions leave one: torch's graph of that holds for no other size."""
    method = method_of(lambda: CNN(1, 2), tmp_path)
    made = export_method(method, tmp_path / "m.pt2", "torch-export", num_bands=1, size=28)
    assert made.axes == {"batch": None, "bands": 1, "height": 28, "width": 28}
    assert made.difference < 1e-5
    tell_exported(made)
    assert "another --size may leave height and width free" in capsys.readouterr().out
    with pytest.raises(TrainingError, match=r"images: 20 x 20 pixels are too few: CNN takes 28 x 28"):
        export_method(method, tmp_path / "n.pt2", "torch-export", num_bands=1, size=20)


def test_a_network_that_cannot_be_exported_is_named(tmp_path):
    with pytest.raises(TrainingError, match=r"m\.pt2: the network cannot be exported: "):
        export_method(method_of(Undecided, tmp_path), tmp_path / "m.pt2", "torch-export", num_bands=2, size=8)
    assert not (tmp_path / "m.pt2").exists()


def test_onnx_without_its_packages_names_the_extra(run_dir, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(exporting, "find_spec", lambda _name: None)
    assert command(run_dir, "onnx", tmp_path / "m.onnx") == 1
    assert "pip install 'coteach[export]'" in capsys.readouterr().err


def test_what_is_missing_is_named(run_dir, tmp_path, capsys):
    assert command(run_dir, "torch-export", tmp_path / "no" / "m.pt2") == 1
    assert "no folder" in capsys.readouterr().err
    assert export(run_dir, "--format", "torch-export", "--output", tmp_path / "m.pt2") == 1
    assert "best.ckpt" in capsys.readouterr().err  # a run without validation has no best
