"""Means over an epoch that go on where a checkpoint within the epoch left them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

import torch
from torch import Tensor

from coteach.data.sending import sent
from coteach.types import Figure, Share


class EpochMeans:
    """Weighted means of figures, added up batch by batch.

    Example:
        >>> means = EpochMeans()
        >>> means.add({"loss": torch.tensor(1.0)}, weight=1)
        >>> means.add({"loss": torch.tensor(4.0)}, weight=2)
        >>> means.result(lambda sums: sums)
        {'loss': tensor(3.)}
    """

    def __init__(self) -> None:
        # figures that come together -> (sums of weight x value, sums of weights), each (names,): few operators for
        # many figures; a figure is in one of them
        self._packs: dict[tuple[str, ...], Tensor] = {}

    def add(self, figures: Mapping[str, Figure], weight: int | Tensor) -> None:
        """Count the figures of a batch.

        Args:
            figures: name -> a number, or a share, which is not weighted but added up.
            weight: samples in the batch; a 0-d tensor is not read.
        """
        for names, pairs in _together(figures, weight):
            if names not in self._packs:
                self._pack(names)
            self._packs[names] = self._packs[names].to(pairs.device) + pairs

    def _pack(self, names: tuple[str, ...]) -> None:
        """Put these figures together, with what was added up of them in other company."""
        alone = {name: torch.zeros(2) for name in names}
        for others in [one for one in self._packs if not set(one).isdisjoint(names)]:
            alone |= dict(zip(others, self._packs.pop(others).unbind(1), strict=True))
        device = _accelerator(alone.values())
        self._packs[names] = torch.stack([alone.pop(name).to(device) for name in names], 1)
        self._packs |= {(name,): pair[:, None] for name, pair in alone.items()}

    def result(self, add_up: Callable[[Tensor], Tensor]) -> dict[str, Tensor]:
        """The means, without those of nothing.

        Args:
            add_up: a tensor of this process -> its sum over all processes.
        """
        return {name: pair[0] / pair[1] for name, pair in self.sums(add_up).items() if pair[1] > 0}

    def sums(self, add_up: Callable[[Tensor], Tensor]) -> dict[str, Tensor]:
        """What a checkpoint keeps, for the first process to go on with; the others begin with nothing.

        All processes add up the same figures in the same order, in whatever company each has met them.
        """
        pairs = {
            name: pair
            for names, pack in self._packs.items()
            for name, pair in zip(names, pack.unbind(1), strict=True)
        }
        if not pairs:
            return {}
        names, device = sorted(pairs), _accelerator(pairs.values())
        together = add_up(torch.stack([pairs[name].to(device) for name in names]))
        return dict(zip(names, together.unbind(), strict=True))

    def restart(self, sums: Mapping[str, Tensor] | None = None) -> None:
        """Begin with nothing, or with what a checkpoint kept."""
        self._packs = {(name,): pair[:, None] for name, pair in (sums or {}).items()}


def _accelerator(tensors: Iterable[Tensor]) -> torch.device:
    """The device of those that are not on the CPU, if there are any."""
    return max((one.device for one in tensors), key=lambda device: device.type != "cpu")


def _together(
    figures: Mapping[str, Figure], weight: int | Tensor
) -> Iterator[tuple[tuple[str, ...], Tensor]]:
    """Names and ``(2, names)`` sums of the figures whose numbers lie in the same places, shares apart from others."""
    groups: dict[tuple[torch.device, ...], dict[str, tuple[Tensor, ...]]] = {}
    for name, value in figures.items():
        numbers = tuple(map(_number, (value.part, value.whole) if isinstance(value, Share) else (value,)))
        groups.setdefault(tuple(number.device for number in numbers), {})[name] = numbers
    for places, group in groups.items():
        columns = [torch.stack(column) for column in zip(*group.values(), strict=True)]
        weights = [weight] if isinstance(weight, Tensor) and len(places) == 1 else []
        device = _accelerator([*columns, *weights])
        columns = [sent(column, device) for column in columns]
        if len(places) == 1:
            columns = [columns[0] * weight, torch.ones_like(columns[0]) * weight]
        yield tuple(group), torch.stack(columns)


def _number(value: Tensor | float) -> Tensor:
    return value.detach().float() if isinstance(value, Tensor) else torch.tensor(float(value))
