"""Co-teaching on soft labels (Xiao et al. 2026; after Han et al. 2018).

Two networks see the same batch. The curriculum admits the ``P_e`` most confident items (eq. 6-7), each network
keeps the small-loss share of each class (eq. 9), each learns from the other's choice (eq. 11), and alike
neighbours are pulled together (eq. 10). CoT-Curr is ``lambda_reg = 0``, CoT-Full ``lambda_reg = 0.1``.

| equation | where |
|---|---|
| 6, 7 | ``selection.curriculum`` |
| 9 | ``selection.small_loss`` |
| 10 | ``losses.neighborhood`` |
| 11 | ``losses.cross_update`` |
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from coteach.losses.class_weights import all_weigh
from coteach.losses.co_teaching import CoTeachingLoss
from coteach.losses.target import as_soft_target
from coteach.methods.base import NetworkFactory, Scan, Step, TaskInfo
from coteach.methods.label_method import LabelMethod
from coteach.selection.forgetting import check_forgetting
from coteach.selection.schedules import check_not_negative, check_share
from coteach.selection.soft_label_choice import Balance, RetainBy, check_shares
from coteach.types import Batch, LossTerms


@dataclass(frozen=True, kw_only=True, slots=True)
class CoTeachingConfig:
    """Options of ``CoTeaching``; the defaults are the paper's.

    Args:
        e_warm: epochs over which both rates rise.
        p_start: share of the items admitted at epoch 0.
        p_end: share admitted from ``e_warm`` on.
        forget_end: share of each class left out from ``e_warm`` on; a list gives each class its own; ``auto`` takes
            the noise rate that a tenth of the images shows, whose labels nobody learns before ``e_warm``;
            ``auto_by_class`` that of each class.
        lambda_reg: weight of the neighbourhood term; 0 leaves it out.
        balance: small-loss share of each class over the ``batch`` or in each ``sample`` (eq. 9); of images also over the
            ``set`` as the latest batches have shown it: better where a batch has few of each class; ``none`` ranks the
            whole batch, whatever the classes: co-teaching as Han et al. have it, which drops classes that are few.
        retain_by: the share admitted is that of the ``batch``, of each ``image``, or of the ``set`` as the batches so
            far have shown it.
        regularize: the neighbourhood term is that of ``both`` networks, averaged, or of network ``a`` alone.
        sync: with several processes, rank the items of all of them together, as one process on the whole batch would.
        class_weights: one a class; an item weighs as the classes of its label do in what a network learns, never in
            what is chosen. None weighs all classes alike.
        dice_weight: adds this much of the soft Dice loss on what the other network chose, >= 0; 0 leaves it out.
        inference: predictions by network ``a``, or the ``mean`` of both.

    Raises:
        OptionError: one is out of range.
    """

    e_warm: float = 20
    p_start: float = 0.5
    p_end: float = 0.95
    forget_end: float | list[float] | Literal["auto", "auto_by_class"] = 0.3
    lambda_reg: float = 0.1
    balance: Balance = "batch"
    retain_by: RetainBy = "batch"
    regularize: Literal["both", "a"] = "both"
    sync: bool = False
    class_weights: list[float] | None = None
    dice_weight: float = 0.0
    inference: Literal["a", "mean"] = "a"

    def __post_init__(self) -> None:
        check_forgetting(self.forget_end, self.e_warm, self.balance, "sample")
        for name in ("p_start", "p_end"):
            check_share(name, getattr(self, name))
        for name in ("lambda_reg", "dice_weight"):
            check_not_negative(name, getattr(self, name), "use 0 to leave the term out")


class CoTeaching(LabelMethod):
    """Two networks, each taught by what the other finds believable."""

    name: ClassVar[str] = "co_teaching"
    config_type: ClassVar[type] = CoTeachingConfig
    trained: ClassVar[tuple[str, ...]] = ("a", "b")

    def __init__(self, config: CoTeachingConfig | None = None) -> None:
        super().__init__(config)
        rates = self.config.forget_end
        # refuses bad options now, not when training starts
        one_a_class = rates if isinstance(rates, list) else self.config.class_weights or [0.0]
        self._set_loss(num_classes=len(one_a_class), seed=0)

    def _set_loss(self, num_classes: int, seed: int) -> None:
        config: CoTeachingConfig = self.config
        self.loss = CoTeachingLoss(
            self.name,
            num_classes,
            config.e_warm,
            config.p_start,
            config.p_end,
            config.lambda_reg,
            forget_end=config.forget_end,
            balance=config.balance,
            seed=seed,
            retain_by=config.retain_by,
            regularize=config.regularize,
            sync=config.sync,
            class_weights=config.class_weights,
            dice_weight=config.dice_weight,
        )
        self.running = self.loss.running  # parts of the method, and so of its checkpoints
        self.recent = self.loss.forget.recent
        self.noise = self.loss.forget.noise

    def check_extent(self, extent: Sequence[int]) -> None:
        """Shares of each map are not of images, those of the set not of maps.

        Raises:
            OptionError: they are asked for.
        """
        check_shares(self.config.retain_by, self.config.balance, extent)

    def setup(self, factory: NetworkFactory, info: TaskInfo) -> None:
        """Build both networks; ties are broken by the run's seed."""
        super().setup(factory, info)
        self._set_loss(info.num_classes, info.seed)

    def prepare_epoch(self, epoch: int, scan: Scan) -> None:  # noqa: ARG002 -- the losses passed by already
        """Estimate the noise from the epoch before, if that is wanted."""
        if self.noise is not None:
            self.noise.begin_epoch(epoch)

    def always_learns(self, epoch: int) -> bool:
        """Unless labels are held out, a class weighs nothing, a whole batch may be judged by others, or none be admitted."""
        config: CoTeachingConfig = self.config
        # half of one item is rounded up to one
        admits = config.retain_by != "set" and self.loss.curriculum.retention_rate(epoch) >= 0.5
        certain = admits and all_weigh(config.class_weights)
        return certain and self.loss.forget.always_keeps(epoch)

    def losses(self, batches: Mapping[str, Batch], step: Step) -> LossTerms:
        """One term a network, and L_reg shared by both."""
        batch = batches["train"]
        self.loss.current_epoch = step.epoch
        self.loss.current_step = step.index
        terms = self.loss.terms(
            self.logits("a", batch, step),
            self.logits("b", batch, step),
            as_soft_target(batch.target, self.num_classes),
            features=batch.inputs if self.config.lambda_reg > 0 else None,
            ids=batch.ids,
        )
        for network, chosen in terms.chosen.items():
            self.tell_choice(network, batch.ids, chosen)
        return terms
