"""One step of all optimizers, with one gradient scaler: unscale all, clip each network, step all, update once."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn.utils import clip_grad_norm_
from torch.optim import Optimizer

from coteach.training.options import TrainerOptions

_DTYPES = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}


class Stepper:
    """Mixed precision and clipping.

    Args:
        options: precision, accelerator and the largest norm of a gradient.

    Attributes:
        scaler: scales losses in ``16-mixed``; else it leaves them.
    """

    def __init__(self, options: TrainerOptions) -> None:
        device = "cuda" if options.accelerator != "cpu" and torch.cuda.is_available() else "cpu"
        self.scaler = torch.amp.GradScaler(device, enabled=options.precision == "16-mixed")
        self._dtype = _DTYPES.get(options.precision)
        self._clip = options.gradient_clip_val

    def autocast(self, device: torch.device) -> torch.autocast:
        """Where the networks run in the lower precision, if there is one."""
        return torch.autocast(device.type, dtype=self._dtype, enabled=self._dtype is not None)

    def step(self, optimizers: Sequence[Optimizer], networks: Sequence[nn.Module]) -> None:
        """Step each optimizer by the gradients of its network, and clear them."""
        for optimizer, network in zip(optimizers, networks, strict=True):
            self.scaler.unscale_(optimizer)
            if self._clip is not None:
                clip_grad_norm_(network.parameters(), self._clip)
        for optimizer in optimizers:
            self.scaler.step(optimizer)
        self.scaler.update()
        for optimizer in optimizers:
            optimizer.zero_grad()
