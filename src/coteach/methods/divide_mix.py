"""DivideMix: the training set is divided into clean and noisy labels, and learned semi-supervised (Li et al., ICLR 2020).

Before each epoch a mixture of two normal distributions is fitted to the losses of the whole training set, for each
network. What one network holds for clean is the labelled set of the *other*; the other images lose their labels. Both
are learned by MixMatch: labels are refined by the network's own prediction, missing ones guessed by both networks.
At first both networks learn from all labels (warm-up), else the losses would say nothing.

Here both networks learn in the same step, the published code trains one after the other; guesses are made in
evaluation mode by both (there one network is in training mode). Images without a label are never in a labelled set,
but their labels are guessed: they may be a part of the training set. Items are images: mixing maps mixes labels of
unlike pixels. Confidences (W_conf) count in the warm-up only: afterwards the mixture says what a label is worth.

Shape legend: ``N`` images of the training set, ``B`` of a batch, ``C`` classes, ``M`` views.

| part | where |
|---|---|
| mixture on the losses (3.1) | ``selection.dividing``, ``DivideMix.prepare_epoch`` |
| penalty on confidence in warm-up (3.1) | ``losses.mixmatch.confidence`` |
| co-refinement, co-guessing, sharpening (3.2) | ``DivideMix._learned``, ``losses.mixmatch`` |
| mixup (3.2) | ``losses.mixup`` |
| the three losses (3.2) | ``losses.mixmatch`` |
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple

import torch
from torch import Tensor

from coteach.losses.mixmatch import confidence, prior_penalty, refined, sharpened, squared_error
from coteach.losses.mixup import draw_mixing
from coteach.losses.one_label import check_one_label
from coteach.losses.soft_cross_entropy import check_same_items, masked_mean, soft_cross_entropy
from coteach.losses.target import as_soft_target, hard_label
from coteach.methods.base import NetworkFactory, Scan, Step, Stream, TaskInfo
from coteach.methods.label_method import LabelMethod
from coteach.models.ema import evaluating, mean_probs
from coteach.selection.dividing import divide
from coteach.selection.schedules import check_at_least, check_not_negative, check_positive, check_share, ramp
from coteach.selection.whole_batch import gather_items
from coteach.types import Batch, LossTerms

_JUDGE = {"a": ("b", 1), "b": ("a", 0)}  # network -> whose losses divide its set, and their row in the tables


@dataclass(frozen=True, kw_only=True, slots=True)
class DivideMixConfig:
    """Options of ``DivideMix``; the defaults are the paper's for CIFAR-10 with 50 % symmetric noise.

    Args:
        warm_epochs: epochs of plain training at first.
        threshold: an image is clean if that is more probable, in [0, 1).
        minimum_share: of each class as labelled, the part that is clean in any case, in [0, 1); the paper has none.
        temperature: ``T`` of sharpening, > 0.
        alpha: of mixup's Beta distribution, >= 0.
        lambda_u: weight of the loss on guessed labels, >= 0 (the paper: 0 to 150, more with more noise).
        ramp_epochs: epochs after the warm-up over which ``lambda_u`` rises from 0.
        prior_weight: of the penalty on predicting one class for everything, >= 0.
        confidence_weight: of the penalty on confidence in warm-up, >= 0; 1 for asymmetric noise.
        views: ``M``, how often each image is drawn for refining and guessing.
        inference: predictions by network ``a``, or the ``mean`` of both.

    Raises:
        OptionError: one is out of range.
    """

    warm_epochs: int = 10
    threshold: float = 0.5
    minimum_share: float = 0.0
    temperature: float = 0.5
    alpha: float = 4.0
    lambda_u: float = 25.0
    ramp_epochs: float = 16
    prior_weight: float = 1.0
    confidence_weight: float = 0.0
    views: int = 2
    inference: Literal["a", "mean"] = "mean"

    def __post_init__(self) -> None:
        check_share("threshold", self.threshold, below_one=True)
        check_share("minimum_share", self.minimum_share, below_one=True)
        check_positive("temperature", self.temperature)
        check_at_least("views", self.views, 1)
        for name in ("warm_epochs", "alpha", "lambda_u", "ramp_epochs", "prior_weight", "confidence_weight"):
            check_not_negative(name, getattr(self, name))


class _Learned(NamedTuple):
    """What a network learns from: images, what they are to be called, who they are; the labelled ones come first."""

    inputs: Tensor
    probs: Tensor
    items: Tensor
    labelled: int


class DivideMix(LabelMethod):
    """Two networks that divide the training set for each other.

    Attributes:
        clean: ``(2, N)`` float32, how likely each label is right by the losses of a, of b.
        kept: ``(2, N)`` bool, which are in the labelled set.
        divided: 0-d int64, the epoch for which they hold. All three are a part of each checkpoint.
    """

    name: ClassVar[str] = "divide_mix"
    config_type: ClassVar[type] = DivideMixConfig
    trained: ClassVar[tuple[str, ...]] = ("a", "b")
    clean: Tensor
    kept: Tensor
    divided: Tensor

    def setup(self, factory: NetworkFactory, info: TaskInfo) -> None:
        """Build both networks and the tables."""
        super().setup(factory, info)
        self.seed = info.seed
        self.register_buffer("clean", torch.ones(2, info.num_items))
        self.register_buffer("kept", torch.ones(2, info.num_items, dtype=torch.bool))
        self.register_buffer("divided", torch.tensor(-1))

    # -- dividing ---------------------------------------------------------------------------------------------

    def prepare_epoch(self, epoch: int, scan: Scan) -> None:
        """Divide the training set, unless that was done before the run was interrupted."""
        if epoch >= self.config.warm_epochs and int(self.divided) != epoch:
            self._divide(epoch, scan)
        for name, kept in zip(self.trained, self.kept, strict=True):
            self.tell_choice(name, torch.arange(len(kept), device=kept.device), kept)

    def _divide(self, epoch: int, scan: Scan) -> None:
        self.clean[:], self.kept[:] = divide(
            *self._scan_losses(scan, epoch),
            num_classes=self.num_classes,
            threshold=self.config.threshold,
            minimum_share=self.config.minimum_share,
            seed=self.seed,
        )
        self.divided.fill_(epoch)

    @torch.no_grad()
    def _scan_losses(self, scan: Scan, epoch: int) -> tuple[Tensor, Tensor, Tensor]:
        """Losses ``(2, N)`` of both networks for the images as they are, their labels, and which have one."""
        networks = [self.networks[name] for name in self.trained]
        seen: list[tuple[Tensor, ...]] = []
        with evaluating(networks):
            for batch in scan(Stream(name="scan", augment=False, shuffle=False)):
                target = as_soft_target(batch.target, self.num_classes)
                self.check_extent(target.probs.shape[2:])
                scores = [network(batch.inputs) for network in networks]
                for name, one in zip(self.trained, scores, strict=True):
                    self.record(name, batch, one, epoch)
                own = [soft_cross_entropy(one, target.probs) for one in scores]
                seen.append((batch.ids, *own, hard_label(target.probs), target.valid))
        parts = [torch.cat(part) for part in zip(*seen, strict=True)]
        (ids, loss_a, loss_b, label, valid), _ = gather_items(*parts)
        places = torch.empty_like(self.clean[0], dtype=torch.int64).index_copy_(
            0, ids, torch.arange(len(ids), device=ids.device)
        )
        return torch.stack([loss_a, loss_b])[:, places], label[places], valid[places]

    def streams(self, epoch: int) -> Sequence[Stream]:
        """One stream in the warm-up; then a labelled and an unlabelled one a network, if both have images."""
        if epoch < self.config.warm_epochs:
            return (Stream(),)
        streams = []
        for name, (_, row) in _JUDGE.items():
            kept = self.kept[row].cpu()
            for part, mask in (("labelled", kept), ("unlabelled", ~kept)):
                ids = mask.nonzero()[:, 0].tolist()
                if ids:
                    endless = part == "unlabelled"
                    streams.append(
                        Stream(name=f"{name}/{part}", ids=ids, views=self.config.views, endless=endless)
                    )
        return streams

    # -- learning ---------------------------------------------------------------------------------------------

    def check_extent(self, extent: Sequence[int]) -> None:
        """Only images with one label each.

        Raises:
            InputError: they are maps.
        """
        check_one_label(self.name, extent)

    def losses(self, batches: Mapping[str, Batch], step: Step) -> LossTerms:
        """Cross-entropy in the warm-up, MixMatch afterwards."""
        if "train" in batches:
            return self._warm_up(batches["train"], step)
        names = [name for name in self.trained if f"{name}/labelled" in batches]
        shares = self.kept.float().mean(1)
        return LossTerms(
            networks={name: self._mixmatch(name, batches, step) for name in names},
            logs={f"labelled_share/{name}": shares[_JUDGE[name][1]] for name in names},
        )

    def _warm_up(self, batch: Batch, step: Step) -> LossTerms:
        target = as_soft_target(batch.target, self.num_classes)
        self.check_extent(target.probs.shape[2:])
        networks: dict[str, dict[str, Tensor]] = {}
        for name in self.trained:
            logits = self.logits(name, batch, step)
            check_same_items(logits, target.probs)
            losses = soft_cross_entropy(logits, target.probs)
            networks[name] = {"cross_entropy": masked_mean(losses, target.valid, target.weight)}
            if self.config.confidence_weight > 0:
                penalty = masked_mean(confidence(logits), target.valid)
                networks[name]["confidence"] = self.config.confidence_weight * penalty
        return LossTerms(networks=networks, items=target.valid.sum())

    def _mixmatch(self, name: str, batches: Mapping[str, Batch], step: Step) -> dict[str, Tensor]:
        """The terms of one network."""
        config: DivideMixConfig = self.config
        learned = self._learned(name, batches)
        mixing = draw_mixing(learned.items, config.alpha, seed=step.seed, step=step.index, stream=name)
        step.start_stream(name)
        logits = self.networks[name](mixing.of(learned.inputs))
        target, count = mixing.of(learned.probs), learned.labelled
        terms = {
            "labelled": soft_cross_entropy(logits[:count], target[:count]).mean(),
            "prior": config.prior_weight * prior_penalty(logits),
        }
        if len(logits) > count:
            weight = ramp(step.epoch - config.warm_epochs, config.ramp_epochs, 0.0, config.lambda_u)
            terms["unlabelled"] = weight * squared_error(logits[count:], target[count:]).mean()
        return terms

    def _learned(self, name: str, batches: Mapping[str, Batch]) -> _Learned:
        """Images of all views with refined labels, then those with guessed ones."""
        judge, row = _JUDGE[name]
        own, other = self.networks[name], self.networks[judge]
        batch = batches[f"{name}/labelled"]
        temperature: float = self.config.temperature
        label = as_soft_target(batch.target, self.num_classes).probs
        probs = refined(label, mean_probs([own], batch.views), self.clean[row, batch.ids], temperature)
        views, targets, owners = list(batch.views), [probs] * len(batch.views), [batch.ids]
        unlabelled = batches.get(f"{name}/unlabelled")
        if unlabelled is not None:
            guess = sharpened(mean_probs([own, other], unlabelled.views), temperature)
            views += unlabelled.views
            targets += [guess] * len(unlabelled.views)
            owners.append(unlabelled.ids)
        count = self.config.views  # an image's views are told apart, for each is mixed with another one
        items = [ids * count + view for ids in owners for view in range(count)]
        return _Learned(torch.cat(views), torch.cat(targets), torch.cat(items), len(probs) * len(batch.views))
