"""Test-time augmentation, against NumPy's turns, and by the command."""

import numpy as np
import pytest
import torch
from torch import nn
from toys import toy_run

from coteach.data.scene import SceneImage
from coteach.errors import OptionError
from coteach.rasters.grid import Window
from coteach.training.scenes import SceneOptions, predict_scene
from coteach.training.tta import mean_over_views

# NumPy's own names for the eight ways to lay a square: (there, back)
TURNS = {
    "flips": [
        (lambda a: a, lambda a: a),
        (lambda a: a[..., ::-1], lambda a: a[..., ::-1]),
        (lambda a: a[..., ::-1, :], lambda a: a[..., ::-1, :]),
        (lambda a: a[..., ::-1, ::-1], lambda a: a[..., ::-1, ::-1]),
    ],
    "d4": [
        (
            lambda a, k=k, t=t: np.rot90(np.swapaxes(a, -1, -2) if t else a, k, (-2, -1)),
            lambda a, k=k, t=t: (
                np.swapaxes(np.rot90(a, -k, (-2, -1)), -1, -2) if t else np.rot90(a, -k, (-2, -1))
            ),
        )
        for k in range(4)
        for t in (False, True)
    ],
}


def lopsided(images):
    """Its answer depends on where a pixel lies, as that of a network with padding does."""
    height, width = images.shape[-2:]
    ramp = torch.arange(height)[:, None] * 3 + torch.arange(width)
    return torch.cat([images * ramp, images + ramp], 1)


@pytest.mark.parametrize("views", ["flips", "d4"])
@pytest.mark.parametrize("shape", [(2, 1, 4, 4), (1, 1, 3, 5)])
def test_it_is_the_mean_of_all_views_turned_back(views, shape):
    images = torch.rand(*shape, generator=torch.Generator().manual_seed(0))
    expected = np.mean(
        [
            back(lopsided(torch.from_numpy(there(images.numpy()).copy())).numpy())
            for there, back in TURNS[views]
        ],
        axis=0,
    )
    np.testing.assert_allclose(mean_over_views(lopsided, images, views).numpy(), expected, rtol=1e-5)


class Equivariant(nn.Module):
    """Pixel by pixel: turning the image turns the answer, exactly."""

    def forward(self, images):
        return torch.cat([images[:, :1], 1 - images[:, :1]], 1)


@pytest.mark.parametrize("views", ["none", "flips", "d4"])
def test_an_equivariant_network_gives_the_same_map_exactly(views):
    images = torch.rand(3, 2, 16, 16)
    network = Equivariant()
    assert torch.equal(mean_over_views(network, images, views), network(images))


@pytest.mark.parametrize(("views", "times"), [("none", 1), ("flips", 4), ("d4", 8)])
def test_the_cost_is_what_the_help_says(views, times):
    calls = []

    def count(images):
        calls.append(1)
        return images

    mean_over_views(count, torch.rand(1, 1, 4, 4), views)
    assert len(calls) == times


def test_an_unknown_way_is_refused(unchecked):
    with pytest.raises(OptionError, match="none, flips, d4"):
        SceneOptions(tta="all")


def test_scenes_are_predicted_with_it(tmp_path, nc_landcover):
    class Lopsided(nn.Module):
        """Left is one class, right the other, however the window is laid."""

        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(torch.ones(1))

        def forward(self, images):
            ramp = torch.linspace(-5, 5, images.shape[-1]).expand(len(images), 1, *images.shape[-2:])
            return torch.cat([ramp, -ramp], 1) * self.scale

    run = toy_run(tmp_path, "supervised", make_network=Lopsided)
    run.method.setup(run.make_network, run.task)
    image = SceneImage(nc_landcover.image, image_scale=255)

    def confidence(views):
        options = SceneOptions(window=64, overlap=0, tta=views)
        parts = list(predict_scene(run.method, image, 2, options, part=Window(64, 64, 128, 128)))
        return np.concatenate([part.confidence for part in parts])

    assert np.nanmax(confidence("none")) > 0.99
    np.testing.assert_allclose(confidence("flips")[np.isfinite(confidence("none"))], 0.5, atol=1e-5)
