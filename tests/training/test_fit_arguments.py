"""Arguments of ``coteach.fit`` that are of the wrong kind are told in the user's words, before anything is written."""

from __future__ import annotations

import json
import re
from functools import partial

import albumentations as A
import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from coteach import ArrayDataset, CoTeaching, ImageFolderDataset, Supervised, fit
from coteach.errors import InputError, OptionError, TrainingError
from coteach.methods.co_teaching import CoTeachingConfig
from coteach.methods.soft_teacher import SoftTeacher

LABELS = np.arange(8) % 2
IMAGES = np.random.default_rng(0).random((8, 4, 4), np.float32) + LABELS[:, None, None].astype(np.float32)
TENSORS = TensorDataset(torch.from_numpy(IMAGES[:, None]), torch.from_numpy(LABELS))
GIVEN = {"epochs": 1, "batch_size": 4, "device": "cpu", "method": Supervised()}


def linear() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(16, 2))


SHARED = linear()
FEATURES = nn.Linear(16, 16)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epochs": 2.5}, "epochs: is 2.5 (float); give a whole number"),
        ({"epochs": None}, "epochs: is None; give a whole number"),
        ({"batch_size": 2.5}, "batch_size: is 2.5 (float); give a whole number"),
        ({"batch_size": "64"}, "batch_size: is '64' (str); give a whole number"),
        ({"batch_size": True}, "batch_size: is True (bool); give a whole number"),
        ({"batch_size": 0}, "batch_size: 0 is below 1; give 1 or more"),
        ({"num_workers": -1}, "num_workers: -1 is below 0"),
        ({"seed": 0.5}, "seed: is 0.5 (float)"),
        ({"seed": 2**70}, "seed: 1180591620717411303424 is outside -2^63 to 2^63-1"),
        ({"optimizer": lambda parameters: None}, "optimizer: gives a NoneType; let it return an optimizer"),
        ({"num_classes": "2"}, "num_classes: is '2' (str)"),
        ({"num_classes": 0}, "num_classes: 0 is below 2"),
        ({"lr": "fast"}, "lr: is 'fast' (str); give a number"),
        ({"lr": None}, "lr: is None; give a number"),
        ({"lr": float("nan")}, "lr: nan is not positive and finite"),
        ({"lr": -1}, "lr: -1 is not positive and finite"),
        ({"method": CoTeaching}, "method: is the class CoTeaching; give an object"),
        ({"method": CoTeaching}, "such as CoTeaching()"),
        ({"method": "co_teaching"}, "method: is 'co_teaching' (str); give an object"),
        ({"method": CoTeachingConfig()}, "method: is an object of CoTeachingConfig"),
        (
            {"method": SoftTeacher()},
            "method: is an object of SoftTeacher; give an object of a method for labels",
        ),
        (
            {"model_factory": SHARED},
            "model_factory: is an object of Sequential; give a function that makes a new",
        ),
        ({"model_factory": "resnet18"}, "model_factory: is 'resnet18' (str)"),
        ({"model_factory": lambda: "resnet18"}, "model_factory: its network is 'resnet18' (str)"),
        ({"model_factory": lambda: SHARED}, "model_factory: two networks that it made share weights"),
        (
            {"model_factory": lambda: nn.Sequential(nn.Flatten(), FEATURES, nn.Linear(16, 2))},
            "model_factory: two networks that it made share weights",
        ),
        ({"optimizer": torch.optim.SGD(SHARED.parameters(), lr=0.1)}, "optimizer: is an object of SGD"),
        ({"scheduler": lambda optimizer: None}, "scheduler: gives a NoneType; let it return a schedule"),
        ({"scheduler": 3}, "scheduler: is 3 (int); give a function that makes the scheduler"),
        ({"device": None}, "device: is None; use one of auto, cpu"),
        ({"device": "cuda:0"}, "device: is 'cuda:0' (str)"),
        (
            {"loader": {"drop_last": True}},
            "loader: is an object of dict; give coteach.training.streams.LoaderO",
        ),
        (
            {"options": {"precision": "16"}},
            "options: is an object of dict; give coteach.training.options.Train",
        ),
        ({"output_dir": 3}, "output_dir: is 3 (int); give the path of a folder"),
        ({"output_dir": ""}, "output_dir: is '' (str); give the path of a folder"),
    ],
)
def test_what_is_no_such_thing_is_said(tmp_path, changes, message):
    with pytest.raises(OptionError, match=re.escape(message)):
        fit(
            **(
                {"model_factory": linear, "dataset": TENSORS, "num_classes": 2}
                | GIVEN
                | {"output_dir": tmp_path / "run"}
                | changes
            )
        )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        (None, "is None; give (images, labels)"),
        (
            "pictures",
            "is 'pictures' (str); give (images, labels), or a data set such as coteach.ImageFolderData",
        ),
        ((IMAGES,), "is a tuple of 1; give (images, labels)"),
        ((IMAGES, LABELS, LABELS), "is a tuple of 3"),
        ([IMAGES, LABELS], "is an object of list; give (images, labels) as a tuple"),
        (TensorDataset, "is the class TensorDataset"),
        (DataLoader(TENSORS), "is an object of DataLoader; give (images, labels), or a data set"),
    ],
)
def test_what_is_no_data_set_is_said(dataset, message):
    for option in ["dataset"] if dataset is None else ["dataset", "val"]:
        sets = {"dataset": (IMAGES, LABELS), option: dataset}
        with pytest.raises(InputError, match=re.escape(f"{option}: {message}")):
            fit(linear, **sets, **GIVEN)


