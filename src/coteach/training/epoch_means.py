"""Means over an epoch that go on where a checkpoint within the epoch left them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

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
        self._sums: dict[str, Tensor] = {}  # name -> (sum of weight x value, sum of weights)

    def add(self, figures: Mapping[str, Figure], weight: int | Tensor) -> None:
        """Count the figures of a batch.

        Args:
            figures: name -> a number, or a share, which is not weighted but added up.
            weight: samples in the batch; a 0-d tensor is not read.
        """
        for name, value in figures.items():
            if isinstance(value, Share):
                pair = torch.stack([_number(value.part), _number(value.whole)])
            else:
                number = _number(value)
                pair = torch.stack([number * weight, torch.ones_like(number) * weight])
            known = self._sums.get(name)
            self._sums[name] = pair if known is None else known.to(pair.device) + pair

    def result(self, add_up: Callable[[Tensor], Tensor]) -> dict[str, Tensor]:
        """The means, without those of nothing.

        Args:
            add_up: a tensor of this process -> its sum over all processes.
        """
        return {name: pair[0] / pair[1] for name, pair in self.sums(add_up).items() if pair[1] > 0}

    def sums(self, add_up: Callable[[Tensor], Tensor]) -> dict[str, Tensor]:
        """What a checkpoint keeps, for the first process to go on with; the others begin with nothing."""
        if not self._sums:
            return {}
        device = max((pair.device for pair in self._sums.values()), key=lambda one: one.type != "cpu")
        together = add_up(torch.stack([pair.to(device) for pair in self._sums.values()]))
        return dict(zip(self._sums, together.unbind(), strict=True))

    def restart(self, sums: Mapping[str, Tensor] | None = None) -> None:
        """Begin with nothing, or with what a checkpoint kept."""
        self._sums = dict(sums or {})


def _number(value: Tensor | float) -> Tensor:
    return value.detach().float() if isinstance(value, Tensor) else torch.tensor(float(value))
