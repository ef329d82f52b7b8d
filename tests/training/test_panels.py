"""Pictures in the TensorBoard log."""

import io

import numpy as np
import pytest
import torch
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from toys import ToyMaps, toy_run

from coteach.legend import Legend
from coteach.training.panels import natural_color
from coteach.training.run import train

RED, BLUE = (255, 0, 0), (0, 0, 255)


def panels(folder):
    [events] = folder.glob("tensorboard/version_*")
    log = EventAccumulator(str(events), size_guidance={"images": 0})
    log.Reload()
    return {
        tag: [np.array(Image.open(io.BytesIO(e.encoded_image_string))) for e in log.Images(tag)]
        for tag in log.Tags()["images"]
    }


def test_panels_show_image_label_and_prediction(tmp_path):
    class Partly(ToyMaps):
        def plain(self, index):
            sample = super().plain(index)
            sample["mask"]["mask"][:, 0] = 0.5
            sample["mask"]["w_conf"][:, 0] = 0
            return sample

    data = Partly(4, noise=0)
    run = toy_run(
        tmp_path,
        "supervised",
        make_optimizer=lambda p: torch.optim.SGD(
            p, lr=0.0
        ),  # what is drawn is what the end of the run predicts
        make_network=lambda: torch.nn.Conv2d(2, 2, 1),
        datasets={"train": ToyMaps(), "val": data},
        legend=Legend(("a", "b"), (RED, BLUE)),
        options={"log_images": 2},
    )
    train(run)
    found = panels(tmp_path)
    assert sorted(found) == ["val/panel_0", "val/panel_1"]
    assert [len(pictures) for pictures in found.values()] == [2, 2]  # one a validation
    for place, index in enumerate((0, 3)):  # the first and the last sample
        sample = data.plain(index)
        expected = np.zeros((8, 24, 3), np.uint8)
        with torch.no_grad():
            scores = run.method.networks["a"](sample["image"][None])[0]
        for y in range(8):
            for x in range(8):
                if y > 0:
                    expected[y, 8 + x] = (RED, BLUE)[sample["image"][:, y, x].argmax().item()]
                expected[y, 16 + x] = (RED, BLUE)[scores[:, y, x].argmax().item()]
        picture = found[f"val/panel_{place}"][-1]
        assert np.array_equal(picture[:, 8:], expected[:, 8:])
        assert (picture[:, :8, 0] == picture[:, :8, 1]).all()  # two bands: the first, in grey


def test_none_are_drawn_when_none_are_asked_for(tmp_path):
    train(toy_run(tmp_path, "supervised", options={"log_images": 0, "max_epochs": 1}))
    assert panels(tmp_path) == {}


def test_bands_are_stretched_from_their_second_to_their_98th_percentile():
    image = np.stack([np.linspace(0, 1000, 101), np.linspace(5, 6, 101), np.full(101, 3.0)])
    shown = natural_color(image[:, None].astype(np.float32))
    assert shown.shape == (1, 101, 3)
    assert (shown[0, :3, :2] == 0).all()  # at and below the second percentile
    assert (shown[0, -3:, :2] == 255).all()
    assert shown[0, 50, 0] == pytest.approx(128, abs=1)
    assert (shown[..., 2] == 0).all()  # flat
