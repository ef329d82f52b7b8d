"""Stops a run at the first batch whose loss is no number, and writes down which items it came from.

Reading a loss waits for an accelerator. Where that costs time several batches are looked at together: what each of them
was made of is kept until then, so that the first bad one is named and not the one that was last.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import torch
from torch import Tensor, nn

from coteach.errors import TrainingError
from coteach.files import write_json
from coteach.types import Batch, LossTerms

BAD_BATCH_FILE = "bad_batch.json"
_NAMED = 10  # items in the message; the file has all
_REMEDY = "look at these items or lower the learning rate; a checkpoint that there is, is from before"


@dataclass(frozen=True, slots=True)
class _Noted:
    """A batch that has not been looked at yet: where it stood, its losses, and its items by stream."""

    epoch: int
    index: int
    names: list[str]
    values: Tensor
    items: Mapping[str, tuple[Tensor, Sequence[str]]]


class LossGuard:
    """Looks at the loss terms of every batch, sooner or later.

    Args:
        file: gets the items of a bad batch: epoch, batch, its terms, and of each stream the ids (positions in the
            data set) and the names of the files, where the data set gives them. None writes none.

    Attributes:
        every: batches that are looked at together, >= 1.
    """

    def __init__(self, file: Path | None) -> None:
        self.every = 1
        self._file = file
        self._noted: list[_Noted] = []
        self._last: _Noted | None = None

    def note(self, terms: LossTerms, batches: Mapping[str, Batch], *, epoch: int, index: int) -> None:
        """Remember a batch, and look if it is time to.

        Args:
            terms: its losses.
            batches: stream name -> batch.
            epoch: counted from 0.
            index: batches seen before it, in the whole run.

        Raises:
            TrainingError: see :meth:`look`.
        """
        losses = {
            f"{name}/{term}": value for name, own in terms.networks.items() for term, value in own.items()
        }
        losses |= {f"shared/{term}": value for term, value in terms.shared.items()}
        values = torch.stack([value.detach().float() for value in losses.values()])
        items = {name: (batch.ids, _file_names(batch)) for name, batch in batches.items()}
        self._last = _Noted(epoch, index, list(losses), values, items)
        self._noted.append(self._last)
        if len(self._noted) >= self.every:
            self.look()

    @property
    def waiting(self) -> bool:
        """Whether a batch has been noted that has not been looked at."""
        return bool(self._noted)

    def look(self) -> None:
        """Look at the batches that are noted.

        Raises:
            TrainingError: a loss is NaN or infinite; the file with the batch's items is named.
        """
        noted, self._noted = self._noted, []
        if not noted:
            return
        numbers = iter(torch.cat([one.values for one in noted]).tolist())  # at once: the host waits once
        for one in noted:
            values = [next(numbers) for _ in one.names]
            bad = {n: v for n, v in zip(one.names, values, strict=True) if not math.isfinite(v)}
            if bad:
                said = ", ".join(f"{name} is {value}" for name, value in bad.items())
                self._stop(one, f"the loss is no number ({said})")

    def look_at_weights(self, networks: Mapping[str, nn.Module]) -> None:
        """Before a checkpoint: the batches that are noted, and the weights that the last one left.

        Args:
            networks: name -> network.

        Raises:
            TrainingError: as for :meth:`look`, or a weight is NaN or infinite.
        """
        self.look()
        for name, network in networks.items():
            weights = list(network.parameters())
            sums = torch.stack([weight.detach().float().abs().sum() for weight in weights])
            if self._last is not None and not bool(torch.isfinite(sums).all()):
                self._stop(self._last, f"after this batch weights of network {name} are no numbers")

    def _stop(self, one: _Noted, cause: str) -> NoReturn:
        items: dict[str, Any] = {}
        for stream, (ids, names) in one.items.items():
            items[stream] = {"ids": ids.tolist()} | ({"files": list(names)} if names else {})
        terms = {name: str(value) for name, value in zip(one.names, one.values.tolist(), strict=True)}
        content = {"epoch": one.epoch, "batch": one.index, "cause": cause, "terms": terms, "items": items}
        if self._file is not None:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            write_json(self._file, content)
        listed = ", ".join(f"{stream} {_some(own['ids'])}" for stream, own in items.items())
        where = "" if self._file is None else f", see {self._file}"
        raise TrainingError(
            f"epoch {one.epoch}, batch {one.index}", f"{cause}; its items are {listed}{where}", _REMEDY
        )


def _file_names(batch: Batch) -> Sequence[str]:
    """The files of a batch's items, where its data set gives them; else nothing."""
    for key in ("file_name", "path"):
        names = batch.extra.get(key)
        if isinstance(names, (list, tuple)) and len(names) == len(batch.ids):
            return [str(name) for name in names]
    return ()


def _some(ids: Sequence[int]) -> str:
    more = f" and {len(ids) - _NAMED} more" if len(ids) > _NAMED else ""
    return f"{list(ids[:_NAMED])}{more}"
