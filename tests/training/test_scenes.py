"""Whole scenes window by window: the same as all at once, blended as told, in constant memory."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from label_rasters import write_map
from torch import nn

from coteach.data.scene import SceneImage
from coteach.errors import OptionError, RasterError
from coteach.methods.base import TaskInfo
from coteach.methods.discovery import create_method
from coteach.rasters.grid import Window
from coteach.training import scene_layout
from coteach.training.scenes import SceneOptions, count_windows, predict_scene

CLASSES, BANDS = 3, 2


class ByPlace(nn.Module):
    """Scores that depend on the pixel's place in the window: another window gives another answer."""

    def __init__(self, side):
        super().__init__()
        self.pixels = nn.Conv2d(BANDS, CLASSES, 1)
        self.places = nn.Parameter(2 * torch.randn(CLASSES, side, side))

    def forward(self, images):
        return self.pixels(images) + self.places


def make_method(network, name="supervised", seed=0, **options):
    """A method whose networks are made by ``network``."""
    method = create_method(name, options)
    method.setup(network, TaskInfo(num_classes=CLASSES, num_items=1, seed=seed))
    return method


def pixel_network():
    network = nn.Conv2d(BANDS, CLASSES, 1)
    nn.init.normal_(network.weight, std=3)
    return network


def make_image(folder, height, width, *, seed=0, valid=None):
    values = np.random.default_rng(seed).random((BANDS, height, width), np.float32)
    return SceneImage(write_map(folder / f"{seed}_{height}x{width}.tif", values, valid=valid)), values


def put_together(parts, height, width, top=0, left=0):
    """The parts as whole arrays; each pixel has to come exactly once."""
    names = ("classes", "confidence", "disagreement")
    whole = {name: np.full((height, width), np.nan) for name in names}
    times = np.zeros((height, width), int)
    for part in parts:
        window = part.window._replace(row_off=part.window.row_off - top, col_off=part.window.col_off - left)
        assert part.classes.shape == (window.height, window.width)
        window.cut(times)[...] += 1
        for name in names:
            values = getattr(part, name)
            if values is not None:
                window.cut(whole[name])[...] = values
    assert (times == 1).all()
    return whole


def at_once(method, values):
    """What the networks give for the whole array, without windows."""
    with torch.inference_mode():
        return [
            method.networks[name].eval()(torch.from_numpy(values)[None]).softmax(1)[0].numpy()
            for name in method.trained
        ]


def loop_blend(network, values, side, overlap):
    """Every window by itself, its weights pixel by pixel, in double precision."""
    height, width = values.shape[1:]

    def starts(extent):
        found, at = [], 0
        while at + side < extent:
            found.append(at)
            at += side - overlap
        return [*found, extent - side]

    total, weights = np.zeros((CLASSES, height, width)), np.zeros((height, width))
    for top in starts(height):
        for left in starts(width):
            image = torch.from_numpy(values[None, :, top : top + side, left : left + side].copy())
            with torch.inference_mode():
                probs = network(image).softmax(1)[0].numpy()
            for i in range(side):
                for j in range(side):
                    to_edge = [min(n + 1, side - n) for n in (i, j)]  # 1 at the edge
                    weight = np.prod([min(1, d / (overlap + 1)) for d in to_edge])
                    total[:, top + i, left + j] += weight * probs[:, i, j]
                    weights[top + i, left + j] += weight
    return total / weights


@settings(max_examples=30)
@given(data=st.data())
def test_windows_of_a_pixelwise_network_are_the_whole_at_once(tmp_path_factory, data):
    window = data.draw(st.integers(1, 24))
    options = SceneOptions(
        window=window,
        overlap=data.draw(st.integers(0, window - 1)),
        batch_size=data.draw(st.integers(1, 5)),
        disagreement=True,
    )
    height, width = data.draw(st.integers(1, 40)), data.draw(st.integers(1, 40))
    image, values = make_image(tmp_path_factory.mktemp("scene"), height, width)
    method = make_method(pixel_network, "co_teaching", inference=data.draw(st.sampled_from(["a", "mean"])))
    whole = put_together(predict_scene(method, image, CLASSES, options), height, width)

    a, b = at_once(method, values)
    probs = a if method.inference == "a" else (a + b) / 2
    np.testing.assert_allclose(whole["confidence"], probs.max(0), rtol=1e-5)
    np.testing.assert_allclose(whole["disagreement"], np.abs(a - b).sum(0) / 2, atol=1e-6)
    sure = np.diff(np.sort(probs, 0)[-2:], axis=0)[0] > 1e-5
    assert (whole["classes"] == probs.argmax(0))[sure].all()


