"""``_target_`` by kind: what is built, and what is refused without being called."""

import albumentations
import pytest
import timm
import torch
import torchmetrics
import torchvision

import coteach
from coteach.cli.targets import TargetResolver
from coteach.errors import TargetError

resolver = TargetResolver()


@pytest.mark.parametrize(
    ("path", "kind", "expected"),
    [
        ("torch.nn.Conv2d", "model", torch.nn.Conv2d),
        ("torch.optim.AdamW", "optimizer", torch.optim.AdamW),
        ("torch.optim.lr_scheduler.OneCycleLR", "scheduler", torch.optim.lr_scheduler.OneCycleLR),
        ("albumentations.HorizontalFlip", "transform", albumentations.HorizontalFlip),
        ("torchvision.models.resnet18", "model", torchvision.models.resnet18),
        (
            "torchvision.models.segmentation.fcn_resnet50",
            "model",
            torchvision.models.segmentation.fcn_resnet50,
        ),
        ("timm.create_model", "model", timm.create_model),
        ("torchmetrics.JaccardIndex", "metric", torchmetrics.JaccardIndex),
        ("coteach.SoftLabelDataset", "dataset", coteach.SoftLabelDataset),
    ],
)
def test_resolves_what_is_of_its_kind(path, kind, expected):
    assert resolver.resolve(path, kind, "here") is expected


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("os.system", "model"),
        ("builtins.eval", "model"),
        ("subprocess.Popen", "model"),
        ("torch.hub.load", "model"),
        ("torch.nn.modules.module.os", "model"),
        ("torch.nn.modules.module.os.system", "model"),
        ("albumentations.core.composition.__builtins__", "transform"),
        ("albumentations.core.composition.Path", "transform"),
        ("torch.nn.init.normal_", "model"),
        ("torchvision.models.get_model", "model"),
        ("torchvision.models.resnet.load_state_dict_from_url", "model"),
        ("torchvision.io.read_file", "dataset"),
        ("torchvision.datasets.FakeData", "dataset"),
        ("torch.utils.data.TensorDataset", "dataset"),
        ("torchmetrics.functional.accuracy", "metric"),
        ("torch.nn.ReLU", "metric"),
        ("torch.load", "dataset"),
        ("torch.utils.cpp_extension.load", "model"),
        ("torch.os.system", "model"),
        ("torch.nn.Module.__init__.__globals__", "model"),
        ("albumentations.__builtins__", "transform"),
        ("torch.nn.Conv2d", "optimizer"),
        ("torch.optim.AdamW", "model"),
        ("coteach.cli.targets.TargetResolver", "dataset"),
        ("torch", "model"),
        ("torch..nn", "model"),
        ("torch.nn.Conv2d.forward", "model"),
        ("None", "model"),
    ],
)
def test_refuses_everything_else_without_calling_it(path, kind):
    with pytest.raises(TargetError, match=r"here"):
        resolver.resolve(path, kind, "here")


def test_another_package_must_be_allowed():
    with pytest.raises(TargetError, match="--allow-target collections"):
        resolver.resolve("collections.OrderedDict", "model", "model")
    with pytest.raises(TargetError, match="not a model"):
        TargetResolver(["collections"]).resolve("collections.OrderedDict", "model", "model")


def test_nothing_is_called_while_resolving(monkeypatch):
    called = []
    monkeypatch.setattr("os.system", called.append)
    monkeypatch.setattr("torch.hub.load", called.append)
    monkeypatch.setattr("torch.nn.Conv2d.__init__", lambda *args, **kwargs: called.append(args))
    for path in ("os.system", "torch.hub.load", "torch.nn.modules.module.os.system"):
        with pytest.raises(TargetError):
            resolver.build({"_target_": path, "command": "x"}, "model", "model")
    resolver.resolve("torch.nn.Conv2d", "model", "model")
    assert called == []


def test_what_is_nested_is_of_the_kind_of_its_place():
    transform = {"_target_": "albumentations.HorizontalFlip"}
    with pytest.raises(TargetError, match=r"model\.backbone.*not a model"):
        resolver.build(
            {"_target_": "segmentation_models_pytorch.Unet", "backbone": transform}, "model", "model"
        )
    node = {
        "_target_": "coteach.SoftLabelDataset",
        "augmentation_list": [{"_target_": "torch.nn.ReLU"}],
        "input_csv_path": "x",
    }
    with pytest.raises(TargetError, match=r"train\.augmentation_list\[0\].*not a transform"):
        resolver.build(node, "dataset", "train")


def test_a_metric_leaves_items_without_a_label_out_unless_told_otherwise():
    node = {"_target_": "torchmetrics.classification.MulticlassAccuracy", "num_classes": 2}
    assert resolver.build(node, "metric", "metrics.x").ignore_index == -1
    assert resolver.build(node | {"ignore_index": 0}, "metric", "metrics.x").ignore_index == 0


def test_weights_are_not_fetched_where_a_checkpoint_replaces_them(monkeypatch):
    made = []
    monkeypatch.setattr("timm.create_model", lambda pretrained=False: made.append(pretrained))
    node = {"_target_": "timm.create_model", "pretrained": True}
    resolver.without_pretrained().build(node, "model", "model")
    resolver.build(node, "model", "model")
    assert made == [False, True]


def test_a_misspelt_name_gets_the_nearest():
    with pytest.raises(TargetError, match="AdamW"):
        resolver.resolve("torch.optim.AdmW", "optimizer", "optimizer")


def test_builds_nested_transforms_and_scales_normalize_to_one():
    node = {
        "_target_": "albumentations.OneOf",
        "transforms": [
            {"_target_": "albumentations.HorizontalFlip", "p": 0.25},
            {"_target_": "albumentations.Normalize"},
        ],
    }
    built = resolver.build(node, "transform", "augmentation_list[0]")
    flip, normalize = built.transforms
    assert flip.p == 0.25
    assert normalize.max_pixel_value == 1.0


@pytest.mark.parametrize(
    ("node", "kind", "expected"),
    [
        ({"_target_": "torch.nn.Conv2d", "in_chanels": 3}, "model", "in_chanels"),
        ({"_target_": "albumentations.HorizontalFlip", "probability": 1}, "transform", "probability"),
        ({"in_channels": 3}, "model", "no _target_"),
    ],
)
def test_wrong_arguments_are_named(node, kind, expected):
    with pytest.raises(TargetError, match=expected):
        resolver.build(node, kind, "place")


def test_without_weights_nothing_is_said_of_the_layers_that_they_would_freeze():
    """torchvision warns of it, which pytest makes an error."""
    node = {
        "_target_": "torchvision.models.detection.fasterrcnn_mobilenet_v3_large_320_fpn",
        "weights": None,
        "num_classes": 2,
        "trainable_backbone_layers": 3,
    }
    model = TargetResolver(pretrained=False).build(node, "model", "model")
    assert all(weight.requires_grad for weight in model.parameters())


@pytest.mark.parametrize("names", [["cat", 10], [True, "dog"]])
def test_class_names_that_yaml_takes_for_something_else_are_refused(names):
    node = {"_target_": "coteach.ImageTableDataset", "input_csv_path": "train.csv", "class_names": names}
    remedy = r"is no text; put names that look like numbers, yes or no in quotes"
    with pytest.raises(TargetError, match=rf"train_dataset\.class_names: (10|True) {remedy}"):
        TargetResolver().build(node, "dataset", "train_dataset")
