"""What is asked of a method's networks for images, and that a table of many images is written as it goes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from toy_images import image_method

from coteach.data.picture_reader import PictureReader
from coteach.errors import InputError
from coteach.rasters.pool import silent
from coteach.training.image_classes import ImageClasses, ImageClassifier
from coteach.training.image_job import ImageJob, classify_pictures, columns_of

IMAGES = np.random.default_rng(2).random((5, 2, 4, 4), np.float32)


def said_by(method, name: str) -> np.ndarray:
    with torch.no_grad():
        return method.eval().networks[name](torch.from_numpy(IMAGES)).softmax(1).numpy()


@pytest.mark.parametrize(
    ("name", "options", "predicting", "compared"),
    [
        ("supervised", {}, "a", ""),
        ("elr", {"ema_decay": 0.9}, "ema", ""),
        ("co_teaching", {"inference": "a"}, "a", "a b"),
        ("co_teaching", {"inference": "mean"}, "a b", "a b"),
        ("peer_ensemble", {}, "a_mean b_mean", "a_mean b_mean"),
        ("peer_ensemble", {"ema_decay": 0.0}, "a b", "a b"),
    ],
)
def test_the_networks_that_predict_and_those_that_are_compared(name, options, predicting, compared):
    method = image_method(name, options)
    for number, parameter in enumerate(method.parameters()):  # averages begin as copies
        parameter.data += 0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(number))
    found = ImageClassifier(method, 2)(IMAGES)
    expected = np.mean([said_by(method, network) for network in predicting.split()], axis=0)
    np.testing.assert_allclose(found.probs, expected, atol=1e-6)
    assert found.classes.tolist() == expected.argmax(1).tolist()
    if not compared:
        assert found.disagreement is None
        return
    first, second = (said_by(method, network) for network in compared.split())
    distance = [
        sum(abs(a - b) for a, b in zip(*pair, strict=True)) / 2 for pair in zip(first, second, strict=True)
    ]
    assert max(distance) > 1e-3
    np.testing.assert_allclose(found.disagreement, distance, atol=1e-6)


def test_an_image_that_the_network_does_not_take():
    classifier = ImageClassifier(image_method("supervised"), 2)
    classifier.check(IMAGES[0], "good.png")
    with pytest.raises(InputError, match=r"bad.png: the model cannot take 5 x 4 pixels of 2 bands"):
        classifier.check(np.zeros((2, 5, 4), np.float32), "bad.png")


def test_ties_go_to_the_lowest_code():
    assert ImageClasses(np.array([[0.2, 0.4, 0.4]], np.float32), None).classes.tolist() == [1]


def test_a_class_may_be_called_as_a_column_is():
    columns = columns_of(["class", "road"], disagreement=True)
    assert columns == ["path", "class", "probability", "p_class", "p_road", "disagreement"]
    assert columns_of(["car", "road"], disagreement=False) == ["path", "class", "probability", "car", "road"]


class Reader(PictureReader):
    """Knows what was read."""

    def __init__(self) -> None:
        super().__init__(None, 1)
        self.paths: list[Path] = []

    def read(self, path: Path) -> np.ndarray:
        self.paths.append(path)
        return np.full((1, 2, 2), float(path.stem), np.float32)


class Classifier(ImageClassifier):
    """Knows how many images are held when it is asked; the second probability is the image's value."""

    compared = ()

    def __init__(self, reader: Reader, stops_after: int = 10**9) -> None:
        self.reader, self.stops_after = reader, stops_after
        self.done = self.most = 0

    def check(self, image: np.ndarray, place: str) -> None:
        """Takes all."""

    def __call__(self, images: np.ndarray) -> ImageClasses:
        self.most = max(self.most, len(self.reader.paths) - self.done)
        self.done += len(images)
        if self.done > self.stops_after:
            raise KeyboardInterrupt
        value = images[:, 0, 0, 0]
        return ImageClasses(np.stack([1 - value, value], 1), None)


def test_few_images_are_held_and_an_interrupted_table_is_not_there(tmp_path):
    def classify(classifier: Classifier, paths: list[Path]):
        job = ImageJob(
            classifier=classifier,
            reader=classifier.reader,
            class_names=["a", "b"],
            output_dir=tmp_path,
            batch_size=8,
        )
        return classify_pictures(paths, job, silent, lambda _line: None)

    paths = [Path(f"0.{number:04d}.png") for number in range(1, 1000)]
    classifier = Classifier(Reader())
    report = classify(classifier, paths)
    assert (report.made, classifier.done) == (999, 999)
    assert classifier.most <= 8 + 3 * 4  # a batch, and what the threads have ready or in hand
    lines = report.table.read_text().splitlines()
    assert len(lines) == 1000
    assert [line.split(",")[4] for line in lines[1:]] == [
        f"{number / 10000:.6g}" for number in range(1, 1000)
    ]

    with pytest.raises(KeyboardInterrupt):
        classify(Classifier(Reader(), stops_after=50), paths[:100])
    assert report.table.read_text().splitlines() == lines
    assert list(tmp_path.iterdir()) == [report.table]
