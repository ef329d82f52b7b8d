"""A small Faster R-CNN with ImageNet weights, for few images and two CPU cores: EfficientNet-Lite0 under a feature pyramid."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path

from torch import nn
from torchvision.models.detection import FasterRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.backbone_utils import BackboneWithFPN
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.ops import MultiScaleRoIAlign
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool

from lite_network import lite_network

_CHANNELS = (40, 112, 320)  # of the stages that end at strides 8, 16 and 32
_WIDTH, _HEAD = 64, 256  # of the pyramid and of the box head


def lite_backbone(weights: Path | None) -> BackboneWithFPN:
    """Four levels, strides 8 to 64. Batch normalisation is folded into the convolutions, for a batch of
    two says little about statistics; the layers down to stride 4 are frozen.

    Args:
        weights: of :func:`lite_network.lite_weights`; None starts at random, with nothing folded or frozen.
    """
    network = lite_network(weights)
    stages = network.blocks
    body = nn.Sequential(
        OrderedDict(
            stem=nn.Sequential(network.conv_stem, network.bn1, stages[0], stages[1]),
            fine=stages[2],
            middle=nn.Sequential(stages[3], stages[4]),
            coarse=nn.Sequential(stages[5], stages[6]),
        )
    )
    if weights is not None:
        _fold(body)
        body.stem.requires_grad_(
            False
        )  # edges and colours need no cells; its gradient is a quarter of a step
    layers = {name: str(level) for level, name in enumerate(("fine", "middle", "coarse"))}
    return BackboneWithFPN(body, layers, list(_CHANNELS), _WIDTH, extra_blocks=LastLevelMaxPool())


def _fold(module: nn.Module) -> None:
    """Fold each batch normalisation into the convolution before it; the activation that timm puts inside of it stays."""
    before: nn.Conv2d | None = None
    for name, child in module.named_children():
        if isinstance(child, nn.BatchNorm2d):
            assert before is not None
            assert child.running_mean is not None
            assert child.running_var is not None
            scale = child.weight.data * (child.running_var + child.eps).rsqrt()
            before.weight.data *= scale[:, None, None, None]
            before.bias = nn.Parameter(child.bias.data - child.running_mean * scale)
            setattr(module, name, getattr(child, "act", nn.Identity()))
        else:
            _fold(child)
        before = child if isinstance(child, nn.Conv2d) else None


def lite_detector(
    num_classes: int, size: tuple[int, int], *, sides: tuple[int, ...], weights: Path | None
) -> FasterRCNN:
    """The detector.

    Args:
        num_classes: without the background.
        size: shorter and longest side at which images are judged, pixels; training takes its views as they are.
        sides: of the anchors, one a level, pixels.
        weights: of :func:`lite_network.lite_weights`.
    """
    levels = len(_CHANNELS) + 1
    return FasterRCNN(
        lite_backbone(weights),
        None,
        min_size=size[0],
        max_size=size[1],
        rpn_anchor_generator=AnchorGenerator(tuple((side,) for side in sides), ((0.5, 1.0, 2.0),) * levels),
        rpn_pre_nms_top_n_train=500,
        rpn_pre_nms_top_n_test=300,
        rpn_post_nms_top_n_train=300,
        rpn_post_nms_top_n_test=150,
        box_roi_pool=MultiScaleRoIAlign([str(level) for level in range(len(_CHANNELS))], 7, 2),
        box_head=TwoMLPHead(_WIDTH * 49, _HEAD),
        box_predictor=FastRCNNPredictor(_HEAD, num_classes + 1),
        box_batch_size_per_image=64,
        _skip_resize=True,
    )
