"""The network of the benchmarks on Fashion-MNIST; imports torch alone, for it also runs beside other packages."""

from __future__ import annotations

from torch import nn


def network(classes: int = 10) -> nn.Module:
    """Two convolutions and a wide layer: cheap, and large enough to learn ten thousand wrong labels by heart."""

    def block(before: int, after: int) -> list[nn.Module]:
        return [nn.Conv2d(before, after, 3, stride=2, padding=1), nn.BatchNorm2d(after), nn.ReLU()]

    return nn.Sequential(
        *block(1, 32),
        *block(32, 64),
        nn.Flatten(),
        nn.Linear(64 * 7 * 7, 256),
        nn.ReLU(),
        nn.Linear(256, classes),
    )
