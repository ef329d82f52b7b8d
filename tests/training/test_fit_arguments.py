"""Arguments of ``coteach.fit`` that are of the wrong kind are told in the user's words, before anything is written."""

from __future__ import annotations

import functools
import re
from functools import partial

import numpy as np
import pytest
import torch
from eight_images import IMAGES, LABELS, SHORT, TENSORS, linear
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from coteach import CoTeaching, Supervised, fit
from coteach.errors import InputError, OptionError
from coteach.methods.co_teaching import CoTeachingConfig
from coteach.methods.soft_teacher import SoftTeacher

GIVEN = SHORT | {"method": Supervised()}
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
        (
            {"model_factory": nn.Linear},
            "model_factory: cannot be called without arguments (missing a required argument: 'in_features'); give a",
        ),
        (
            {"model_factory": partial(linear, 1)},
            "model_factory: cannot be called without arguments (partial object ",
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
        (IMAGES, "is an object of ndarray; give (images, labels) as a tuple"),
        (torch.from_numpy(IMAGES), "is an object of Tensor; give (images, labels) as a tuple"),
        ({"train": TENSORS}, "is an object of dict; give (images, labels) as a tuple, or one of several"),
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


def test_a_factory_without_a_signature_is_called():
    networks = [linear() for _ in range(9)]
    assert fit(partial(next, iter(networks)), (IMAGES, LABELS), **GIVEN).history


def test_a_decorator_may_give_a_factory_its_arguments():
    """As packages of configurations do."""

    def configured(make):
        @functools.wraps(make)
        def made():
            return make(16)

        return made

    @configured
    def network(features):
        return nn.Sequential(nn.Flatten(), nn.Linear(features, 2))

    assert fit(network, (IMAGES, LABELS), **GIVEN).history
