"""Our own recipe: two networks with moving averages, each judged by the other's, that predict together.

Parts of several papers: two networks judge each other's labels (Han et al. 2018); what they say is the word of their moving
averages (Tarvainen & Valpola 2017), which also predict. All is noted as images pass, so nothing is scanned; the
averages see each image once more than plain training does. Two more parts can be added: mixup (Zhang et al. 2018) of
everything, and refused images learned by the averages' guess on another view (Berthelot et al. 2019). In short runs both cost
more than they gain (docs/decisions/0015-what-peer-ensemble-leaves-out.md); networks that learn labels by heart may need them.

Which labels are believed, :mod:`coteach.selection.believed_labels` decides. Measured in docs/benchmarks/noisy_fashion.md, and in
noisy_cifar.md. Items are images.

Shape legend: ``B`` images of a batch, ``C`` classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple

import torch
from torch import Tensor, nn

from coteach.errors import OptionError
from coteach.losses.mixmatch import sharpened
from coteach.losses.mixup import draw_mixing
from coteach.losses.one_label import check_one_label
from coteach.losses.soft_cross_entropy import check_same_items, log_of, masked_mean, soft_cross_entropy
from coteach.losses.target import as_soft_target, hard_label
from coteach.methods.base import NetworkFactory, Scan, Step, Stream, TaskInfo
from coteach.methods.label_method import LabelMethod
from coteach.models.ema import early_decay, follow, follower_of, mean_probs, watched_probs
from coteach.selection.believed_labels import BelievedLabels
from coteach.selection.schedules import (
    check_at_least,
    check_not_negative,
    check_positive,
    check_share,
    is_number,
    ramp,
)
from coteach.selection.whole_batch import mean_over_processes
from coteach.types import Batch, Figure, LossTerms, SoftTarget

_PEER = {"a": 1, "b": 0}  # network -> the row of the one that judges its labels


@dataclass(frozen=True, kw_only=True, slots=True)
class PeerEnsembleConfig:
    """Options of ``PeerEnsemble``.

    Args:
        warm_epochs: epochs in which all labels are believed, or over which a given forget rate rises from 0, >= 1; with
            ``auto`` labels are judged anew after as many again, and believed until they are learned by heart.
        forget_end: of each class, the share of labels that are not believed, those of largest loss, in [0, 1).
            ``auto`` estimates the noise from a tenth of the labels (if that is less, some 200 a class on average), which are
            never learned from; once the others are learned by heart, it refuses so many of those that are least likely
            right. ``mixture`` lets a mixture on the losses decide; it fails where those of right and wrong labels form no two
            groups, as with many labels flipped to one other class.
        threshold: of the mixture: a label is believed if that is more probable, in [0, 1).
        minimum_share: of the mixture: of each class, the part that is believed in any case, in [0, 1).
        ema_decay: of the moving averages, in [0, 1); 0 has none: the networks themselves judge and predict.
        mixup_alpha: of mixup's Beta distribution, >= 0, for example 1; 0 mixes nothing.
        label_smoothing: share of each label spread over all classes, in [0, 1].
        consistency: weight of refused images, whose label is the guess, >= 0, for example 1; 0 leaves them out.
        ramp_epochs: epochs after the warm-up over which that weight rises from 0.
        temperature: of sharpening the guess, > 0.

    Raises:
        OptionError: one is out of range.
    """

    warm_epochs: int = 5
    forget_end: float | Literal["auto", "mixture"] = "auto"
    threshold: float = 0.5
    minimum_share: float = 0.1
    ema_decay: float = 0.999
    mixup_alpha: float = 0.0
    label_smoothing: float = 0.1
    consistency: float = 0.0
    ramp_epochs: float = 10
    temperature: float = 0.5

    def __post_init__(self) -> None:
        for name in ("threshold", "minimum_share", "ema_decay"):
            check_share(name, getattr(self, name), below_one=True)
        if is_number(self.forget_end):
            check_share("forget_end", self.forget_end, below_one=True)
        elif self.forget_end not in ("auto", "mixture"):
            cause = f"{self.forget_end!r} is unknown"
            raise OptionError("forget_end", cause, "give a share, 'auto' or 'mixture'")
        check_share("label_smoothing", self.label_smoothing)
        for name in ("mixup_alpha", "consistency", "ramp_epochs"):
            check_not_negative(name, getattr(self, name), "use 0 to leave it out")
        check_positive("temperature", self.temperature)
        check_at_least("warm_epochs", self.warm_epochs, 1)


class _Lesson(NamedTuple):
    """What one network is to learn: label distributions ``(B, C)``, weights ``(B,)``, and which images count."""

    probs: Tensor
    weight: Tensor
    counts: Tensor


class PeerEnsemble(LabelMethod):
    """Two networks whose averages judge each other's labels and predict together.

    Attributes:
        believed: the division of the training set by the averages; a part of each checkpoint.
    """

    name: ClassVar[str] = "peer_ensemble"
    config_type: ClassVar[type] = PeerEnsembleConfig
    trained: ClassVar[tuple[str, ...]] = ("a", "b")
    later_knows_more: ClassVar[bool] = True
    believed: BelievedLabels

    def setup(self, factory: NetworkFactory, info: TaskInfo) -> None:
        """Build both networks, their averages, and the tables."""
        super().setup(factory, info)
        config: PeerEnsembleConfig = self.config
        self.believed = BelievedLabels(
            info.num_items,
            info.num_classes,
            info.seed,
            forget_end=config.forget_end,
            warm_epochs=config.warm_epochs,
            threshold=config.threshold,
            minimum_share=config.minimum_share,
        )
        if self.config.ema_decay > 0:
            for name in self.trained:
                self.networks[f"{name}_mean"] = follower_of(self.networks[name])

    @property
    def predicting(self) -> tuple[str, ...]:
        """Both averages, or both networks if there are none."""
        return tuple(name if self.config.ema_decay == 0 else f"{name}_mean" for name in self.trained)

    def prepare_epoch(self, epoch: int, scan: Scan) -> None:  # noqa: ARG002 -- the losses passed by already
        """Divide the labels by what was noted, if it is time to."""
        self.believed.begin_epoch(epoch)

    def streams(self, epoch: int) -> Sequence[Stream]:  # noqa: ARG002 -- every epoch the same
        """Two views: one is learned, the averages look at the other."""
        return (Stream(views=2),)

    def check_extent(self, extent: Sequence[int]) -> None:
        """Only images with one label each.

        Raises:
            InputError: they are maps.
        """
        check_one_label(self.name, extent)

    def losses(self, batches: Mapping[str, Batch], step: Step) -> LossTerms:
        """Cross-entropy of both networks with believed labels and with guesses."""
        batch = batches["train"]
        target = as_soft_target(batch.target, self.num_classes)
        self.check_extent(target.probs.shape[2:])
        guess = self._look(batch, target, step.epoch)
        networks = {}
        for name in self.trained:
            kept = target.valid & self.believed.kept[_PEER[name], batch.ids]
            self.tell_choice(self.trained[_PEER[name]], batch.ids, kept)
            lesson = self._lesson(target, kept, guess, step)
            networks[name] = {"cross_entropy": self._learn(name, batch, lesson, step)}
        logs: dict[str, Figure] = dict(self.believed.shares())
        if self.believed.judge is not None:
            logs["noise_rate"] = self.believed.judge.rate.clone()
            logs["memorization"] = self.believed.judge.memorization.clone()
        items = None if self._guess_weight(step.epoch) > 0 else target.valid.sum()
        return LossTerms(networks=networks, logs=logs, items=items)

    def _look(self, batch: Batch, target: SoftTarget, epoch: int) -> Tensor:
        """What the averages say of the last view, ``(B, C)``; it is recorded, and their losses are noted."""
        view = batch.views[-1]
        networks: list[nn.Module] = [self.networks[name] for name in self.predicting]
        if self.config.ema_decay > 0:
            said = watched_probs(networks, view)
        else:
            said = torch.stack([mean_probs([network], [view]) for network in networks])
        log_probs = log_of(said)
        for name, scores in zip(self.trained, log_probs, strict=True):
            self.record(name, batch, scores, epoch)
        losses = torch.stack([soft_cross_entropy(one, target.probs) for one in log_probs])
        label = torch.where(target.valid, hard_label(target.probs), -1)
        self.believed.note(batch.ids, label, torch.where(target.valid, losses, torch.nan), said)
        return said.mean(0)

    def _lesson(self, target: SoftTarget, kept: Tensor, guess: Tensor, step: Step) -> _Lesson:
        config: PeerEnsembleConfig = self.config
        smooth = config.label_smoothing
        label = (1 - smooth) * torch.nan_to_num(target.probs) + smooth / self.num_classes
        probs = torch.where(kept[:, None], label, sharpened(guess, config.temperature))
        share = self._guess_weight(step.epoch)
        weight = torch.where(kept, target.weight, share)
        return _Lesson(probs, weight, kept if share == 0 else torch.ones_like(kept))

    def _guess_weight(self, epoch: int) -> float:
        """Of refused images in this epoch."""
        past = epoch - self.config.warm_epochs
        return 0.0 if past < 0 else ramp(past, self.config.ramp_epochs, 0.0, self.config.consistency)

    def always_learns(self, epoch: int) -> bool:
        """Where refused images are learned with the guess."""
        return self._guess_weight(epoch) > 0

    def _learn(self, name: str, batch: Batch, lesson: _Lesson, step: Step) -> Tensor:
        """The loss of one network on the mixed images."""
        mixing = draw_mixing(batch.ids, self.config.mixup_alpha, seed=step.seed, step=step.index, stream=name)
        step.start_stream(name)
        if self.config.mixup_alpha == 0:
            logits, (probs, weight, counts) = self.networks[name](batch.inputs), lesson
        else:
            logits = self.networks[name](mixing.of(batch.inputs))
            probs, weight = mixing.of(lesson.probs), mixing.of(lesson.weight)
            counts = lesson.counts & lesson.counts[mixing.partner]  # half a label is none
        check_same_items(logits, probs)
        count = mean_over_processes(counts.sum())
        return masked_mean(soft_cross_entropy(logits, probs), counts, weight, count=count)

    def after_step(self, step: Step) -> None:
        """Move the averages; at first they forget fast, for the weights are random."""
        if self.config.ema_decay > 0:
            decay = early_decay(self.config.ema_decay, step.update)
            for name in self.trained:
                follow(self.networks[f"{name}_mean"], self.networks[name], decay)
