"""Eight small images of two classes, the network for them, and the options of a short ``coteach.fit``."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn
from torch.utils.data import TensorDataset

LABELS = np.arange(8) % 2
IMAGES = np.random.default_rng(0).random((8, 4, 4), np.float32) + LABELS[:, None, None].astype(np.float32)
TENSORS = TensorDataset(torch.from_numpy(IMAGES[:, None]), torch.from_numpy(LABELS))
SHORT = {"epochs": 1, "batch_size": 4, "device": "cpu"}


def linear() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(16, 2))