@pytest.mark.usefixtures("unchecked")
def test_numbers_of_numpy_are_numbers_and_frozen_layers_may_be_shared():
    FEATURES.requires_grad_(False)
    try:
        result = fit(
            lambda: nn.Sequential(nn.Flatten(), FEATURES, nn.Linear(16, 2)),
            (IMAGES, LABELS),
            optimizer=partial(torch.optim.SGD, lr=0.1),
            **GIVEN | {"epochs": np.int64(1), "lr": np.float32(0.1)},
        )
    finally:
        FEATURES.requires_grad_(True)
    assert result.predict(IMAGES[:, None]).shape == (8, 2)


def in_folders(root, *names):
    """One picture a class, of a grey of its own."""
    for code, name in enumerate(names):
        (root / name).mkdir(parents=True)
        for number in range(4):
            picture = np.full((6, 6), 80 * code + number, np.uint8)
            Image.fromarray(picture).save(root / name / f"{number}.png")
    return root


def test_validation_has_the_classes_of_training(tmp_path):
    training = ImageFolderDataset(in_folders(tmp_path / "train", "a", "b", "c"))
    given = {"method": Supervised(), "epochs": 1, "batch_size": 4, "device": "cpu"}

    def network():
        return nn.Sequential(nn.Flatten(), nn.Linear(36, 3))

    for names, message in (
        (
            ["c", "b", "a"],
            r"val: 'c' is class 0 here, in the training set it is class 2; give it class_names=\['a',",
        ),
        (
            ["a", "b", "d"],
            r"val: class 2 is 'd' here, in the training set it is 'c'; name it alike in both; folders are re",
        ),
        (["a", "b", "c", "d"], r"val: has 4 classes \(a, b, c, d\), training 3"),
    ):
        other = ImageFolderDataset(tmp_path / "train")
        other.class_names = names
        with pytest.raises(InputError, match=message):
            fit(network, training, val=other, **given)
    fewer = ImageFolderDataset(in_folders(tmp_path / "fewer", "a", "b"))  # the last is missing: no code moves
    assert "val/OA" in fit(network, training, val=fewer, **given).history
    bands = np.zeros((6, 6, 6, 3), np.uint8), np.arange(6) % 3
    with pytest.raises(InputError, match=r"val: the network .*3"):
        fit(network, training, val=bands, **given)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"optimizer": partial(torch.optim.SGD, lr=0.5)},
            r"optimizer was \"AdamW\(.*is \"SGD\(.*scheduler was",
        ),
        ({"model_factory": lambda: nn.Sequential(nn.Flatten(), nn.Linear(16, 2, bias=False))}, "network was"),
    ],
)
@pytest.mark.parametrize("epochs", [1, 2])
def test_a_folder_of_another_optimizer_or_network_is_refused(tmp_path, changes, message, epochs):
    """Finished or not: else the old networks would be returned, or their state would not fit."""
    given = {"model_factory": linear, "dataset": (IMAGES, LABELS), "method": Supervised(), "batch_size": 4}
    given |= {"device": "cpu", "seed": 1, "output_dir": tmp_path}
    fit(**given, epochs=1)
    with pytest.raises(TrainingError, match=rf"another configuration: .*{message}"):
        fit(**given | changes, epochs=epochs)
    fit(**given, epochs=epochs)  # the same goes on, or is found finished


