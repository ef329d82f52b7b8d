"""The share of items that is left out, by epoch: given, given by class, or estimated; and which items these are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, get_args

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from coteach.data.sending import sent
from coteach.errors import OptionError
from coteach.selection.noise_rate import NoiseRate
from coteach.selection.recent_losses import RecentLosses
from coteach.selection.schedules import check_not_negative, check_share, is_number, ramp
from coteach.selection.small_loss import select_small_loss
from coteach.types import Selection

ForgetEnd = float | Sequence[float] | Literal["auto", "auto_by_class"]
Balance = Literal["batch", "set", "none"]
_ESTIMATED = ("auto", "auto_by_class")


class ForgetRate(nn.Module):
    """``R(e)``: rises from 0 to its end over the first epochs (Han et al. 2018: ``min(τ·e/T_k, τ)``).

    Args:
        end: the rate from epoch ``e_warm`` on, in [0, 1); a list gives each class its own; ``auto`` takes the noise
            rate that images show whose labels are held out before ``e_warm``, ``auto_by_class`` that of each class.
        e_warm: epochs until ``end`` is reached, >= 0.
        num_classes: ``C``.
        balance: leave out the share of each class of the ``batch``; of each class of the ``set``, as the latest batches have
            shown it, for images only; or that of the whole batch, whatever the classes (``none``).
        judges: who chooses items, see :meth:`select`.

    Attributes:
        noise: the estimate; None unless it is asked for.
        recent: judge -> the latest losses; empty unless ``balance`` is ``set``.

    Raises:
        OptionError: a rate is outside [0, 1), there is not one a class, or ``e_warm`` is negative.
    """

    def __init__(
        self,
        end: ForgetEnd,
        e_warm: float,
        num_classes: int,
        *,
        balance: Balance = "batch",
        judges: Sequence[str] = ("a", "b"),
    ) -> None:
        super().__init__()
        self.balance = balance
        listening = judges if balance == "set" else ()
        self.recent = nn.ModuleDict({judge: RecentLosses(num_classes) for judge in listening})
        self.e_warm = e_warm
        ramp(0, e_warm, 0.0, 1.0)  # refuses a negative e_warm
        self.noise = NoiseRate(num_classes, until=e_warm) if end in _ESTIMATED else None
        self.differs = end == "auto_by_class"
        self.ends: tuple[float, ...] = (0.0,) * num_classes
        if self.noise is None:
            self.ends = _one_a_class(end, num_classes)
            self.differs = len(set(self.ends)) > 1

    def overall(self, epoch: float) -> float | Float[Tensor, " 1"]:
        """The rate of the whole batch; the highest, where each class was given its own."""
        progress = ramp(epoch, self.e_warm, 0.0, 1.0)
        if self.noise is not None:
            return self.noise.overall * progress
        return ramp(epoch, self.e_warm, 0.0, max(self.ends))

    def by_class(self, epoch: float, device: torch.device) -> float | Float[Tensor, " c"]:
        """The rate of each class; a number where it is the same for all and known beforehand."""
        progress = ramp(epoch, self.e_warm, 0.0, 1.0)
        if self.noise is not None:
            rates = self.noise.by_class if self.differs else self.noise.overall.expand(len(self.ends))
            return rates * progress
        if not self.differs:
            return ramp(epoch, self.e_warm, 0.0, self.ends[0])
        return sent(torch.tensor(self.ends, dtype=torch.float64), device) * progress

    def figures(self, epoch: float) -> dict[str, Tensor | float]:
        """For the log: the rate of the epoch, and the estimated noise."""
        rate = self.overall(epoch)
        shown: dict[str, Tensor | float] = {"forget_rate": rate[0] if isinstance(rate, Tensor) else rate}
        if self.noise is not None:
            shown["noise_rate"] = self.noise.overall[0].clone()
        return shown

    def holds_out(self, epoch: float) -> bool:
        """Whether labels are held out in this epoch."""
        return self.noise is not None and epoch < self.noise.until

    def usable(
        self,
        logits: tuple[Float[Tensor, "b c *s"], Float[Tensor, "b c *s"]],
        label: Int[Tensor, "b *s"],
        valid: Bool[Tensor, "b *s"],
        ids: Int[Tensor, " b"] | None,
        *,
        epoch: float,
        seed: int,
        step: int,
    ) -> Bool[Tensor, "b *s"]:
        """Which items may be learned from; if the rate is estimated, it hears of the others.

        Args:
            logits: of both networks.
            label: class of every item.
            valid: which items have a label.
            ids: of the samples, by which they are held out; None holds none out: the estimate is of all items then.
            epoch: current epoch.
            seed: seed of the run.
            step: counter of the batch.
        """
        if self.noise is None or not self.holds_out(epoch):  # nobody has to hear
            return valid
        if ids is None:
            self.noise.observe(logits, label, valid, seed=seed, step=step)
            return valid
        out = self.noise.holds_out(ids.long(), epoch=epoch, seed=seed)
        apart = out.view(-1, *[1] * (valid.ndim - 1)).expand(valid.shape)
        self.noise.observe(logits, label, valid & apart, valid & ~apart, seed=seed, step=step)
        return valid & ~apart

    def always_keeps(self, epoch: float) -> bool:
        """Whether some of the items of any batch are kept in this epoch."""
        return self.balance != "set" and not self.holds_out(epoch)

    def select(
        self,
        losses: Float[Tensor, "*items"],
        label: Int[Tensor, "*items"],
        eligible: Bool[Tensor, "*items"],
        *,
        judge: str,
        epoch: float,
        seed: int,
        step: int,
        sync: bool = False,
    ) -> Selection:
        """Keep the items of smallest loss, ``1 - R(e)`` of them.

        Args:
            losses: plain losses, any shape.
            label: class of every item.
            eligible: which items to choose from.
            judge: whose losses these are, one of ``judges``.
            epoch: current epoch.
            seed: seed of the run, for ties.
            step: counter of the batch, for ties.
            sync: rank the items of all processes together (DDP); the ``set`` is always that of all.

        Raises:
            OptionError: ``balance`` is ``set``, and the items are no images.
        """
        if self.balance == "set":
            check_balance(self.balance, losses.shape[1:])
            recent = self.recent[judge]
            assert isinstance(recent, RecentLosses)
            rates = self.by_class(epoch, losses.device)
            return recent.select(losses, label, rates, eligible=eligible, epoch=epoch, step=step, seed=seed)
        balanced = self.balance == "batch"
        return select_small_loss(
            losses,
            self.by_class(epoch, losses.device) if balanced else self.overall(epoch),
            group=label if balanced else None,
            num_groups=len(self.ends) if balanced else None,
            eligible=eligible,
            seed=seed,
            step=step,
            sync=sync,
        )


def check_balance(balance: str, extent: Sequence[int]) -> None:
    """Refuse a balance that items are not for.

    Args:
        balance: see :class:`ForgetRate`.
        extent: sides of the labels of one item.

    Raises:
        OptionError: it is ``set``, and the items are maps.
    """
    if balance == "set" and len(extent):
        cause = "'set' is for images with one label each; these are maps"
        raise OptionError("balance", cause, "use 'batch': it has pixels enough of each class")


def check_forgetting(end: Any, e_warm: Any, balance: Any, *more: str) -> None:
    """Refuse rates before training starts, when the number of classes is not known yet.

    Args:
        end: see :class:`ForgetRate`.
        e_warm: see there.
        balance: see there.
        *more: what else a method knows as ``balance``.

    Raises:
        OptionError: one is unknown, of the wrong kind or out of range, or classes have rates of their own and the batch is
            ranked whole.
    """
    known = (*get_args(Balance), *more)
    if balance not in known:
        remedy = f"use {', '.join(map(repr, known[:-1]))} or {known[-1]!r}"
        raise OptionError("balance", f"{balance!r} is unknown", remedy)
    listed = isinstance(end, Sequence) and not isinstance(end, str)
    if (listed or end == "auto_by_class") and balance == "none":
        remedy = "set balance: set (for maps balance: batch), or give one rate"
        raise OptionError("forget_end", "is by class, but the batch is ranked whole", remedy)
    if not (isinstance(end, str) and end in _ESTIMATED):
        _one_a_class(end, len(end) if listed else 1)
    check_not_negative("e_warm", e_warm, "count epochs from 0")


def _one_a_class(end: Any, num_classes: int) -> tuple[float, ...]:
    if is_number(end):
        return (check_share("forget_end", end, below_one=True),) * num_classes
    if isinstance(end, str) or not isinstance(end, Sequence):
        raise OptionError("forget_end", f"{end!r} is unknown", "give a share, 'auto' or 'auto_by_class'")
    if len(end) != num_classes:
        raise OptionError("forget_end", f"{len(end)} rates for {num_classes} classes", "give one a class")
    return tuple(check_share("forget_end", rate, below_one=True) for rate in end)
