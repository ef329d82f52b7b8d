"""ELR: early-learning regularisation (Liu et al., NeurIPS 2020), with one network.

A network learns what is right before it learns what is wrong. ELR keeps a running mean ``t_i`` of what the network has
said of each image and adds ``λ·log(1 − ⟨p_i, t_i⟩)`` to the cross-entropy, which cancels the gradient of labels that
contradict it. Options add parts of ELR+: the mean of the weights (which then also gives the targets) and mixup.

Items are images: a table of one row a pixel would not fit, and augmentation moves pixels.

Shape legend: ``N`` images of the training set, ``B`` of a batch, ``C`` classes.

| part | where |
|---|---|
| targets ``t`` (temporal ensembling) | ``losses.early_learning.remembered`` |
| the regulariser | ``losses.early_learning.early_learning`` |
| weight averaging (ELR+) | ``models.ema`` |
| mixup (ELR+) | ``losses.mixup`` |
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from coteach.losses.early_learning import early_learning, remembered
from coteach.losses.mixup import Mixing, draw_mixing
from coteach.losses.one_label import check_one_label
from coteach.losses.soft_cross_entropy import check_same_items, log_of, masked_mean, soft_cross_entropy
from coteach.losses.target import as_soft_target
from coteach.methods.base import NetworkFactory, Step, TaskInfo
from coteach.methods.label_method import LabelMethod
from coteach.models.ema import early_decay, follow, follower_of, mean_probs, watched_probs
from coteach.selection.schedules import check_not_negative, check_share
from coteach.selection.whole_batch import gather_items
from coteach.types import Batch, LossTerms, Share


@dataclass(frozen=True, kw_only=True, slots=True)
class ElrConfig:
    """Options of ``Elr``; the defaults are the paper's for CIFAR-10.

    Args:
        beta: how much of the remembered prediction stays, in [0, 1).
        lambda_elr: weight of the regulariser, >= 0; 0 leaves plain cross-entropy.
        ema_decay: the network that predicts is the running mean of the weights with this decay, in [0, 1); 0 has
            none. ELR+ takes 0.997.
        mixup_alpha: parameter of mixup's Beta distribution, >= 0; 0 mixes nothing. ELR+ takes 1.

    Raises:
        OptionError: one is out of range.
    """

    beta: float = 0.7
    lambda_elr: float = 3.0
    ema_decay: float = 0.0
    mixup_alpha: float = 0.0

    def __post_init__(self) -> None:
        check_share("beta", self.beta, below_one=True)
        check_share("ema_decay", self.ema_decay, below_one=True)
        for name, value in (("lambda_elr", self.lambda_elr), ("mixup_alpha", self.mixup_alpha)):
            check_not_negative(name, value, "use 0 to leave it out")


class Elr(LabelMethod):
    """Cross-entropy held back by what the network said before.

    Attributes:
        table: ``(N, C)`` float32, ``t`` of every image; a part of each checkpoint.
    """

    name: ClassVar[str] = "elr"
    config_type: ClassVar[type] = ElrConfig
    table: Tensor

    def setup(self, factory: NetworkFactory, info: TaskInfo) -> None:
        """Build the network, its mean if there is one, and an empty table."""
        super().setup(factory, info)
        self.register_buffer("table", torch.zeros(info.num_items, info.num_classes))
        if self.config.ema_decay > 0:
            self.networks["ema"] = follower_of(self.networks["a"])

    @property
    def predicting(self) -> tuple[str, ...]:
        """The mean of the weights, if there is one."""
        return ("ema",) if "ema" in self.networks else ("a",)

    def always_learns(self, epoch: int) -> bool:  # noqa: ARG002
        """Every label, always."""
        return True

    def check_extent(self, extent: Sequence[int]) -> None:
        """Only images with one label each.

        Raises:
            InputError: they are maps.
        """
        check_one_label(self.name, extent)

    def losses(self, batches: Mapping[str, Batch], step: Step) -> LossTerms:
        """Cross-entropy and the regulariser."""
        config: ElrConfig = self.config
        batch = batches["train"]
        target = as_soft_target(batch.target, self.num_classes)
        self.check_extent(target.probs.shape[2:])
        mixing: Mixing | None = None
        inputs, probs, counts = batch.inputs, target.probs, target.valid
        if config.mixup_alpha > 0:
            mixing = draw_mixing(batch.ids, config.mixup_alpha, seed=step.seed, step=step.index)
            inputs, probs = mixing.of(inputs), mixing.of(torch.nan_to_num(probs))
            counts = counts & counts[mixing.partner]  # half a label is none
        step.start_stream("a")
        logits = self.networks["a"](inputs)
        check_same_items(logits, target.probs)
        memory = self._remember(batch, logits, target.valid, step.epoch, mixed=mixing is not None)
        if mixing is not None:
            memory = mixing.of(memory)
        weight = target.weight if mixing is None else mixing.of(target.weight)
        held = early_learning(logits, memory)
        remembered_label = torch.where(counts, (memory * probs).sum(1), 0).sum()
        return LossTerms(
            networks={
                "a": {
                    "cross_entropy": masked_mean(soft_cross_entropy(logits, probs), counts, weight),
                    "early_learning": config.lambda_elr * masked_mean(held, counts),
                }
            },
            logs={"remembered_label": Share(remembered_label, counts.sum())},
            items=counts.sum(),
        )

    @torch.no_grad()
    def _remember(self, batch: Batch, logits: Tensor, valid: Tensor, epoch: int, *, mixed: bool) -> Tensor:
        """Write what is said of the batch's images into the table, and give their rows."""
        if "ema" in self.networks:
            probs = watched_probs([self.networks["ema"]], batch.inputs)[0]
        elif mixed:
            probs = mean_probs([self.networks["a"]], [batch.inputs])
        else:
            probs = logits.detach().float().softmax(1)
        self.record("a", batch, log_of(probs), epoch)
        rows = self.table[batch.ids]
        rows = torch.where(valid[:, None], remembered(rows, probs, self.config.beta), rows)
        (ids, written), _ = gather_items(batch.ids, rows)  # the table is the same in all processes
        self.table[ids] = written
        return rows

    def after_step(self, step: Step) -> None:
        """Move the mean of the weights; at first it forgets fast, for the weights are random."""
        if "ema" in self.networks:
            follow(self.networks["ema"], self.networks["a"], early_decay(self.config.ema_decay, step.update))
