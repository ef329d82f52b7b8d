"""What EfficientNet-Lite0 with ImageNet weights says of small photographs: features for a small head, computed once."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from coteach.data.samples import default_cache_dir
from coteach.files import whole_file
from lite_network import lite_network, lite_weights

_WIDTH, _CLASSES = 1280, 10  # numbers of each image; classes of CIFAR-10
_SIDE = 96  # pixels, to which images are enlarged
_AT_ONCE = 200


def head() -> nn.Module:
    """What is trained on features."""
    wide = nn.Linear(_WIDTH, 256)
    return nn.Sequential(
        nn.Flatten(), nn.Dropout(0.3), wide, nn.ReLU(), nn.Dropout(0.3), nn.Linear(256, _CLASSES)
    )


def lite_features(images: np.ndarray, cache_dir: Path | None = None) -> np.ndarray:
    """Features before the last layer, kept in the cache for the next time.

    Args:
        images: ``(N, H, W, 3)`` uint8.
        cache_dir: None takes that of the sample data.

    Returns:
        ``(N, 1280, 1, 1)`` float32.
    """
    cache = default_cache_dir() if cache_dir is None else cache_dir
    file = cache / "efficientnet-lite0" / f"features-{hashlib.sha256(images.tobytes()).hexdigest()[:16]}.npy"
    if not file.is_file():
        features = _computed(images)
        file.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(file) as part, part.open("wb") as stream:
            np.save(stream, features)
    found: np.ndarray = np.load(file)
    return found.astype(np.float32)[:, :, None, None]


def _computed(images: np.ndarray) -> np.ndarray:
    network = lite_network(lite_weights()).eval()
    parts = []
    for start in range(0, len(images), _AT_ONCE):
        shown = torch.from_numpy(images[start : start + _AT_ONCE]).permute(0, 3, 1, 2).float() / 127.5 - 1
        with torch.inference_mode():
            large = F.interpolate(shown, size=(_SIDE, _SIDE), mode="bilinear", align_corners=False)
            parts.append(network.global_pool(network.forward_features(large)).half().numpy())
    return np.concatenate(parts)
