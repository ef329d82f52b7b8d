"""What changes from epoch to epoch in cleanlab's co-teaching module: forget rate, learning rate, β1."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float64

from coteach.errors import OptionError
from coteach.selection.schedules import check_share, ramp


def forget_rate_scheduler(
    epochs: int, forget_rate: float, num_gradual: int, exponent: float
) -> Float64[np.ndarray, " e"]:
    """The forget rate of every epoch: rising from 0 to ``forget_rate**exponent``, then ``forget_rate``.

    With an exponent other than 1 the rate jumps after the rise, by the definition that scripts rely on.

    Args:
        epochs: how many rates to give, >= 0.
        forget_rate: in [0, 1).
        num_gradual: epochs of the rise, >= 0; it is cut off if there are fewer epochs.
        exponent: > 0.

    Returns:
        ``(epochs,)`` float64 in [0, 1).

    Raises:
        OptionError: an argument is out of its range.
    """
    check_share("forget_rate", forget_rate, below_one=True)
    for name, number in (("epochs", epochs), ("num_gradual", num_gradual)):
        if number < 0:
            raise OptionError(name, f"{number} is negative", "give a number of epochs")
    if exponent <= 0:
        raise OptionError("exponent", f"{exponent} is not positive", "use 1 for a straight rise")
    rates = np.full(epochs, forget_rate, dtype=np.float64)
    rates[:num_gradual] = np.linspace(0, forget_rate**exponent, num_gradual)[:epochs]
    return rates


def initialize_lr_scheduler(
    lr: float = 0.001, epochs: int = 250, epoch_decay_start: int = 80
) -> tuple[list[float], list[float]]:
    """Learning rate and Adam's β1 of every epoch.

    Args:
        lr: until ``epoch_decay_start``.
        epochs: how many to give.
        epoch_decay_start: from here on the rate falls by the same amount each epoch; the last one is
            ``lr / (epochs − epoch_decay_start)``.

    Returns:
        Two lists of length ``epochs``; β1 is 0.9 throughout.
    """
    falling = max(0, epochs - epoch_decay_start)
    plan = [
        lr if falling == 0 else ramp(max(0, i - epoch_decay_start), falling, lr, 0.0) for i in range(epochs)
    ]
    return plan, [0.9] * epochs


def adjust_learning_rate(
    optimizer: torch.optim.Optimizer, epoch: int, alpha_plan: Sequence[float], beta1_plan: Sequence[float]
) -> None:
    """Set an epoch's learning rate, and β1 where the optimizer has one; β2 stays as it is.

    Args:
        optimizer: of one network.
        epoch: counted from 0.
        alpha_plan: a learning rate an epoch.
        beta1_plan: a β1 an epoch.

    Raises:
        OptionError: a plan is too short.
    """
    for group in optimizer.param_groups:
        group["lr"] = of_epoch("alpha_plan", alpha_plan, epoch)
        if "betas" in group:
            group["betas"] = (of_epoch("beta1_plan", beta1_plan, epoch), *group["betas"][1:])


def of_epoch(name: str, plan: Sequence[float] | Float64[np.ndarray, " e"], epoch: int) -> float:
    """The value of an epoch.

    Args:
        name: how the plan is called, for the message.
        plan: a value an epoch.
        epoch: counted from 0.

    Raises:
        OptionError: the plan is too short.
    """
    if not 0 <= epoch < len(plan):
        raise OptionError(
            name, f"{len(plan)} epochs long, epoch {epoch} asked for", "give a value an epoch, from 0"
        )
    return float(plan[epoch])
