"""What a method is: networks, streams, losses, what follows a step, predictions. Nothing about how it is run.

A method is a ``torch.nn.Module``: its networks, and buffers such as ELR's table of predictions, are part of its
``state_dict`` and so of every checkpoint. It knows neither Lightning nor files nor configuration.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torchmetrics import MetricCollection

from coteach.data.keyed import seed_torch, stable_seed
from coteach.types import Batch, LossTerms

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
        update: steps of the optimizers before; fewer than batches where gradients are accumulated, or nothing has a label.
        seed: seed of the run.
    """

    epoch: int
    index: int
    update: int
    seed: int

    def start_stream(self, network: str) -> None:
        """Give ``network`` its own random stream (dropout) for this batch, keyed on seed, batch and name.

        Every random number of a step is keyed, so a resumed run draws the same ones as an uninterrupted run.
        """
        seed_torch(stable_seed(self.seed, "network", network, self.index))


Scan = Callable[[Stream], Iterable[Batch]]


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

    @property
    def counting(self) -> tuple[str, ...]:
        """The networks whose batch normalisation counts the batches of training: those that are trained."""
        return self.trained

    def always_learns(self, epoch: int) -> bool:  # noqa: ARG002 -- for those that override it
        """Whether all networks surely learn something from batches all of whose images have a label.

        Else, as where labels are held out or refused, gradients are looked at after each batch: those that are all zero
        move no weight. For that the host waits for the device.

        Args:
            epoch: counted from 0.
        """
        return False

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
        """After the optimizers have stepped (moving averages); not if no network had anything to learn."""

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

    def validation_weight(self, batch: Batch) -> int | Tensor:
        """How much a batch counts in the mean of the validation loss: as many samples as it has."""
        return len(batch.ids)
