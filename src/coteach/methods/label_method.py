"""What methods share whose items have a label out of ``C`` classes: one score a class, and how predictions are judged.

Items are images, or the pixels of a map. Shape legend: ``N`` networks, ``B`` images of a batch, ``C`` classes, ``*S``
the sides of a map, none for images.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torchmetrics import MetricCollection
from torchmetrics.classification import MulticlassAccuracy, MulticlassJaccardIndex

from coteach.errors import OptionError
from coteach.losses.soft_cross_entropy import SoftLabelWeightedCELoss, log_of
from coteach.losses.target import as_soft_target, hard_label
from coteach.methods.base import Method, NetworkFactory, Step, TaskInfo
from coteach.methods.class_recall import MeanClassRecall
from coteach.types import Batch

_NO_LABEL = -1
Recorder = Callable[[str, Batch, Tensor, int], None]  # network, batch, scores, epoch
ChoiceListener = Callable[[str, Tensor, Tensor], None]  # network, ids, which of them it chose


class LabelMethod(Method):
    """Base of methods whose items have a label out of ``C`` classes: images, or the pixels of a map.

    Args:
        config: the method's options; its ``inference``, where it has one, says which networks predict.

    Raises:
        OptionError: the options are another method's, or ``inference`` is neither.

    Attributes:
        recorder: is told every network's scores of labelled items; None if nobody listens.
        choice_listener: is told which labels every network chooses to learn from; None if nobody listens.
        later_knows_more: what it tells the recorder late in training counts more: it is said by averages, which know
            little for long and hardly learn wrong labels by heart.
    """

    later_knows_more: ClassVar[bool] = False
    inference: Literal["a", "mean"] = "a"
    recorder: Recorder | None = None
    choice_listener: ChoiceListener | None = None

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

    def check_extent(self, extent: Sequence[int]) -> None:
        """Refuse items that the method, or an option of it, is not for; also before it is set up.

        Args:
            extent: sides of the labels of one item: none for an image with one label, ``(H, W)`` for a map.

        Raises:
            InputError, OptionError: it is refused.
        """

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

    def tell_choice(self, network: str, ids: Tensor, chosen: Tensor) -> None:
        """Tell the listener what a network holds for right; a later word on the same item and epoch replaces it.

        Args:
            network: which one chose; it may have chosen for the other.
            ids: ``(B,)`` the samples.
            chosen: ``(B, *S)`` bool.
        """
        if self.choice_listener is not None:
            self.choice_listener(network, ids, chosen)

    @property
    def predicting(self) -> tuple[str, ...]:
        """The networks whose mean is the prediction: network A, or all that were trained."""
        return self.trained[:1] if self.inference == "a" else self.trained

    @property
    def counting(self) -> tuple[str, ...]:
        """Averages that predict count, too: they are shown every batch."""
        return tuple(dict.fromkeys((*self.trained, *self.predicting)))

    def network_probs(self, inputs: Tensor, networks: Sequence[str]) -> Float[Tensor, "n b c *s"]:
        """Class probabilities ``(N, B, C, *S)`` of each of these networks; the others are not computed."""
        return torch.stack([self.networks[name](inputs).float().softmax(1) for name in networks])

    def predict(self, inputs: Tensor) -> Float[Tensor, "b c *s"]:
        """Class probabilities ``(B, C, *S)``: the mean over the networks in ``predicting``."""
        return self.network_probs(inputs, self.predicting).mean(0)

    def predict_beside(
        self, inputs: Tensor, networks: Sequence[str]
    ) -> tuple[Float[Tensor, "b c *s"], Float[Tensor, "n b c *s"]]:
        """``predict`` and ``network_probs`` of these networks; one that both need is computed once."""
        if type(self).predict is not LabelMethod.predict:  # predicts in a way of its own
            return self.predict(inputs), self.network_probs(inputs, networks)
        names = list(dict.fromkeys((*self.predicting, *networks)))
        probs = self.network_probs(inputs, names)
        prediction, compared = (
            torch.stack([probs[names.index(one)] for one in some]) for some in (self.predicting, networks)
        )
        return prediction.mean(0), compared

    def make_metrics(self) -> MetricCollection:
        """Overall and balanced accuracy and mean IoU against the hard labels; items without one are not counted."""
        # both sides are an argmax: to have them checked sorts every map, and makes a device wait several times a batch
        given: dict[str, Any] = {"ignore_index": _NO_LABEL, "validate_args": False}
        return MetricCollection(
            {
                "OA": MulticlassAccuracy(self.num_classes, average="micro", **given),
                "BA": MeanClassRecall(self.num_classes, **given),
                "mIoU": MulticlassJaccardIndex(self.num_classes, **given),
            }
        )

    def update_metrics(self, metrics: MetricCollection, prediction: Tensor, batch: Batch) -> None:
        """Count the argmax of the predictions against the argmax of the labels."""
        target = as_soft_target(batch.target, self.num_classes)
        label = torch.where(target.valid, hard_label(target.probs), _NO_LABEL)
        metrics.update(hard_label(prediction).long(), label.long())

    def validation_loss(self, prediction: Float[Tensor, "b c *s"], batch: Batch) -> Float[Tensor, ""]:
        """Confidence-weighted soft cross-entropy, for every method the same, so that runs compare."""
        return SoftLabelWeightedCELoss("val", self.num_classes).compute(log_of(prediction), batch.target)

    def validation_weight(self, batch: Batch) -> Int[Tensor, ""]:
        """As many items as have a label, so that the loss is the mean over all of them."""
        return as_soft_target(batch.target, self.num_classes).valid.sum()
