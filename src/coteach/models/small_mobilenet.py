"""The small network of the task with imbalanced, noisy labels (``examples/imbalanced_noisy``)."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn

from coteach.errors import OptionError


class SmallMobileNet(nn.Module):
    """A 3x3 and a 1x1 convolution, each with BatchNorm and ReLU6, global average pool, two linear layers.

    The pool leaves shares of local patterns, 3 x 3 pixels large; where they are is not known to the classifier.

    Args:
        num_classes: ``C``.
        in_channels: channels of the images.
        stride: of the 3x3 convolution; 2, as in MobileNet, is four to eight times faster than 1.

    Raises:
        OptionError: an argument is below 1.

    Example:
        >>> SmallMobileNet()(torch.rand(2, 1, 28, 28)).shape
        torch.Size([2, 2])
    """

    def __init__(self, num_classes: int = 2, in_channels: int = 1, *, stride: int = 1) -> None:
        for name, number in (("num_classes", num_classes), ("in_channels", in_channels), ("stride", stride)):
            if number < 1:
                raise OptionError(name, f"{number} is below 1", "give a positive number")
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(in_channels, 32, 3, stride=stride, padding=1, bias=False),
            nn.BatchNorm2d(32),
            nn.ReLU6(inplace=True),
            nn.Conv2d(32, 256, 1, bias=False),
            nn.BatchNorm2d(256),
            nn.ReLU6(inplace=True),
        )
        self.classifier = nn.Sequential(
            nn.Linear(256, 128), nn.ReLU6(inplace=True), nn.Dropout(0.5), nn.Linear(128, num_classes)
        )

    def forward(self, x: Float[Tensor, "b k h w"]) -> Float[Tensor, "b c"]:
        """Scores of the classes.

        Args:
            x: ``(B, K, H, W)`` images of ``K = in_channels`` channels, of any size.

        Returns:
            ``(B, C)`` unnormalised scores.
        """
        scores: Tensor = self.classifier(self.features(x).mean((2, 3)))
        return scores