@pytest.mark.parametrize(("side", "overlap"), [(8, 0), (8, 3), (8, 7), (5, 2), (9, 5)])
def test_overlapping_windows_are_blended_with_ramps(tmp_path, side, overlap):
    torch.manual_seed(side)
    image, values = make_image(tmp_path, 19, 23)
    method = make_method(lambda: ByPlace(side))
    options = SceneOptions(window=side, overlap=overlap, batch_size=3)
    whole = put_together(predict_scene(method, image, CLASSES, options), 19, 23)
    expected = loop_blend(method.networks["a"], values, side, overlap)
    np.testing.assert_allclose(whole["confidence"], expected.max(0), rtol=1e-5)
    assert (whole["classes"] == expected.argmax(0)).all()


def test_bands_of_columns_leave_no_trace(tmp_path, monkeypatch):
    torch.manual_seed(0)
    image, _ = make_image(tmp_path, 50, 700)
    method = make_method(lambda: ByPlace(16), "co_teaching")
    options = SceneOptions(window=16, overlap=5, disagreement=True)
    parts = list(predict_scene(method, image, CLASSES, options))
    assert {part.window.width for part in parts} == {700}
    assert [part.window.row_off for part in parts] == [0, 11, 22, 33, 34]  # the last window is shifted inward
    monkeypatch.setattr(scene_layout, "_MEMORY", 1)
    narrow = list(predict_scene(method, image, CLASSES, options))
    assert {part.window.col_off for part in narrow} == {0, 256, 512}
    one, other = put_together(parts, 50, 700), put_together(narrow, 50, 700)
    for name in one:
        np.testing.assert_allclose(other[name], one[name], rtol=1e-5, atol=1e-6)


@settings(max_examples=15)
@given(data=st.data(), window=st.integers(1, 16), height=st.integers(1, 30), width=st.integers(1, 30))
def test_a_part_is_the_same_part_of_the_whole(tmp_path_factory, data, window, height, width):
    options = SceneOptions(window=window, overlap=data.draw(st.integers(0, window - 1)))
    image, _ = make_image(tmp_path_factory.mktemp("scene"), height, width)
    method = make_method(lambda: ByPlace(window))
    top, left = data.draw(st.integers(0, height - 1)), data.draw(st.integers(0, width - 1))
    part = Window(top, left, data.draw(st.integers(1, height - top)), data.draw(st.integers(1, width - left)))
    whole = put_together(predict_scene(method, image, CLASSES, options), height, width)
    own = put_together(
        predict_scene(method, image, CLASSES, options, part=part), part.height, part.width, top, left
    )
    np.testing.assert_allclose(own["confidence"], part.cut(whole["confidence"]), rtol=1e-5)
    np.testing.assert_array_equal(own["classes"], part.cut(whole["classes"]))


def test_pixels_without_data_have_no_class_and_do_not_disturb_the_others(tmp_path):
    valid = np.ones((20, 20), bool)
    valid[:12, :9] = False  # more than one whole window
    valid[15, 15] = False
    image, values = make_image(tmp_path, 20, 20, valid=valid)
    method = make_method(pixel_network, "co_teaching")
    parts = list(predict_scene(method, image, CLASSES, SceneOptions(window=4, overlap=1, disagreement=True)))
    whole = put_together(parts, 20, 20)
    assert (whole["classes"][~valid] == -1).all()
    assert np.isnan(whole["confidence"][~valid]).all()
    assert np.isnan(whole["disagreement"][~valid]).all()
    probs, _ = at_once(method, values)
    np.testing.assert_allclose(whole["confidence"][valid], probs.max(0)[valid], rtol=1e-5)
    assert np.array_equal(np.vstack([part.valid for part in parts]), valid)


