"""Means over an epoch that go on where a checkpoint within the epoch left them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import torch
from torch import Tensor

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
        # figures that come together -> (sums of weight x value, sums of weights), each (names,): few operators for many figures
        self._sums: dict[tuple[str, ...], Tensor] = {}

    def add(self, figures: Mapping[str, Figure], weight: int | Tensor) -> None:
        """Count the figures of a batch.

        Args:
            figures: name -> a number, or a share, which is not weighted but added up.
            weight: samples in the batch; a 0-d tensor is not read.
        """
        for names, pair in _together(figures, weight):
            known = self._sums.get(names)
            self._sums[names] = pair if known is None else known.to(pair.device) + pair

    def result(self, add_up: Callable[[Tensor], Tensor]) -> dict[str, Tensor]:
        """The means, without those of nothing.

        Args:
            add_up: a tensor of this process -> its sum over all processes.
        """
        pairs: dict[str, Tensor] = {}
        for names, sums in self.sums(add_up):
            for name, pair in zip(names, sums.unbind(1), strict=True):
                pairs[name] = pair if name not in pairs else pairs[name].to(pair.device) + pair
        return {name: pair[0] / pair[1] for name, pair in pairs.items() if pair[1] > 0}

    def sums(self, add_up: Callable[[Tensor], Tensor]) -> list[tuple[list[str], Tensor]]:
        """What a checkpoint keeps, for the first process to go on with; the others begin with nothing."""
        return [(list(names), add_up(pair)) for names, pair in self._sums.items()]

    def restart(self, sums: Iterable[tuple[Sequence[str], Tensor]] = ()) -> None:
        """Begin with nothing, or with what a checkpoint kept."""
        self._sums = {tuple(names): pair for names, pair in sums}


def _together(
    figures: Mapping[str, Figure], weight: int | Tensor
) -> Iterator[tuple[tuple[str, ...], Tensor]]:
    """Names and ``(2, names)`` sums of the figures that lie on one device, shares apart from others."""
    groups: dict[tuple[bool, torch.device], dict[str, tuple[Tensor, ...]]] = {}
    for name, value in figures.items():
        shared = isinstance(value, Share)
        numbers = (
            (_number(value.part), _number(value.whole)) if isinstance(value, Share) else (_number(value),)
        )
        groups.setdefault((shared, numbers[0].device), {})[name] = numbers
    for (shared, _), group in groups.items():
        columns = [torch.stack(column) for column in zip(*group.values(), strict=True)]
        if not shared:
            columns = [columns[0] * weight, torch.ones_like(columns[0]) * weight]
        yield tuple(group), torch.stack(columns)


def _number(value: Tensor | float) -> Tensor:
    return value.detach().float() if isinstance(value, Tensor) else torch.tensor(float(value))
