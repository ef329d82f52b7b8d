"""Write the data of the task: Sneakers and ankle boots of Fashion-MNIST, nine to one, with wrong labels.

    python examples/imbalanced_noisy/prepare.py FOLDER

Makes FOLDER/train and FOLDER/val, each with images under data/ and dataset_labels.csv (file_name,label). In `train` a
fifth of the sneakers (class 0) is labelled as boots, three in ten of the boots (class 1) as sneakers; the rows are in
random order. `val` comes from the test images: as many of either class, with right labels.
"""

from __future__ import annotations

import argparse
import gzip
from pathlib import Path

import numpy as np
from PIL import Image

from coteach.data.samples import prepare_fashion_mnist
from coteach.labels.noise import transition_noise
from coteach.tables import write_table

SNEAKER, BOOT = 7, 9  # Fashion-MNIST's classes
TRAIN = {SNEAKER: 4500, BOOT: 500}
VAL = {SNEAKER: 1000, BOOT: 1000}
TRANSITION = np.array([[0.8, 0.2], [0.3, 0.7]])  # p(given label | true class)


def read_idx(path: Path) -> np.ndarray:
    """The array in a gzipped idx file of bytes."""
    content = gzip.decompress(path.read_bytes())
    dimensions = content[3]
    shape = np.frombuffer(content, ">u4", dimensions, offset=4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * dimensions).reshape(shape)


def draw(labels: np.ndarray, counts: dict[int, int], rng: np.random.Generator) -> np.ndarray:
    """Row numbers of so many items of each class, in random order."""
    rows = [rng.choice(np.flatnonzero(labels == c), count, replace=False) for c, count in counts.items()]
    return rng.permutation(np.concatenate(rows))


def write_part(folder: Path, images: np.ndarray, labels: np.ndarray) -> None:
    """The images of one part as PNG files, and their labels."""
    (folder / "data").mkdir(parents=True, exist_ok=True)
    names = [f"{number:05d}.png" for number in range(len(images))]
    for name, image in zip(names, images, strict=True):
        Image.fromarray(image).save(folder / "data" / name)
    rows = [{"file_name": name, "label": str(label)} for name, label in zip(names, labels, strict=True)]
    write_table(folder / "dataset_labels.csv", ["file_name", "label"], rows)


def main() -> None:
    """Write both parts."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, default=123)
    options = parser.parse_args()
    source = prepare_fashion_mnist()
    rng = np.random.default_rng(options.seed)
    for part, prefix, counts in (("train", "train", TRAIN), ("val", "t10k", VAL)):
        labels = read_idx(source / f"{prefix}-labels-idx1-ubyte.gz")
        rows = draw(labels, counts, rng)
        true = (labels[rows] == BOOT).astype(np.int64)
        given = (
            transition_noise(true, TRANSITION, seed=options.seed, exact=True).labels
            if part == "train"
            else true
        )
        write_part(options.folder / part, read_idx(source / f"{prefix}-images-idx3-ubyte.gz")[rows], given)
        print(f"{part}: {len(rows)} images, {(true == 1).sum()} boots, {(given == 1).sum()} labelled as such")


if __name__ == "__main__":
    main()
