"""The networks for images: the published architectures, layer by layer."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from coteach.errors import InputError, OptionError
from coteach.models import CNN, SmallMobileNet

WIDTHS = [128, 128, 128, 256, 256, 256, 512, 256, 128]


def test_the_names_and_shapes_of_the_nine_layer_network():
    shapes = {}
    before = 3
    for i, width in enumerate(WIDTHS, start=1):
        shapes[f"c{i}.weight"], shapes[f"c{i}.bias"] = (width, before, 3, 3), (width,)
        for name in ("weight", "bias", "running_mean", "running_var"):
            shapes[f"bn{i}.{name}"] = (width,)
        shapes[f"bn{i}.num_batches_tracked"] = ()
        before = width
    shapes["l_c1.weight"], shapes["l_c1.bias"] = (10, 128), (10,)
    assert {name: tuple(value.shape) for name, value in CNN().state_dict().items()} == shapes


def written_out(x, state, eps=1e-5):
    """The forward pass in evaluation mode, with functions instead of modules."""
    for i in range(1, 10):
        x = F.conv2d(x, state[f"c{i}.weight"], state[f"c{i}.bias"], padding=1 if i < 7 else 0)
        norm = [state[f"bn{i}.{name}"].view(1, -1, 1, 1) for name in ("running_mean", "running_var")]
        x = (x - norm[0]) / (norm[1] + eps).sqrt()
        x = x * state[f"bn{i}.weight"].view(1, -1, 1, 1) + state[f"bn{i}.bias"].view(1, -1, 1, 1)
        x = torch.maximum(x, 0.01 * x)
        if i in (3, 6):
            b, c, h, w = x.shape
            x = x[:, :, : h // 2 * 2, : w // 2 * 2].reshape(b, c, h // 2, 2, w // 2, 2).amax((3, 5))
    return x.mean((2, 3)) @ state["l_c1.weight"].T + state["l_c1.bias"]


@pytest.mark.parametrize(("channels", "side"), [(3, 32), (1, 28)])
def test_evaluation_is_the_written_out_forward_pass(channels, side):
    torch.manual_seed(0)
    model = CNN(input_channel=channels, n_outputs=7)
    x = torch.rand(4, channels, side, side)
    model(x)  # gives the norms something to remember
    model.eval()
    torch.testing.assert_close(model(x), written_out(x, model.state_dict()), rtol=1e-4, atol=1e-5)


def test_dropout_takes_whole_channels_at_its_rate_and_only_in_training():
    torch.manual_seed(0)
    model = CNN(input_channel=1, n_outputs=2, dropout_rate=0.5)
    seen = []
    model.c4.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].flatten(2)))
    x = torch.rand(8, 1, 28, 28)
    model(x)
    model.eval()
    model(x)
    gone = [(channels == 0).all(2).float().mean().item() for channels in seen]
    assert gone[0] == pytest.approx(0.5, abs=0.06)  # of 1024 channels: four standard deviations
    assert gone[1] == 0
    assert ((seen[0] == 0).all(2) | (seen[0] != 0).any(2)).all()


def test_top_bn_normalises_the_scores():
    torch.manual_seed(0)
    model = CNN(input_channel=1, n_outputs=4, dropout_rate=0.0, top_bn=True)
    scores = model(torch.rand(16, 1, 28, 28))
    torch.testing.assert_close(scores.mean(0), torch.zeros(4), atol=1e-5, rtol=0)
    assert "bn_c1.weight" in model.state_dict()
    assert "bn_c1.weight" not in CNN().state_dict()


def test_dropout_rate_outside_its_range():
    with pytest.raises(OptionError, match="dropout_rate"):
        CNN(dropout_rate=1.0)


@pytest.mark.usefixtures("unchecked")
def test_rows_of_pixels_are_no_images():
    with pytest.raises(InputError, match=r"images: shape \(10, 784\) is not \(B, K, H, W\)"):
        CNN(input_channel=1).forward(torch.rand(10, 784))


@pytest.mark.parametrize(("height", "width"), [(27, 40), (40, 27)])
def test_images_of_which_nothing_would_be_left(height, width):
    with pytest.raises(InputError, match=f"{height} x {width} pixels are too few: CNN takes 28 x 28 or more"):
        CNN(input_channel=1)(torch.zeros(2, 1, height, width))


def test_small_mobilenet_is_the_given_list_of_layers():
    kinds = [
        (nn.Conv2d, (32, 1, 3, 3)),
        (nn.BatchNorm2d, (32,)),
        (nn.ReLU6, None),
        (nn.Conv2d, (256, 32, 1, 1)),
        (nn.BatchNorm2d, (256,)),
        (nn.ReLU6, None),
        (nn.Linear, (128, 256)),
        (nn.ReLU6, None),
        (nn.Dropout, None),
        (nn.Linear, (2, 128)),
    ]
    model = SmallMobileNet()
    layers = [*model.features, *model.classifier]
    assert [type(layer) for layer in layers] == [kind for kind, _ in kinds]
    for layer, (_, shape) in zip(layers, kinds, strict=True):
        assert shape is None or tuple(layer.weight.shape) == shape
    assert layers[-2].p == 0.5


def test_small_mobilenet_pools_over_the_whole_image():
    torch.manual_seed(0)
    model = SmallMobileNet(num_classes=3, in_channels=2).eval()
    x = torch.rand(5, 2, 20, 12)
    assert model(x).shape == (5, 3)
    patterns = model.features(x)
    assert patterns.shape == (5, 256, 20, 12)
    torch.testing.assert_close(model(x), model.classifier(patterns.flatten(2).sum(2) / 240))


def test_small_mobilenet_with_a_stride_looks_at_every_other_pixel():
    torch.manual_seed(0)
    full, half = SmallMobileNet().eval(), SmallMobileNet(stride=2).eval()
    half.load_state_dict(full.state_dict())
    x = torch.rand(2, 1, 28, 28)
    torch.testing.assert_close(half.features(x), full.features(x)[:, :, ::2, ::2])


@pytest.mark.parametrize("bad", [{"num_classes": 0}, {"in_channels": 0}, {"stride": 0}])
def test_small_mobilenet_refuses_what_is_not_positive(bad):
    with pytest.raises(OptionError, match="below 1"):
        SmallMobileNet(**bad)


@pytest.mark.usefixtures("unchecked")
def test_cnn_can_be_traced():
    network = CNN(input_channel=1, n_outputs=3).eval()
    images = torch.rand(2, 1, 28, 28)
    traced = torch.fx.symbolic_trace(network)
    assert torch.equal(traced(images), network(images))
