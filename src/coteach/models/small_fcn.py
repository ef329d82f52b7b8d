"""A small fully convolutional network for spectral land-cover mapping on a CPU."""

from __future__ import annotations

from torch import nn

from coteach.errors import OptionError


class SmallFCN(nn.Sequential):
    """3x3 convolutions at full resolution, each with BatchNorm and ReLU, then a linear classifier of pixels.

    The receptive field is ``2·depth + 1`` pixels. Where bands say more than shapes do, as with 30 m imagery, it is
    as accurate as a U-Net and many times cheaper.

    Args:
        in_channels: bands of the image.
        classes: ``C``.
        width: channels of every hidden layer.
        depth: number of hidden layers, at least 1.
        dropout: share of channels dropped before the classifier, in [0, 1).

    Raises:
        OptionError: ``depth`` is below 1.

    Example:
        >>> SmallFCN(in_channels=5, classes=4)(torch.rand(2, 5, 32, 32)).shape
        torch.Size([2, 4, 32, 32])
    """

    def __init__(
        self, in_channels: int, classes: int, *, width: int = 32, depth: int = 4, dropout: float = 0.0
    ) -> None:
        if depth < 1:
            raise OptionError("depth", f"{depth} is below 1", "give the number of hidden layers")
        layers: list[nn.Module] = []
        for i in range(depth):
            layers += [
                nn.Conv2d(in_channels if i == 0 else width, width, 3, padding=1, bias=False),
                nn.BatchNorm2d(width),
                nn.ReLU(inplace=True),
            ]
        super().__init__(*layers, nn.Dropout2d(dropout), nn.Conv2d(width, classes, 1))
