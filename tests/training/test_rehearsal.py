"""Why a network does not fit, in words."""

import pytest
import segmentation_models_pytorch as smp
import timm
import torch
from torch import nn
from toy_boxes import tiny_detector

from coteach.errors import InputError
from coteach.models import SmallFCN
from coteach.training.rehearsal import find_box_misfit, find_misfit, misfit

SAMPLE = torch.zeros(2, 5, 32, 32)


def unet(**changes):
    return smp.Unet("resnet18", encoder_weights=None, **({"in_channels": 5, "classes": 4} | changes)).eval()


@pytest.mark.parametrize(
    ("network", "expected"),
    [
        (SmallFCN(5, 4), None),
        (SmallFCN(3, 4), "takes images of 3 bands, these have 5"),
        (unet(in_channels=3), "takes images of 3 bands, these have 5"),
        (nn.BatchNorm2d(3).eval(), "takes images of 3 bands, these have 5"),
        (nn.Conv2d(10, 4, 1, groups=2), "takes images of 10 bands, these have 5"),
        (SmallFCN(5, 3), "gives 3 classes, num_classes is 4"),
        (unet(classes=3), "gives 3 classes, num_classes is 4"),
        (nn.Conv2d(5, 4, 2, stride=2), "gives maps of 16 x 16 pixels for images of 32 x 32 pixels"),
        (lambda x: x.mean((2, 3))[:, :4], "gives one answer an image for images of 32 x 32 pixels"),
        (lambda x: {"out": x}, "gives a mapping of out, not one tensor of scores by class"),
        (lambda x: x.sum(), "gives a tensor of shape () for 2 images"),
        # Inside it its layers do not fit each other: that is no matter of bands.
        (
            nn.Sequential(nn.Conv2d(5, 7, 1), nn.Conv2d(6, 4, 1)),
            "cannot take 32 x 32 pixels of 5 bands: Given groups=1",
        ),
    ],
)
def test_the_fault_in_words(network, expected):
    found = misfit(network, SAMPLE, 4)
    assert found == expected or (expected is not None and found.startswith(expected) and "Given" in expected)


def test_sizes_that_a_network_cannot_take():
    network = timm.create_model("vit_tiny_patch16_224", num_classes=4).eval()
    found = misfit(network, torch.zeros(1, 3, 30, 30), 4)
    assert found == "cannot take 30 x 30 pixels of 3 bands: Input height (30) doesn't match model (224)."


def test_one_label_an_image():
    network = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(5, 4))
    assert find_misfit(network, SAMPLE, 4, ()) is None
    found = find_misfit(SmallFCN(5, 4), SAMPLE, 4, ())
    assert found.cause == (
        "gives maps of 32 x 32 pixels for images of 32 x 32 pixels with one answer an image as label"
    )


def test_a_compiled_network_is_not_compiled_for_one_sample():
    compiled = []

    def backend(graph, _):
        compiled.append(graph)
        return graph.forward

    network = nn.Sequential(nn.Flatten(), nn.Linear(12, 3))
    network.compile(backend=backend)
    sample = torch.rand(1, 3, 2, 2)
    assert find_misfit(network, sample, 3, ()) is None
    assert not compiled
    network(sample)
    assert len(compiled) == 1


def test_the_numbers_say_what_to_change():
    found = find_misfit(SmallFCN(3, 4), SAMPLE, 4, (32, 32))
    assert (found.about, found.has, found.needs) == ("bands", 3, 5)
    found = find_misfit(SmallFCN(5, 3), SAMPLE, 4, (32, 32))
    assert (found.about, found.has, found.needs) == ("classes", 3, 4)


def test_no_gradient_is_kept_and_own_errors_pass():
    seen = []
    misfit(lambda x: seen.append(torch.is_grad_enabled()) or x[:, :4], SAMPLE, 4)
    assert seen == [False]

    def refuses(x):
        raise InputError("it", "is", "so")

    with pytest.raises(InputError):
        misfit(refuses, SAMPLE, 4)


def of_boxes(label=2, **changes):
    found = {"boxes": torch.zeros(1, 4), "labels": torch.tensor([label]), "scores": torch.ones(1)} | changes
    return lambda images: [found for _ in images]


@pytest.mark.parametrize(
    ("predict", "expected"),
    [
        (of_boxes(), None),
        (of_boxes(labels=torch.zeros(0, dtype=torch.int64)), None),
        (tiny_detector().eval(), None),
        (of_boxes(3), "finds class 3, num_classes is 2"),
        (lambda images: images, "does not give boxes, labels and scores of each image"),
        (
            lambda images: [{"masks": one} for one in images],
            "does not give boxes, labels and scores of each image",
        ),
        (lambda images: nn.Conv2d(5, 4, 1)(images[0]), "cannot take images of 3 bands: "),
    ],
)
def test_what_a_detector_gives(predict, expected):
    found = find_box_misfit(predict, [torch.zeros(3, 64, 64)], 2)
    assert expected is None if found is None else found.cause.startswith(expected)
