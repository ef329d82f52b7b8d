"""Fashion-MNIST with known label noise: test accuracy of every method, on two CPU cores.

    python benchmarks/noisy_fashion.py --folder runs/noisy_fashion                       # everything, resumable
    python benchmarks/noisy_fashion.py --noise sym-50 --methods ce co_teaching --seeds 0 1
    python benchmarks/noisy_fashion.py --methods ce_tuned                                # twenty minutes
    python benchmarks/noisy_fashion.py --lr 3e-3 --weight-decay 3 --folder runs/noisy_fashion_decay

Noise: symmetric 20 % and 50 %, pair flip 45 %. The first images of the training set train, with wrong labels; the 2000 after them, as
wrong, choose the best epoch; the 10,000 test images keep their labels. Every method has the same network, epochs, batches and optimizer;
those that take a forget rate are told the true one, except where the name says `auto`. `ce_tuned` and `ce_ema_tuned` try sixteen
pairs of learning rate and weight decay each.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from itertools import product
from typing import Any

import numpy as np
import torch
from torch.optim import AdamW
from torch.optim.lr_scheduler import CosineAnnealingLR

import coteach
from coteach.data.samples import prepare_fashion_mnist
from coteach.labels.noise import pair_flip_noise, symmetric_noise
from fashion_network import network
from known_noise import CLASSES, Setting, arguments, run_all

HELD_OUT = 2000
NOISE: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "sym-20": lambda labels: symmetric_noise(labels, CLASSES, 0.2, seed=1).labels,
    "sym-50": lambda labels: symmetric_noise(labels, CLASSES, 0.5, seed=1).labels,
    "pair-45": lambda labels: pair_flip_noise(labels, CLASSES, 0.45, seed=1).labels,
    "none": lambda labels: labels,
}


def adamw(lr: float, decay: float, epochs: int) -> dict[str, Any]:
    """Arguments of ``coteach.fit``: AdamW along a cosine."""
    return {
        "optimizer": partial(AdamW, lr=lr, weight_decay=decay),
        "scheduler": partial(CosineAnnealingLR, T_max=epochs),
    }


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
    parser.add_argument("--lr", type=float, default=1e-3, help="of every method but those that are tuned")
    parser.add_argument("--weight-decay", type=float, default=0.01, help="likewise")
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
            fit={"device": options.device} | adamw(options.lr, options.weight_decay, options.epochs),
            grid={
                f"lr{lr:g}-wd{decay:g}": adamw(lr, decay, options.epochs)
                for lr, decay in product((1e-4, 3e-4, 1e-3, 3e-3), (0.01, 0.1, 1.0, 3.0))
            },
            data={},
            ema_decay=0.99,  # a run has 1260 steps
            options={},
        )

    run_all(options, setting_of)


if __name__ == "__main__":
    main()