def test_a_folder_of_an_earlier_version_is_gone_on_with(tmp_path):
    """It does not say which optimizer and network it was of."""
    given = {"model_factory": linear, "dataset": (IMAGES, LABELS), "method": Supervised(), "batch_size": 4}
    given |= {"device": "cpu", "seed": 1, "output_dir": tmp_path}
    fit(**given, epochs=1)
    state = json.loads((tmp_path / "run.json").read_text())
    for key in ("network", "optimizer", "scheduler"):
        del state["identity"][key]
    (tmp_path / "run.json").write_text(json.dumps(state))
    assert len(fit(**given, epochs=2).history["train/loss_epoch"]) == 2
    with pytest.raises(TrainingError, match="batch_size was 4, is 2"):
        fit(**given | {"batch_size": 2}, epochs=3)
    with pytest.raises(TrainingError, match="seed was 1, is 2"):
        fit(**given | {"seed": 2}, epochs=3)
    del state["identity"]["seed"]
    (tmp_path / "run.json").write_text(json.dumps(state))
    assert len(fit(**given, epochs=3).history["train/loss_epoch"]) == 3


def test_other_images_are_told_in_words(tmp_path):
    given = {"model_factory": linear, "method": Supervised(), "epochs": 1, "batch_size": 4, "device": "cpu"}
    fit(dataset=(IMAGES, LABELS), output_dir=tmp_path, **given)
    words = "configuration: the images or labels of train are not those the run began with; choose"
    with pytest.raises(TrainingError, match=words):
        fit(dataset=(IMAGES[::-1].copy(), LABELS), output_dir=tmp_path, **given | {"epochs": 2})


def test_how_fast_an_optimizer_is_makes_no_other_run(tmp_path):
    given = {"model_factory": linear, "dataset": (IMAGES, LABELS), "method": Supervised(), "batch_size": 4}
    given |= {"device": "cpu", "seed": 1, "output_dir": tmp_path}
    fit(**given, optimizer=partial(torch.optim.SGD, lr=1.0), epochs=1)
    fit(**given, optimizer=partial(torch.optim.SGD, lr=1, foreach=False), epochs=2)
    with pytest.raises(TrainingError, match=r"optimizer was .*is .*nesterov=True"):
        fit(**given, optimizer=partial(torch.optim.SGD, lr=0.1, momentum=0.5, nesterov=True), epochs=3)


def test_an_optimizer_that_other_versions_of_torch_describe_otherwise_is_the_same(tmp_path):
    given = {"model_factory": linear, "dataset": (IMAGES, LABELS), "method": Supervised(), "batch_size": 4}
    given |= {"device": "cpu", "output_dir": tmp_path}
    fit(**given, epochs=1)
    told = json.loads((tmp_path / "run.json").read_text())["identity"]["optimizer"]
    assert told == "AdamW(betas=(0.9, 0.999), eps=1e-08, lr=0.001, weight_decay=0.01)"


def test_weights_may_have_options_of_their_own(tmp_path):
    def grouped(rate, parameters):
        weight, bias = parameters
        return torch.optim.SGD([{"params": [weight], "lr": rate}, {"params": [bias]}], lr=0.1)

    given = {"model_factory": linear, "dataset": (IMAGES, LABELS), "method": Supervised(), "batch_size": 4}
    given |= {"device": "cpu", "output_dir": tmp_path}
    fit(**given, optimizer=partial(grouped, 0.5), epochs=1)
    with pytest.raises(TrainingError, match=r'options of weights was "lr=0\.5; ", is "lr=0\.2; "'):
        fit(**given, optimizer=partial(grouped, 0.2), epochs=2)
    with pytest.raises(OptionError, match=r"optimizer: its lr is of NumPy \(float32\); give lr=0\.5"):
        fit(**given, optimizer=partial(grouped, np.float32(0.5)), epochs=2)


