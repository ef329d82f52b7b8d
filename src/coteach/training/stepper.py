"""One step of all optimizers, with one gradient scaler: unscale all, clip each network, step all, update once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_
from torch.optim import Optimizer

from coteach.losses.target import all_labelled
from coteach.methods.base import Method
from coteach.methods.label_method import LabelMethod
from coteach.training.options import TrainerOptions
from coteach.types import Batch

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
        # whether a batch since the last step is known to have taught all networks something
        self._surely = False
        self._gradients: dict[str, Tensor] = {}  # that a checkpoint has of an incomplete group of batches

    def autocast(self, device: torch.device) -> torch.autocast:
        """Where the networks run in the lower precision, if there is one."""
        return torch.autocast(device.type, dtype=self._dtype, enabled=self._dtype is not None)

    def look_ahead(self, batches: Mapping[str, Batch], method: Method, epoch: int) -> None:
        """See by the labels of a batch whether it surely teaches all networks something: then the next step need not look.

        Args:
            batches: of every stream, on the host.
            method: what they are learned by.
            epoch: counted from 0.
        """
        if isinstance(method, LabelMethod) and method.always_learns(epoch):
            self._surely |= all(all_labelled(one.target, method.num_classes) for one in batches.values())

    def step(self, optimizers: Sequence[Optimizer], networks: Sequence[nn.Module]) -> bool:
        """Step each optimizer by the gradients of its network, and clear them.

        A network of which every gradient is zero, as after batches in which nothing has a label, stays as it is to the
        bit: momentum and weight decay wait, too. Processes that train together have the same gradients, so they decide
        alike without a word.

        Args:
            optimizers: one a network.
            networks: in the same order.

        Returns:
            Whether a network has learned something.
        """
        learning = []
        told = [True] * len(networks) if self._surely else _learn(networks)
        self._surely = False
        for optimizer, network, learns in zip(optimizers, networks, told, strict=True):
            if learns:
                learning.append(optimizer)
                self.scaler.unscale_(optimizer)
                if self._clip is not None:
                    clip_grad_norm_(network.parameters(), self._clip)
            else:
                optimizer.zero_grad()  # to None: optimizers pass over such weights, and are counted as having stepped
                optimizer.step()
        for optimizer in learning:
            # Of a fused one torch leaves it to the optimizer to pass over gradients that are no numbers, and tells it so by an
            # attribute, which here would be one of Lightning's wrapper: the optimizer itself would not know.
            vars(optimizer)["_step_supports_amp_scaling"] = False
            self.scaler.step(optimizer)
            optimizer.zero_grad()
        if learning:
            self.scaler.update()
        return bool(learning)

    def state_dict(self, named: Iterable[tuple[str, nn.Parameter]]) -> dict[str, Any]:
        """What a checkpoint holds: the scaler, and the gradients of a group of batches that is not complete.

        Args:
            named: all parameters; they have no gradients where the optimizers have just stepped.
        """
        gradients = {name: value.grad for name, value in named if value.grad is not None}
        return {"scaler": self.scaler.state_dict(), "gradients": gradients}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take what a checkpoint holds; the gradients wait for :meth:`put_back`."""
        self.scaler.load_state_dict(state_dict["scaler"])
        self._gradients = dict(state_dict["gradients"])

    def put_back(self, named: Iterable[tuple[str, nn.Parameter]]) -> None:
        """Give the parameters, which lie on their device by now, the gradients of the group that was interrupted."""
        for name, value in named:
            if name in self._gradients:
                value.grad = self._gradients.pop(name).to(value.device)


def _learn(networks: Sequence[nn.Module]) -> list[bool]:
    """Which networks have a gradient that is not zero.

    As a rule that of the last layer tells it: the host waits for the device once, not once a network.
    """
    gradients = [
        [weight.grad for weight in network.parameters() if weight.grad is not None] for network in networks
    ]
    last = [one[-1].any() for one in gradients if one]
    told = iter(torch.stack(last).tolist() if last else ())
    return [bool(one) and (next(told) or any(bool(gradient.any()) for gradient in one)) for one in gradients]
