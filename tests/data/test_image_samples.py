from __future__ import annotations

import gzip
import io
import json
import pickle
import zipfile

import numpy as np
import pytest
import torch
from PIL import Image

from coteach.data.image_samples import (
    CIFAR10N_LABELS,
    FASHION_MNIST_CLASSES,
    prepare_cifar10,
    prepare_cifar10n,
)
from coteach.data.sample_sets import FASHION_MNIST_FILES, SAMPLES
from coteach.data.samples import prepare_fashion_mnist


def test_fashion_mnist_is_what_its_authors_say_it_is():
    folder = prepare_fashion_mnist()
    found = [gzip.decompress((folder / name).read_bytes()) for name in FASHION_MNIST_FILES]
    # idx: two zero bytes, 8 for unsigned bytes, the number of axes, then their lengths, big-endian
    assert [data[:4] for data in found] == [b"\0\0\x08\x03", b"\0\0\x08\x01"] * 2
    assert [tuple(np.frombuffer(data[4:16], ">u4")) for data in found[::2]] == [
        (60000, 28, 28),
        (10000, 28, 28),
    ]
    for data, count in ((found[1], 6000), (found[3], 1000)):
        assert np.bincount(np.frombuffer(data[8:], np.uint8)).tolist() == [count] * len(FASHION_MNIST_CLASSES)
    assert "Zalando" in (folder / "SOURCE.txt").read_text()


def test_pictures_whose_rows_are_images_become_arrays(tmp_path):
    members, made = tmp_path / "members", tmp_path / "made"
    members.mkdir()
    made.mkdir()
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (12, 32, 32, 3), np.uint8)
    parts = [*(f"data_batch_{i}.png" for i in range(1, 6)), "test_batch.png"]
    for name, two in zip(parts, images.reshape(6, 2, 1024, 3), strict=True):
        Image.fromarray(two).save(members / name)
    labels = random.integers(0, 10, 12).tolist()
    (members / "train_lables.json").write_text(json.dumps(labels[:10]))
    (members / "test_lables.json").write_text(json.dumps(labels[10:]))
    prepare_cifar10(members, made)
    assert sorted(entry.name for entry in made.iterdir()) == sorted(SAMPLES["cifar10"].files)
    with np.load(made / "train.npz") as train, np.load(made / "test.npz") as test:
        np.testing.assert_array_equal(np.concatenate([train["images"], test["images"]]), images)
        assert [*train["labels"], *test["labels"]] == labels
        assert {part["labels"].dtype.name for part in (train, test)} == {"uint8"}


def human_labels(content) -> bytes:
    """What the authors' file is: a zip of zips of pickled arrays."""
    inner, outer = io.BytesIO(), io.BytesIO()
    with zipfile.ZipFile(inner, "w") as saved:
        saved.writestr("archive/data.pkl", pickle.dumps(content, protocol=2))
    with zipfile.ZipFile(outer, "w") as archive:
        archive.writestr("CIFAR-N/CIFAR-10_human.pt", inner.getvalue())
    return outer.getvalue()


def test_the_labels_of_people_are_read_without_running_what_a_pickle_may_hold(tmp_path):
    labels = {name: np.arange(5) + place for place, name in enumerate(CIFAR10N_LABELS.values())}
    (tmp_path / "CIFAR-N.zip").write_bytes(human_labels(labels))
    prepare_cifar10n(tmp_path, tmp_path)
    with np.load(tmp_path / "labels.npz") as made:
        assert {name: made[name].tolist() for name in made} == {
            ours: labels[theirs].tolist() for ours, theirs in CIFAR10N_LABELS.items()
        }
    (tmp_path / "CIFAR-N.zip").write_bytes(human_labels({"clean_label": torch.device("cpu")}))
    with pytest.raises(pickle.UnpicklingError, match="is no array"):
        prepare_cifar10n(tmp_path, tmp_path)
