"""The 9-layer network of Han et al. (2018), with which co-teaching was published."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, fx, nn
from torch.nn import functional as F

from coteach.errors import InputError, OptionError

_SLOPE = 0.01
# Output channels and padding of c1 to c9; a pool and dropout follow the third and the sixth.
_LAYERS = ((128, 1),) * 3 + ((256, 1),) * 3 + ((512, 0), (256, 0), (128, 0))
_POOLED = (3, 6)
_SMALLEST = 28  # two pools leave 7 x 7 of them, of which three unpadded convolutions leave one


class CNN(nn.Module):
    """Nine 3x3 convolutions, each with BatchNorm and leaky ReLU, global average pool, one linear layer.

    The names of its parts are those of cleanlab's network of the same name, so that a state dict of one loads into
    the other.

    Args:
        input_channel: channels of the images.
        n_outputs: ``C``.
        dropout_rate: share of channels dropped after each of the two pools, in [0, 1).
        top_bn: normalise the scores over the batch, too.

    Raises:
        OptionError: ``dropout_rate`` is outside [0, 1).

    Example:
        >>> CNN(input_channel=1, n_outputs=10)(torch.rand(2, 1, 28, 28)).shape
        torch.Size([2, 10])
    """

    def __init__(
        self,
        input_channel: int = 3,
        n_outputs: int = 10,
        dropout_rate: float = 0.25,
        top_bn: bool = False,
    ) -> None:
        if not 0 <= dropout_rate < 1:
            raise OptionError(
                "dropout_rate", f"{dropout_rate} is outside [0, 1)", "give a share of the channels"
            )
        super().__init__()
        self.dropout_rate = dropout_rate
        self.top_bn = top_bn
        channels = input_channel
        for number, (width, padding) in enumerate(_LAYERS, start=1):
            self.add_module(f"c{number}", nn.Conv2d(channels, width, 3, padding=padding))
            channels = width
        self.l_c1 = nn.Linear(channels, n_outputs)
        for number, (width, _) in enumerate(_LAYERS, start=1):
            self.add_module(f"bn{number}", nn.BatchNorm2d(width))
        if top_bn:
            self.bn_c1 = nn.BatchNorm1d(n_outputs)

    def forward(self, x: Float[Tensor, "b k h w"]) -> Float[Tensor, "b c"]:
        """Scores of the classes.

        Args:
            x: ``(B, K, H, W)`` images of ``K = input_channel`` channels, at least 28 x 28 pixels.

        Returns:
            ``(B, C)`` unnormalised scores.

        Raises:
            InputError: they are smaller, or no batch of images.
        """
        _check_shape(x)
        for number in range(1, len(_LAYERS) + 1):
            x = self.get_submodule(f"bn{number}")(self.get_submodule(f"c{number}")(x))
            x = F.leaky_relu(x, _SLOPE)
            if number in _POOLED:
                x = F.dropout2d(F.max_pool2d(x, 2), self.dropout_rate, training=self.training)
        scores: Tensor = self.l_c1(x.mean((2, 3)))
        return self.bn_c1(scores) if self.top_bn else scores


def _check_shape(x: Tensor) -> None:
    """Refuse what is no batch of images, and those of too few pixels.

    Raises:
        InputError: they are smaller than 28 x 28, or not of four axes.
    """
    if x.ndim != 4:
        cause = f"shape {tuple(x.shape)} is not (B, K, H, W)"
        raise InputError("images", cause, "give a batch of images; reshape rows of pixels to it")
    height, width = x.shape[-2:]
    if min(height, width) < _SMALLEST:
        cause = f"{height} x {width} pixels are too few: CNN takes {_SMALLEST} x {_SMALLEST} or more"
        raise InputError("images", cause, "enlarge them, or take another network")


fx.wrap("_check_shape")  # a graph is traced without a size
