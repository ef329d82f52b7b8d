"""Fashion-MNIST with known label noise: test accuracy of every method, on two CPU cores.

    python benchmarks/noisy_fashion.py --folder runs/noisy_fashion                       # everything, resumable
    python benchmarks/noisy_fashion.py --noise sym-50 --methods ce co_teaching --seeds 0 1

Noise: symmetric 20 % and 50 %, pair flip 45 %. The first images of the training set train, with wrong labels; the 2000 after them, as
wrong, choose the best epoch; the 10,000 test images keep their labels. Every method has the same network, epochs, batches and optimizer;
those that take a forget rate are told the true one, except where the name says `auto`.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import numpy as np
import torch
from torch import nn

import coteach
from coteach.data.samples import prepare_fashion_mnist
from coteach.labels.class_noise import pair_flip_noise, symmetric_noise
from known_noise import CLASSES, Setting, arguments, run_all

HELD_OUT = 2000
NOISE: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "sym-20": lambda labels: symmetric_noise(labels, CLASSES, 0.2, seed=1).labels,
    "sym-50": lambda labels: symmetric_noise(labels, CLASSES, 0.5, seed=1).labels,
    "pair-45": lambda labels: pair_flip_noise(labels, CLASSES, 0.45, seed=1).labels,
    "none": lambda labels: labels,
}


def network() -> nn.Module:
    """Two convolutions and a wide layer: cheap, and large enough to learn ten thousand wrong labels by heart."""

    def block(before: int, after: int) -> list[nn.Module]:
        return [nn.Conv2d(before, after, 3, stride=2, padding=1), nn.BatchNorm2d(after), nn.ReLU()]

    return nn.Sequential(
        *block(1, 32),
        *block(32, 64),
        nn.Flatten(),
        nn.Linear(64 * 7 * 7, 256),
        nn.ReLU(),
        nn.Linear(256, CLASSES),
    )


def images_of(part: str) -> tuple[np.ndarray, np.ndarray]:
    """Images (uint8) and labels of ``train`` or ``t10k``."""
    folder = prepare_fashion_mnist()
    files = [str(folder / f"{part}-{kind}.gz") for kind in ("images-idx3-ubyte", "labels-idx1-ubyte")]
    data = coteach.ArrayDataset(*files)
    images, labels = data.stacked(np.arange(len(data)), None)
    assert isinstance(labels, torch.Tensor)
    return (images[:, 0] * 255).round().byte().numpy(), labels.numpy()


def main() -> None:
    """Run what is not there yet, print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    arguments(parser, list(NOISE), "runs/noisy_fashion")
    parser.add_argument("--images", type=int, default=8000)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--lr", type=float, default=1e-3)
    options = parser.parse_args()
    images, labels = images_of("train")
    train, held = slice(options.images), slice(options.images, options.images + HELD_OUT)

    def setting_of(noise: str) -> Setting:
        given = NOISE[noise](labels)
        return Setting(
            noise=noise,
            images=images[train],
            given=given[train],
            clean=labels[train],
            held=(images[held], given[held]),
            test=images_of("t10k"),
            network=network,
            epochs=options.epochs,
            fit={"device": options.device, "lr": options.lr},
            data={},
            options={},
        )

    run_all(options, setting_of)


if __name__ == "__main__":
    main()
