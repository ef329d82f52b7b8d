"""CIFAR-10 with the labels that people gave it (CIFAR-10N): test accuracy of every method, on a GPU.

    python benchmarks/noisy_cifar.py --folder runs/noisy_cifar                           # worse, aggre, random1; resumable
    python benchmarks/noisy_cifar.py --network small --epochs 24 --precision bf16-mixed --device cpu     # two cores, hours; medium: four times as long
    python benchmarks/noisy_cifar.py --network features --images 18000 --epochs 20 --ema-decay 0.99 --device cpu  # minutes

ResNet-34 with a 3 x 3 stem, SGD with momentum 0.9, weight decay 5e-4 and a cosine, random crops and flips. On a GPU the
images lie there, and networks run in bf16, compiled. The first images of the training set train; the 2000 after them choose the best
epoch by their noisy labels; the 10,000 test images are only looked at.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from itertools import product
from typing import Any

import numpy as np
import torch
import torchvision
from torch import Tensor, nn
from torch.optim import SGD
from torch.optim.lr_scheduler import CosineAnnealingLR

from coteach.data.crop_flip import RandomCropFlip
from coteach.data.samples import prepare_cifar10, prepare_cifar10n
from known_noise import CLASSES, Setting, arguments, run_all
from lite_features import head, lite_features

NOISE = ("worse", "aggre", "random1")
HELD_OUT = 2000


def resnet34() -> nn.Module:
    """ResNet-34 as it is used on 32-pixel images: no stride and no pooling in the stem."""
    network = torchvision.models.resnet34(num_classes=CLASSES)
    network.conv1 = nn.Conv2d(3, 64, 3, padding=1, bias=False)
    network.maxpool = nn.Identity()
    return network


class _Residual(nn.Sequential):
    """Two convolutions whose result is added to what they were given."""

    def forward(self, inputs: Tensor) -> Tensor:
        return inputs + super().forward(inputs)


def eight_convolutions(width: int) -> nn.Module:
    """Eight convolutions, two of their pairs residual; for two cores.

    Of width 16 it has 0.4 million weights and 2 % of a ResNet-34's multiplications, of width 32 it has 1.6 million and 8 %.
    """

    def block(before: int, after: int, pool: int = 1) -> list[nn.Module]:
        return [
            nn.Conv2d(before, after, 3, padding=1, bias=False),
            nn.MaxPool2d(pool) if pool > 1 else nn.Identity(),
            nn.BatchNorm2d(after),
            nn.ReLU(),
        ]

    def residual(channels: int) -> nn.Module:
        return _Residual(*block(channels, channels), *block(channels, channels))

    return nn.Sequential(
        *block(3, width),
        *block(width, 2 * width, 2),
        residual(2 * width),
        *block(2 * width, 4 * width, 2),
        *block(4 * width, 8 * width, 2),
        residual(8 * width),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8 * width, CLASSES),
    )


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "resnet34": resnet34,
    "medium": partial(eight_convolutions, 32),
    "small": partial(eight_convolutions, 16),
    "features": head,
}


def prepared(make: Callable[[], nn.Module], compiled: bool) -> nn.Module:
    """A network with channels last, its forward pass compiled if wanted; its weights keep their names."""
    network = make().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if compiled:
        network.compile()
    return network


def sgd(lr: float, decay: float, epochs: int) -> dict[str, Any]:
    """Arguments of ``coteach.fit``: SGD with momentum along a cosine."""
    return {
        "optimizer": partial(SGD, lr=lr, momentum=0.9, weight_decay=decay, nesterov=True),
        "scheduler": partial(CosineAnnealingLR, T_max=epochs),
    }


def main() -> None:
    """Run what is not there yet, print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    arguments(parser, NOISE, "runs/noisy_cifar")
    parser.add_argument("--network", choices=NETWORKS, default="resnet34")
    parser.add_argument("--images", type=int, default=48000)
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--lr", type=float, default=0.02)
    parser.add_argument("--ema-decay", type=float, default=0.999, help="of moving averages")
    parser.add_argument("--precision", choices=("32-true", "bf16-mixed"), help="bf16 on a GPU unless given")
    options = parser.parse_args()
    on_gpu = options.device != "cpu" and torch.cuda.is_available()
    options.precision = options.precision or ("bf16-mixed" if on_gpu else "32-true")
    labels = np.load(prepare_cifar10n())
    photographs, test = (np.load(prepare_cifar10() / f"{part}.npz") for part in ("train", "test"))
    clean = labels["clean"].astype(np.int64)
    images, shown = photographs["images"][: options.images + HELD_OUT], test["images"]
    data: dict[str, Any] = {"batch_augmentation": RandomCropFlip(4)}
    if options.network == "features":
        images, shown, data = lite_features(images), lite_features(shown), {}
    train, held = slice(options.images), slice(options.images, options.images + HELD_OUT)
    make = NETWORKS[options.network]

    def setting_of(noise: str) -> Setting:
        given = labels[noise].astype(np.int64)
        return Setting(
            noise=noise,
            images=images[train],
            given=given[train],
            clean=clean[train],
            held=(images[held], given[held]),
            test=(shown, test["labels"].astype(np.int64)),
            network=partial(prepared, make, on_gpu),
            epochs=options.epochs,
            fit={"device": options.device} | sgd(options.lr, 5e-4, options.epochs),
            grid={
                f"lr{lr:g}-wd{decay:g}": sgd(lr, decay, options.epochs)
                for lr, decay in product((0.005, 0.02, 0.1), (5e-4, 5e-3))
            },
            data=data | ({"device": "cuda"} if on_gpu else {}),
            ema_decay=options.ema_decay,
            options={"precision": options.precision},
        )

    run_all(options, setting_of)


if __name__ == "__main__":
    main()
