"""Images, labels, validation set and network that do not fit each other are told before ``coteach.fit`` writes anything."""

from __future__ import annotations

import re
from collections import UserList
from functools import partial

import albumentations as A
import numpy as np
import pytest
import torch
from eight_images import IMAGES, LABELS, SHORT, TENSORS, linear
from PIL import Image
from torch import nn
from torch.utils.data import TensorDataset

from coteach import ArrayDataset, CoTeaching, ImageFolderDataset, Supervised, fit
from coteach.data.collate import collate_batch
from coteach.errors import CoteachWarning, InputError, OptionError, TrainingError
from coteach.methods.co_teaching import CoTeachingConfig


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


class Listed(TensorDataset):
    """As torchvision's sets: the names of its classes are in ``classes``."""

    def __init__(self, classes, targets=LABELS):
        super().__init__(torch.from_numpy(IMAGES[:, None]), torch.from_numpy(targets))
        self.classes = classes


def test_validation_of_another_package_has_the_classes_of_training():
    words = r"val: 'b' is class 0 here, in the training set it is class 1; let its classes be \['a', 'b'\]"
    with pytest.raises(InputError, match=words):
        fit(linear, Listed(["a", "b"]), val=Listed(["b", "c"]), method=Supervised(), **SHORT)
    spelled = ArrayDataset(
        IMAGES, LABELS, class_names=["A", "B"]
    )  # this package's: so far as its codes are known
    fit(linear, Listed(["a", "b"]), val=spelled, method=Supervised(), **SHORT)
    lone = Listed(["a", "b"], np.zeros(8, np.int64))  # nothing is learned from it
    fit(linear, Listed(["a", "b"]), val=lone, method=Supervised(), **SHORT)
    for others in (["a", "b"], ["a - 0", "b - 1"], ["a", "a"], ("a", ("b", "beta"))):  # as good, or of no use
        fit(linear, Listed(["a", "b"]), val=Listed(others), method=Supervised(), **SHORT)


@pytest.mark.parametrize(
    ("labels", "changes", "message"),
    [
        ([0, 1, 2, 0, 1, 9, 0, 1], {}, "num_classes is 10 (the largest label is 9, of item 5); give one"),
        ([0, 1, 2, 0, 1, 9, 0, 1], {"num_classes": 11}, "num_classes is 11; give one"),
    ],
)
def test_where_the_number_of_classes_comes_from(labels, changes, message):
    with pytest.raises(OptionError, match=re.escape(f"its network gives 2 classes, {message}")):
        fit(linear, (IMAGES, np.array(labels)), method=Supervised(), **SHORT | changes)


def test_what_is_predicted_is_shaped_as_in_training():
    result = fit(linear, (IMAGES, LABELS), method=Supervised(), **SHORT)
    np.testing.assert_array_equal(result.predict(IMAGES), result.predict(IMAGES[:, None]))
    for shape in ((8, 3, 4, 4), (8, 4, 4, 1), (4, 4)):
        words = re.escape(f"images: shape {shape} is not (N, 1, H, W); give as many bands as in training")
        with pytest.raises(InputError, match=words):
            result.predict(np.zeros(shape, np.float32))
    with pytest.raises(
        InputError, match=r"images: the network cannot take 5 x 5 pixels of 1 bands: .*; give im"
    ):
        result.predict(np.zeros((2, 1, 5, 5), np.float32))
    other = fit(linear, TENSORS, num_classes=2, method=Supervised(), **SHORT)  # does not tell its bands
    with pytest.raises(InputError, match="images: the network cannot take 4 x 4 pixels of 3 bands"):
        other.predict(np.zeros((2, 3, 4, 4), np.float32))
    pictures = np.zeros((8, 5, 5, 3), np.float32), LABELS
    coloured = fit(
        lambda: nn.Sequential(nn.Flatten(), nn.Linear(75, 2)), pictures, method=Supervised(), **SHORT
    )
    with pytest.raises(InputError, match=re.escape("images: shape (8, 4, 4) is not (N, 3, H, W)")):
        coloured.predict(IMAGES)
    grey = ArrayDataset(np.zeros((8, 5, 5), np.uint8), LABELS, augmentation_list=[A.ToRGB()])
    shown = fit(lambda: nn.Sequential(nn.Flatten(), nn.Linear(75, 2)), grey, method=Supervised(), **SHORT)
    assert shown.predict(np.zeros((2, 3, 5, 5), np.float32)).shape == (2, 2)