def test_windows_without_data_are_not_shown_to_the_network(tmp_path):
    valid = np.zeros((16, 16), bool)
    valid[0, 0] = True
    image, _ = make_image(tmp_path, 16, 16, valid=valid)
    shapes = []

    class Noting(nn.Conv2d):
        def forward(self, images):
            shapes.append(tuple(images.shape))
            return super().forward(images)

    method = make_method(lambda: Noting(BANDS, CLASSES, 1))
    done = []
    parts = predict_scene(method, image, CLASSES, SceneOptions(window=8, overlap=0), advance=done.append)
    assert len(list(parts)) == 2
    assert shapes == [(1, BANDS, 8, 8)]
    assert sum(done) == count_windows(method, image, CLASSES, SceneOptions(window=8, overlap=0)) == 4


def test_only_whole_windows_reach_the_network_and_networks_not_needed_are_left_alone(tmp_path):
    image, _ = make_image(tmp_path, 5, 1)
    seen = []

    class Noting(nn.Conv2d):
        def forward(self, images):
            seen.append(images)
            return super().forward(images)

    method = make_method(lambda: Noting(BANDS, CLASSES, 1), "co_teaching")
    list(predict_scene(method, image, CLASSES, SceneOptions(window=8, overlap=0)))
    assert [tuple(images.shape) for images in seen] == [(1, BANDS, 8, 8)]  # network a only, once
    # a scene that is smaller than the window is mirrored: rows 0 1 2 3 4 3 2 1
    rows = seen[0][0, 0, :, 0]
    assert torch.equal(rows, rows[[0, 1, 2, 3, 4, 3, 2, 1]])
    assert torch.equal(seen[0][..., :1].expand(1, BANDS, 8, 8), seen[0])


def test_one_network_cannot_disagree(tmp_path):
    image, _ = make_image(tmp_path, 5, 5)
    with pytest.raises(OptionError, match="supervised has one network"):
        list(predict_scene(make_method(pixel_network), image, CLASSES, SceneOptions(disagreement=True)))


@pytest.mark.parametrize(
    "options", [{"window": 0}, {"overlap": -1}, {"window": 8, "overlap": 8}, {"batch_size": 0}]
)
def test_options_out_of_range(options):
    with pytest.raises(OptionError, match=next(reversed(options))):
        SceneOptions(**options)


@pytest.mark.parametrize(
    ("network", "cause"),
    [
        (lambda: nn.Conv2d(BANDS + 1, CLASSES, 1), "the model takes images of 3 bands, these have 2"),
        (lambda: nn.Conv2d(BANDS, CLASSES + 1, 1), "the model gives 4 classes, num_classes is 3"),
        (
            lambda: nn.Conv2d(BANDS, CLASSES, 3),
            "the model gives maps of 6 x 6 pixels for images of 8 x 8 pixels",
        ),
    ],
)
def test_a_network_that_does_not_fit_is_described(tmp_path, network, cause):
    image, _ = make_image(tmp_path, 20, 20)
    with pytest.raises(RasterError, match=rf"0_20x20\.tif: {cause}"):
        next(predict_scene(make_method(network), image, CLASSES, SceneOptions(window=8, overlap=0)))


def test_a_network_that_takes_one_window_only_is_described(tmp_path):
    class OneByOne(nn.Conv2d):
        def forward(self, images):
            if len(images) > 1:
                raise RuntimeError
            return super().forward(images)

    image, _ = make_image(tmp_path, 20, 20)
    method = make_method(lambda: OneByOne(BANDS, CLASSES, 1))
    with pytest.raises(RasterError, match=r"fails on 4 windows at once, not on one; .* --batch-size"):
        next(predict_scene(method, image, CLASSES, SceneOptions(window=8, overlap=0)))


def test_a_file_that_was_cut_off_is_refused_at_once(tmp_path):
    image, _ = make_image(tmp_path, 200, 200)
    whole = image.path.read_bytes()
    image.path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(RasterError, match="cannot be read"):
        next(predict_scene(make_method(pixel_network), image, CLASSES))


def test_memory_does_not_grow_with_the_scene():
    benchmark = Path(__file__).parents[2] / "benchmarks" / "predict.py"
    command = [sys.executable, str(benchmark), "--side", "512", "--window", "128", "--classes", "24"]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    small, large = (int(peak) for peak in re.findall(r"pixels: (\d+) MiB", printed))
    # A wider scene has wider bands, up to a limit; all probabilities of the large scene would be 384 MiB.
    assert large < small + 128