def test_lazy_layers_have_no_shapes_yet(tmp_path):
    def network():
        return nn.Sequential(nn.Flatten(), nn.LazyLinear(2))

    result = fit(network, (IMAGES, LABELS), output_dir=tmp_path, **GIVEN | {"method": Supervised()})
    assert result.predict(IMAGES).shape == (8, 2)


class Listed(TensorDataset):
    """As torchvision's sets: the names of its classes are in ``classes``."""

    def __init__(self, classes, targets=LABELS):
        super().__init__(torch.from_numpy(IMAGES[:, None]), torch.from_numpy(targets))
        self.classes = classes


def test_validation_of_another_package_has_the_classes_of_training():
    words = r"val: 'b' is class 0 here, in the training set it is class 1; let its classes be \['a', 'b'\]"
    with pytest.raises(InputError, match=words):
        fit(linear, Listed(["a", "b"]), val=Listed(["b", "c"]), **GIVEN)
    for others in (["a", "b"], ["a - 0", "b - 1"], ["a", "a"], ("a", ("b", "beta"))):  # as good, or of no use
        fit(linear, Listed(["a", "b"]), val=Listed(others), **GIVEN | {"method": Supervised()})


@pytest.mark.parametrize(
    ("labels", "changes", "message"),
    [
        ([0, 1, 2, 0, 1, 9, 0, 1], {}, "num_classes is 10 (the largest label is 9, of item 5); give one"),
        ([0, 1, 2, 0, 1, 9, 0, 1], {"num_classes": 11}, "num_classes is 11; give one"),
    ],
)
def test_where_the_number_of_classes_comes_from(labels, changes, message):
    with pytest.raises(OptionError, match=re.escape(f"its network gives 2 classes, {message}")):
        fit(linear, (IMAGES, np.array(labels)), **GIVEN | changes)


def test_what_is_predicted_is_shaped_as_in_training():
    result = fit(linear, (IMAGES, LABELS), **GIVEN | {"method": Supervised()})
    np.testing.assert_array_equal(result.predict(IMAGES), result.predict(IMAGES[:, None]))
    for shape in ((8, 3, 4, 4), (8, 4, 4, 1), (4, 4)):
        words = re.escape(f"images: shape {shape} is not (N, 1, H, W); give as many bands as in training")
        with pytest.raises(InputError, match=words):
            result.predict(np.zeros(shape, np.float32))
    with pytest.raises(
        InputError, match=r"images: the network cannot take 5 x 5 pixels of 1 bands: .*; give im"
    ):
        result.predict(np.zeros((2, 1, 5, 5), np.float32))
    other = fit(linear, TENSORS, num_classes=2, **GIVEN | {"method": Supervised()})  # does not tell its bands
    with pytest.raises(InputError, match="images: the network cannot take 4 x 4 pixels of 3 bands"):
        other.predict(np.zeros((2, 3, 4, 4), np.float32))
    pictures = np.zeros((8, 5, 5, 3), np.float32), LABELS
    coloured = fit(
        lambda: nn.Sequential(nn.Flatten(), nn.Linear(75, 2)), pictures, **GIVEN | {"method": Supervised()}
    )
    with pytest.raises(InputError, match=re.escape("images: shape (8, 4, 4) is not (N, 3, H, W)")):
        coloured.predict(IMAGES)
    grey = ArrayDataset(np.zeros((8, 5, 5), np.uint8), LABELS, augmentation_list=[A.ToRGB()])
    shown = fit(
        lambda: nn.Sequential(nn.Flatten(), nn.Linear(75, 2)), grey, **GIVEN | {"method": Supervised()}
    )
    assert shown.predict(np.zeros((2, 3, 5, 5), np.float32)).shape == (2, 2)
