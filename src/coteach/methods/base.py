"""What a method is: networks, streams, losses, what follows a step, predictions. Nothing about how it is run.

A method is a ``torch.nn.Module``: its networks, and buffers such as ELR's table of predictions, are part of its
``state_dict`` and so of every checkpoint. It knows neither Lightning nor files nor configuration.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torchmetrics import MetricCollection
from torchmetrics.classification import MulticlassAccuracy, MulticlassJaccardIndex

from coteach.data.keyed import stable_seed
from coteach.errors import OptionError
from coteach.losses.soft_cross_entropy import SoftLabelWeightedCELoss
from coteach.losses.target import as_soft_target, hard_label
from coteach.methods.class_recall import MeanClassRecall
from coteach.types import Batch, LossTerms

_NO_LABEL = -1
NetworkFactory = Callable[[], nn.Module]


@dataclass(frozen=True, kw_only=True, slots=True)
class TaskInfo:
    """What a method may know of the task when it is set up.

    Args:
        num_classes: ``C``.
        num_items: samples in the training set; their ids are 0 to ``num_items - 1``.
        seed: seed of the run.
    """

    num_classes: int
    num_items: int
    seed: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Stream:
    """Samples that arrive together, batch by batch.

    Args:
        name: key of its batches in ``Method.losses``; a stream for one network only is called ``a/labelled``.
        source: the data set it draws from: ``train``, or another that the configuration names.
        ids: the samples to draw; None means all.
        batch_size: None means the configured one.
        views: how many times each sample is drawn, each time augmented by itself.
        augment: False gives the samples as they are.
        shuffle: a new order each epoch.
        endless: starts again whenever it is exhausted. The epoch is as long as its longest other stream.
    """

    name: str = "train"
    source: str = "train"
    ids: Sequence[int] | None = None
    batch_size: int | None = None
    views: int = 1
    augment: bool = True
    shuffle: bool = True
    endless: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """Where a run stands.

    Args:
        epoch: counted from 0.
        index: batches seen since the beginning of the run, counted from 0.
        seed: seed of the run.
    """

    epoch: int
    index: int
    seed: int

    def start_stream(self, network: str) -> None:
        """Give ``network`` its own random stream (dropout) for this batch, keyed on seed, batch and name.

        Every random number of a step is keyed, so a resumed run draws the same ones as an uninterrupted run.
        """
        torch.manual_seed(stable_seed(self.seed, "network", network, self.index))


Scan = Callable[[Stream], Iterable[Batch]]
Recorder = Callable[[str, Batch, Tensor, int], None]  # network, batch, scores, epoch


class Method(nn.Module, ABC):
    """Base of all methods. A subclass names itself, its networks and its configuration dataclass.

    Attributes:
        name: how configurations call it; the name of its file.
        trained: networks with an optimizer of their own, built each from its own random numbers. Networks
            that only follow others (a teacher) are added to ``networks`` by ``setup``.
        networks: name -> network.
    """

    name: ClassVar[str]
    config_type: ClassVar[type]
    trained: ClassVar[tuple[str, ...]] = ("a",)

    def __init__(self) -> None:
        super().__init__()
        self.networks = nn.ModuleDict()

    def setup(self, factory: NetworkFactory, info: TaskInfo) -> None:
        """Build the networks, each with its own initialisation.

        Args:
            factory: gives a freshly initialised network.
            info: the task.
        """
        for name in self.trained:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(stable_seed(info.seed, "init", name))
                self.networks[name] = factory()

    def prepare_epoch(self, epoch: int, scan: Scan) -> None:
        """Before an epoch's streams are asked for: ``scan`` yields batches of the whole training set.

        It is called once an epoch, also where the run was interrupted within it: what it decides belongs in buffers,
        which checkpoints hold.
        """

    def streams(self, epoch: int) -> Sequence[Stream]:  # noqa: ARG002 -- most methods want the same each epoch
        """The streams of this epoch; one shared by all networks unless overridden."""
        return (Stream(),)

    @abstractmethod
    def losses(self, batches: Mapping[str, Batch], step: Step) -> LossTerms:
        """The loss terms of one step.

        Args:
            batches: stream name -> batch.
            step: where the run stands.
        """

    def after_step(self, step: Step) -> None:
        """After the optimizers have stepped (moving averages)."""

    @abstractmethod
    def predict(self, inputs: Any) -> Any:
        """Predictions for a batch of inputs; the networks are in evaluation mode and no gradient is kept."""

    @abstractmethod
    def make_metrics(self) -> MetricCollection:
        """Fresh figures for validation."""

    @abstractmethod
    def update_metrics(self, metrics: MetricCollection, prediction: Any, batch: Batch) -> None:
        """Count a batch's predictions into the figures of ``make_metrics``."""

    @abstractmethod
    def validation_loss(self, prediction: Any, batch: Batch) -> Tensor:
        """A scalar that says how well ``prediction`` fits the labels of ``batch``; lower is better."""

    def validation_weight(self, batch: Batch) -> int:
        """How much a batch counts in the mean of the validation loss: as many samples as it has."""
        return len(batch.ids)


