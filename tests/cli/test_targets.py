"""``_target_`` by kind: what is built, and what is refused without being called."""

import albumentations
import pytest
import torch

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
    ],
)
def test_resolves_what_is_of_its_kind(path, kind, expected):
    assert resolver.resolve(path, kind, "here") is expected


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("os.system", "model"),
        ("builtins.eval", "model"),
        ("torch.hub.load", "model"),
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