class Served(TensorDataset):
    """As a data set of another package gives its images."""

    def __init__(self, change):
        super().__init__(*TENSORS.tensors)
        self.change = change

    def __getitem__(self, index):
        image, label = super().__getitem__(index)
        return self.change(image), label


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda image: Image.fromarray(np.zeros((4, 4), np.uint8)),
            "found <class 'PIL.Image.Image'>); let it give tensors, such as by transform=torchvision.transforms",
        ),
        (
            lambda image: image.numpy()[:, :3],
            "model_factory: its network cannot take 3 x 4 pixels of 1 bands",
        ),
        (lambda image: image.byte(), "; give one that fits, or images of float32 (these are uint8)"),
        (
            lambda image: image.double().numpy(),
            "; give one that fits, or images of float32 (these are float64)",
        ),
    ],
)
def test_images_of_another_kind_are_told(change, message):
    with pytest.raises((InputError, OptionError), match=re.escape(message)):
        fit(linear, Served(change), num_classes=2, method=Supervised(), **SHORT)


class Samples(UserList):
    """Gives what it is made of."""


IMAGE = TENSORS.tensors[0][0]


@pytest.mark.parametrize(
    ("sample", "message"),
    [
        ((IMAGE, 1, 7), "Samples, item 0: gives a tuple of 3; let it give (image, label)"),
        ((IMAGE,), "Samples, item 0: gives a tuple of 1; let it give"),
        (torch.zeros(2, 3), "Samples, item 0: gives a Tensor; let it give (image, label)"),
        (
            {"image": IMAGE, "label": 1},
            "Samples, item 0: gives no 'mask', but 'image', 'label'; call the label 'mask' and the image 'image'",
        ),
        ((IMAGE, None), "Samples, item 0: its label is None; give the number of its class, an integer"),
        ((IMAGE, "cat"), "Samples, item 0: its label is 'cat'; give the number of its class, an integer"),
        ((IMAGE, 1.0), "Samples, item 0: its label is 1.0; give the number"),
        ((IMAGE, np.float32(1)), "Samples, item 0: its label is 1.0; give the number"),
        ((IMAGE, torch.tensor(0.5)), "Samples, item 0: its label is 0.5; give the number"),
        ((IMAGE, np.array("cat")), "Samples, item 0: its label is 'cat'; give the number"),
        ((IMAGE, [0] * 1000), "Samples, item 0: its label is [0, 0, 0, 0, 0, 0, ...]; give the number"),
        ((IMAGE, 1j), "Samples, item 0: its label is 1j; give the number"),
        ((IMAGE, torch.tensor([1])), "Samples, item 0: its label has shape (1,); give the number"),
        ((IMAGE, [0.5, 0.5]), "Samples, item 0: its label is [0.5, 0.5]; give the number"),
        (
            (IMAGE, torch.tensor([0, 1])),
            "Samples, item 0: its label is a row of 2 integers; give the number of its",
        ),
        (
            (IMAGE, np.array([True, False])),
            "its label is a row of 2 integers; give the number of its class, an integer, or",
        ),
    ],
)
def test_samples_of_another_kind_are_told(sample, message, tmp_path):
    with pytest.raises(InputError, match=re.escape(message)):
        fit(
            linear,
            Samples([sample] * 8),
            num_classes=2,
            method=Supervised(),
            output_dir=tmp_path / "run",
            **SHORT,
        )
    assert not (tmp_path / "run").exists()


