"""Which items two networks learn from: the most confident ones, and of these each class's of smallest loss.

Xiao et al. 2026: the curriculum (eq. 6 and 7) admits items by the confidence of their labels, and each network's losses
choose among them for the other (eq. 9).

Shape legend: ``B`` samples, ``C`` classes, ``*S`` item axes (none for images, ``H W`` for pixels).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from coteach.errors import OptionError
from coteach.selection.curriculum import CurriculumScheduler, retain_most_confident
from coteach.selection.forgetting import ForgetEnd, ForgetRate, check_balance, check_forgetting
from coteach.selection.running import RunningConfidence
from coteach.selection.small_loss import select_small_loss
from coteach.types import Selection, SoftTarget

RetainBy = Literal["batch", "image", "set"]
Balance = Literal["batch", "sample", "set", "none"]


def check_shares(retain_by: str, balance: str, extent: Sequence[int]) -> None:
    """Refuse shares that cannot be taken of an item.

    Args:
        retain_by: see :class:`SoftLabelChoice`.
        balance: see there.
        extent: sides of the labels of one item; an image has one label: a share of it is all or nothing.

    Raises:
        OptionError: the items are images, and shares of each are asked for; or maps, and shares of the set.
    """
    for option, value, within in (("retain_by", retain_by, "image"), ("balance", balance, "sample")):
        if not len(extent) and value == within:
            cause = f"{within!r} takes a share of each map, and the items are images with one label"
            raise OptionError(option, cause, "use 'batch' or 'set'")
    check_balance(balance, extent)


class SoftLabelChoice:
    """The choice of a run; what it has seen so far belongs into checkpoints.

    Args:
        num_classes: ``C``.
        e_warm: epochs over which retention and forget rate rise, >= 0.
        p_start: share of the items admitted at epoch 0, in [0, 1].
        p_end: share admitted from epoch ``e_warm`` on, in [0, 1].
        forget_end: forget rate from epoch ``e_warm`` on, see :class:`~coteach.selection.forgetting.ForgetRate`.
        balance: ``batch``, ``set`` and ``none`` see there; ``sample`` takes the small-loss share of each class in each
            sample by itself.
        retain_by: the share admitted is that of the ``batch``, of each ``image``, or of the ``set`` as it is known so far.
        seed: decides between equal confidences and equal losses.
        sync: rank the items of all processes together (DDP).

    Attributes:
        forget: the forget rate; its ``noise`` and ``recent`` are what it has seen.
        curriculum: the share that is admitted, by epoch.
        running: the confidences seen so far; None unless ``retain_by`` is ``set``.

    Raises:
        OptionError: an option is unknown or out of range, or two have no meaning together.
    """

    def __init__(
        self,
        num_classes: int,
        e_warm: float,
        p_start: float,
        p_end: float,
        *,
        forget_end: ForgetEnd,
        balance: Balance,
        retain_by: RetainBy,
        seed: int,
        sync: bool,
    ) -> None:
        if retain_by not in get_args(RetainBy):
            raise OptionError("retain_by", f"{retain_by!r} is unknown", "use 'batch', 'image' or 'set'")
        if sync and (retain_by == "image" or balance == "sample"):
            what = "retain_by='image'" if retain_by == "image" else "balance='sample'"
            raise OptionError("sync", f"has no meaning with {what}", "leave one of the two out")
        check_forgetting(forget_end, e_warm, balance, "sample")
        self.num_classes = num_classes
        self.balance = balance
        self.retain_by = retain_by
        self.seed = seed
        self.sync = sync
        within = "batch" if balance == "sample" else balance
        self.forget = ForgetRate(forget_end, e_warm, num_classes, balance=within)
        self.curriculum = CurriculumScheduler(
            e_warm, p_start, p_end, forget_end=max(self.forget.ends), seed=seed
        )
        self.running = RunningConfidence() if retain_by == "set" else None

    def admit(
        self,
        logits: tuple[Float[Tensor, "b c *s"], Float[Tensor, "b c *s"]],
        label: Int[Tensor, "b *s"],
        target: SoftTarget,
        ids: Int[Tensor, " b"] | None,
        epoch: float,
        step: int,
    ) -> Selection:
        """The most confident items of those that have a label and are not held out.

        Args:
            logits: ``(B, C, *S)`` of both networks, by which a forget rate is estimated.
            label: ``(B, *S)`` the class of every item.
            target: its confidence.
            ids: ``(B,)`` of the samples, by which labels are held out; None holds none out.
            epoch: current epoch.
            step: counter of the batch, for ties.

        Returns:
            Its ``mask`` is bool ``(B, *S)``.

        Raises:
            OptionError: the items are images, and shares of each are asked for.
        """
        check_shares(self.retain_by, self.balance, label.shape[1:])
        usable = self.forget.usable(logits, label, target.valid, ids, epoch=epoch, seed=self.seed, step=step)
        share = self.curriculum.retention_rate(epoch)
        if self.running is not None:
            return self.running.admit(
                target.weight, share, valid=usable, seed=self.seed, step=step, sync=self.sync
            )
        return retain_most_confident(
            target.weight,
            share,
            valid=usable,
            per_image=self.retain_by == "image",
            seed=self.seed,
            step=step,
            sync=self.sync,
        )

    def choose(
        self,
        network: str,
        losses: Float[Tensor, "b *s"],
        label: Int[Tensor, "b *s"],
        admitted: Bool[Tensor, "b *s"],
        epoch: float,
        step: int,
    ) -> Selection:
        """The items of smallest loss among those admitted.

        Args:
            network: whose losses these are, ``a`` or ``b``.
            losses: ``(B, *S)`` plain losses.
            label: ``(B, *S)`` the class of every item.
            admitted: ``(B, *S)`` what :meth:`admit` has admitted.
            epoch: current epoch.
            step: counter of the batch, for ties.

        Returns:
            Its ``mask`` is bool ``(B, *S)``, within ``admitted``.

        Raises:
            OptionError: ``balance`` is ``set``, and the items are no images.
        """
        if self.balance != "sample":
            return self.forget.select(
                losses, label, admitted, judge=network, epoch=epoch, seed=self.seed, step=step, sync=self.sync
            )
        rates = self.forget.by_class(epoch, losses.device)
        sample = torch.arange(len(label), device=label.device, dtype=label.dtype)
        return select_small_loss(
            losses,
            rates.repeat(len(label)) if isinstance(rates, Tensor) else rates,
            group=label + sample.view(-1, *[1] * (label.ndim - 1)) * self.num_classes,
            num_groups=self.num_classes * len(label),
            eligible=admitted,
            seed=self.seed,
            step=step,
        )
