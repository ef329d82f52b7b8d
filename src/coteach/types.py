"""What flows through coteach: small typed containers. torch is imported for typing only.

Shape legend: ``B`` items of a batch, ``C`` classes, ``*S`` the item's own axes: none for an image with one
label, ``(H, W)`` for a map of pixels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeAlias, Union

if TYPE_CHECKING:
    from torch import Tensor

Figure: TypeAlias = Union["Tensor", float, "Share"]  # of a batch, for the log


@dataclass(frozen=True, slots=True)
class SoftTarget:
    """Label evidence for a batch.

    Args:
        probs: ``(B, C, *S)`` float, the label distribution; sums to 1 over ``C`` wherever ``valid``.
        weight: ``(B, *S)`` float in [0, 1], the confidence in the label (W_conf).
        valid: ``(B, *S)`` bool; False where there is no label at all. Such items never train.
    """

    probs: Tensor
    weight: Tensor
    valid: Tensor


@dataclass(frozen=True, slots=True)
class Batch:
    """One batch of one stream.

    Args:
        ids: ``(B,)`` int64, the stable position of every sample in its data set.
        views: one entry a view of the samples; each is what a network takes, usually ``(B, bands, H, W)``.
        targets: the label evidence of each view, for geometry moves it with the image; None without labels.
        extra: whatever else the data set gave (paths, geometry), collated, of the first view.
    """

    ids: Tensor
    views: tuple[Any, ...]
    targets: tuple[Any, ...]
    extra: Mapping[str, Any] = field(default_factory=dict)

    @property
    def inputs(self) -> Any:
        """The first view."""
        return self.views[0]

    @property
    def target(self) -> Any:
        """The labels of the first view."""
        return self.targets[0]

    def pin_memory(self) -> Batch:
        """What the networks see in page-locked memory; a ``DataLoader`` with ``pin_memory`` asks for it."""
        return replace(
            self,
            ids=self.ids.pin_memory(),
            views=tuple(_pinned(view) for view in self.views),
            targets=tuple(_pinned(target) for target in self.targets),
        )


def _pinned(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _pinned(part) for key, part in value.items()}
    if isinstance(value, (tuple, list)):
        return type(value)(_pinned(part) for part in value)
    pinnable = hasattr(value, "pin_memory") and getattr(
        value, "is_cpu", True
    )  # what lies on the device stays
    return value.pin_memory() if pinnable else value


@dataclass(frozen=True, slots=True)
class Share:
    """A part of a whole that is added up over an epoch: the figure is the sum of the parts by that of the wholes.

    Args:
        part: of this batch.
        whole: of this batch; an epoch whose wholes are all 0 has no such figure.
    """

    part: Tensor | float
    whole: Tensor | float


@dataclass(frozen=True, slots=True)
class LossTerms:
    """The scalars of one step.

    Args:
        networks: network name -> term name -> scalar; a network's own loss is their sum.
        shared: term name -> scalar that belongs to several networks at once (JoCoR's agreement, L_reg).
        logs: figures for the log, no gradient needed (selected share, retention, agreement).
        chosen: network name -> ``(B, *S)`` bool, the items that it chose, itself or for the other.
        items: 0-d int64, how many items there were to learn from, by which the scalars count in the mean of an epoch; None
            counts the samples of the batch.
    """

    networks: Mapping[str, Mapping[str, Tensor]]
    shared: Mapping[str, Tensor] = field(default_factory=dict)
    logs: Mapping[str, Figure] = field(default_factory=dict)
    chosen: Mapping[str, Tensor] = field(default_factory=dict)
    items: Tensor | None = None

    def total(self) -> Tensor:
        """Sum of all terms. The networks' graphs are disjoint: one backward of it serves all of them."""
        terms = [t for own in self.networks.values() for t in own.values()] + list(self.shared.values())
        return sum(terms[1:], start=terms[0])


@dataclass(frozen=True, slots=True)
class Selection:
    """Which items one ranking chose.

    Args:
        mask: bool, shaped like the losses: True where the item is to be learned from.
        count: 0-d int64, how many items ``mask`` holds.
        eligible: 0-d int64, how many items were there to choose from.
    """

    mask: Tensor
    count: Tensor
    eligible: Tensor