class LabelMethod(Method):
    """Base of methods whose items have a label out of ``C`` classes: images, or the pixels of a map.

    Args:
        config: the method's options; its ``inference``, where it has one, says which networks predict.

    Raises:
        OptionError: the options are another method's, or ``inference`` is neither.

    Attributes:
        recorder: is told every network's scores of labelled items; None if nobody listens.
    """

    inference: Literal["a", "mean"] = "a"
    recorder: Recorder | None = None

    def __init__(self, config: Any = None) -> None:
        super().__init__()
        self.config = self.config_type() if config is None else config
        if not isinstance(self.config, self.config_type):
            raise OptionError(
                self.name, f"config is a {type(config).__name__}", f"give {self.config_type.__name__}"
            )
        self.inference = getattr(self.config, "inference", self.inference)
        if self.inference not in ("a", "mean"):
            raise OptionError("inference", f"{self.inference!r} is unknown", "use 'a' or 'mean'")
        self.num_classes = 0

    def setup(self, factory: NetworkFactory, info: TaskInfo) -> None:
        """Build the networks and remember the number of classes."""
        super().setup(factory, info)
        self.num_classes = info.num_classes

    def logits(self, network: str, batch: Batch, step: Step) -> Tensor:
        """Scores ``(B, C, *S)`` of one network for the first view, drawn from the network's random stream."""
        step.start_stream(network)
        scores = self.networks[network](batch.inputs)
        assert isinstance(scores, Tensor)
        self.record(network, batch, scores, step.epoch)
        return scores

    def record(self, network: str, batch: Batch, scores: Tensor, epoch: int) -> None:
        """Tell the recorder; a method whose scores do not come from ``logits`` calls this once an epoch and item.

        Args:
            network: whose scores these are.
            batch: the items, with the labels as they were given.
            scores: of the first view, ``(B, C, *S)``, of images that are not mixed.
            epoch: counted from 0.
        """
        if self.recorder is not None:
            self.recorder(network, batch, scores, epoch)

    @property
    def predicting(self) -> tuple[str, ...]:
        """The networks whose mean is the prediction: network A, or all that were trained."""
        return self.trained[:1] if self.inference == "a" else self.trained

    def network_probs(self, inputs: Tensor, networks: Sequence[str]) -> Float[Tensor, "n b c *s"]:
        """Class probabilities ``(N, B, C, *S)`` of each of these networks; the others are not computed."""
        return torch.stack([self.networks[name](inputs).float().softmax(1) for name in networks])

    def predict(self, inputs: Tensor) -> Float[Tensor, "b c *s"]:
        """Class probabilities ``(B, C, *S)``: the mean over the networks in ``predicting``."""
        return self.network_probs(inputs, self.predicting).mean(0)

    def make_metrics(self) -> MetricCollection:
        """Overall and balanced accuracy and mean IoU against the hard labels; items without one are not counted."""
        classes = self.num_classes
        overall = MulticlassAccuracy(classes, average="micro", ignore_index=_NO_LABEL)
        return MetricCollection(
            {
                "OA": overall,
                "BA": MeanClassRecall(classes, ignore_index=_NO_LABEL),
                "mIoU": MulticlassJaccardIndex(classes, ignore_index=_NO_LABEL),
            }
        )

    def update_metrics(self, metrics: MetricCollection, prediction: Tensor, batch: Batch) -> None:
        """Count the argmax of the predictions against the argmax of the labels."""
        target = as_soft_target(batch.target, self.num_classes)
        label = torch.where(target.valid, hard_label(target.probs), _NO_LABEL)
        metrics.update(hard_label(prediction).long(), label.long())

    def validation_loss(self, prediction: Float[Tensor, "b c *s"], batch: Batch) -> Float[Tensor, ""]:
        """Confidence-weighted soft cross-entropy, for every method the same, so that runs compare."""
        smallest = torch.finfo(prediction.dtype).tiny
        return SoftLabelWeightedCELoss("val", self.num_classes).compute(
            prediction.clamp(min=smallest).log(), batch.target
        )

    def validation_weight(self, batch: Batch) -> int:
        """As many items as have a label, so that the loss is the mean over all of them; at least 1."""
        return max(1, int(as_soft_target(batch.target, self.num_classes).valid.sum()))