def test_one_label_that_is_none_among_many_is_found():
    """Only some are looked at before the run."""
    samples = Samples([(IMAGE, index % 2) for index in range(200)])
    samples[1] = (IMAGE, None)
    with pytest.raises(InputError, match=r"sample 1: its label is None, others have one; give -1"):
        fit(linear, samples, num_classes=2, method=Supervised(), **SHORT)
    for label, words in (
        ("cat", "is 'cat'"),
        (np.array("cat"), "is 'cat'"),
        (0.5, "is 0.5"),
        (torch.tensor(0.5), "is 0.5"),
        ([0, 1], r"is \[0, 1\]"),
        (torch.tensor([0, 1]), "is a row of 2 integers"),
    ):
        samples[1] = (IMAGE, label)
        with pytest.raises(InputError, match=rf"sample 1: its label {words}; give the number of its class"):
            fit(linear, samples, num_classes=2, method=Supervised(), **SHORT)


def test_a_validation_has_labels():
    bare = Samples([(image, None) for image in TENSORS.tensors[0]])
    with pytest.raises(InputError, match="Samples, item 0: its label is None; give the number of its class"):
        fit(linear, (IMAGES, LABELS), val=bare, method=Supervised(), **SHORT)


@pytest.mark.parametrize("kind", [np.uint16, np.uint32, np.uint64, torch.uint16])
def test_unsigned_numbers_are_classes(kind):
    def label(code):
        return torch.tensor(int(code), dtype=kind) if isinstance(kind, torch.dtype) else kind(code)

    def learned(labels):
        samples = Samples(zip(TENSORS.tensors[0], labels, strict=True))
        return fit(linear, samples, val=samples, num_classes=2, method=Supervised(), **SHORT).predict(
            IMAGES[:, None]
        )

    np.testing.assert_array_equal(learned([label(code) for code in LABELS]), learned(LABELS))


def test_an_error_of_a_data_set_is_its_own():
    def broken(image):
        raise TypeError("no such picture")

    with pytest.raises(TypeError, match=r"^no such picture"):
        fit(linear, Served(broken), num_classes=2, method=Supervised(), **SHORT)


def test_a_network_that_ends_in_softmax_is_told():
    def network(*last):
        return lambda: nn.Sequential(nn.Flatten(), nn.Linear(16, 2), *last)

    with pytest.warns(CoteachWarning, match="the network gives probabilities, .*; leave its softmax out"):
        fit(network(nn.Softmax(1)), (IMAGES, LABELS), method=Supervised(), **SHORT)
    fit(
        network(nn.LogSoftmax(1)), (IMAGES, LABELS), method=Supervised(), **SHORT
    )  # its softmax is what it is of


class Collated(Served):
    """Makes tensors only where it makes batches."""

    def collate(self, samples):
        return collate_batch(
            [one | {"views": tuple(TENSORS.tensors[0][one["id"]] for _ in one["views"])} for one in samples]
        )


def test_what_the_network_is_shown_is_looked_at():
    pictures = Collated(lambda image: Image.fromarray(np.zeros((4, 4), np.uint8)))
    assert fit(linear, pictures, val=pictures, num_classes=2, method=Supervised(), **SHORT).history


def test_images_of_numpy_are_as_good_as_tensors():
    given = {"num_classes": 2, "seed": 3, **SHORT}
    results = [
        fit(linear, dataset, method=Supervised(), **given)
        for dataset in (TENSORS, Served(lambda image: image.numpy()))
    ]
    np.testing.assert_array_equal(*(result.predict(IMAGES[:, None]) for result in results))


@pytest.mark.parametrize("named", [True, False])
def test_a_folder_that_is_deleted_is_not_spoken_of(tmp_path, named):
    given = {"optimizer": partial(torch.optim.SGD, lr=1e38), "method": Supervised(), **SHORT, "epochs": 9}
    with pytest.raises(TrainingError, match=r"its items are train \[") as stopped:
        fit(linear, (IMAGES, LABELS), output_dir=tmp_path / "run" if named else None, **given)
    assert ("bad_batch.json" in str(stopped.value)) == named


@pytest.mark.parametrize("option", [{"balance": "sample"}, {"retain_by": "image"}])
def test_shares_of_single_images_are_refused_before_training(tmp_path, option):
    method = CoTeaching(CoTeachingConfig(**option))
    with pytest.raises(OptionError, match="takes a share of each map, and the items are images"):
        fit(linear, (IMAGES, LABELS), method=method, output_dir=tmp_path / "run", **SHORT)
    assert not (tmp_path / "run").exists()
