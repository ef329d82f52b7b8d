"""Batches that loader processes hand over in shared memory which is used again.

A ``DataLoader`` gives each batch fresh shared memory, and the system zeroes every page of it: that takes longer than to
stack the samples. Here each worker has a few buffers. It stacks a batch into a free one and sends where in the buffer
each tensor lies; the other side makes tensors of that very memory. When the last of them is gone, the
buffer goes back to the worker, through a pipe of its own. Without a free buffer a batch goes the ordinary way:
nothing ever waits, and a batch that somebody holds is never written to.

Here is the worker's side; the receiving one is in :mod:`coteach.data.lent_memory`.
"""

from __future__ import annotations

import io
import math
import pickle
import sys
import uuid
from collections.abc import Callable, Sequence
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from multiprocessing.reduction import ForkingPickler
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils.data import get_worker_info
from torch.utils.data._utils.collate import collate, collate_tensor_fn, default_collate_fn_map

from coteach.data.lent_memory import NEVER, bytes_of, unpack

_ALIGNED = 64  # bytes, as torch's own memory
_SPARE = 4096  # bytes, for numbers that are not stacked tensors


def stack_samples(samples: Sequence[Any]) -> Any:
    """As ``default_collate``, with tensors in reused memory where :class:`SharedBatches` asks for it."""
    return collate(list(samples), collate_fn_map={**default_collate_fn_map, Tensor: _stack})


class SharedBatches:
    """A ``collate_fn`` whose batches travel in shared memory that is used again; they are those of ``collate``.

    It needs nothing of the ``DataLoader``, whatever its workers: many or none, forked or spawned, kept or not. Without
    workers, and elsewhere than on Linux, it is ``collate`` itself.

    Args:
        collate: samples -> batch of any kind. What it stacks by :func:`stack_samples` takes part; tensors made otherwise
            travel as ever. It must not keep what it has returned.
        buffers: how many batches a worker has under way, and the user in hand, at most; more go the ordinary way.

    Example:
        >>> SharedBatches()([torch.tensor([1, 2]), torch.tensor([3, 4])]).tolist()
        [[1, 2], [3, 4]]
    """

    def __init__(self, collate: Callable[[Any], Any] = stack_samples, *, buffers: int = 4) -> None:
        self._collate = collate
        self._buffers = buffers
        self._slots: list[_Slot] = []
        self._needed = 0  # bytes of the largest batch yet; the first one only tells this

    def __call__(self, samples: Any) -> Any:
        """Collate samples; in a worker, into a free buffer."""
        global _writing  # noqa: PLW0603 -- what stack_samples writes to, deep inside of collate
        if get_worker_info() is None or sys.platform != "linux":
            return self._collate(samples)
        slot = self._free_slot()
        _writing = place = _Place(None if slot is None else slot.memory)
        try:
            batch = self._collate(samples)
        finally:
            _writing = None
        packed = batch if slot is None else slot.packed(batch, place)
        self._needed = max(self._needed, place.needed)
        return packed

    def _free_slot(self) -> _Slot | None:
        self._slots = [slot for slot in self._slots if not slot.is_lost()]
        free = [slot for slot in self._slots if not slot.lent]
        for slot in free:
            if slot.memory.numel() >= self._needed:
                return slot
            self._slots.remove(slot)
        if not self._needed or len(self._slots) >= self._buffers:
            return None
        self._slots.append(_Slot(self._needed + _SPARE))
        return self._slots[-1]


class _Slot:
    """A buffer of a worker."""

    def __init__(self, size: int) -> None:
        self.lent = False
        self._name = uuid.uuid4().hex
        self.memory = torch.empty(size, dtype=torch.uint8)
        self.memory.untyped_storage().share_memory_()
        self._answers, self._back = Pipe(duplex=False)
        self._news: tuple[Tensor, Connection] | None = (self.memory, self._back)

    def is_lost(self) -> bool:
        """Take the buffer back if it was given back; True if it cannot be used again."""
        if self.lent and self._answers.poll():
            if self._answers.recv_bytes() == NEVER:
                return True
            self.lent = False
        return False

    def packed(self, batch: Any, place: _Place) -> _Packed:
        """Lend the buffer, in which tensors of a batch lie."""
        stream = io.BytesIO()
        _BatchPickler(stream, self.memory, place).dump(batch)
        news, self._news = self._news, None  # lent again, it was given back before, and so is known there
        self.lent = True
        return _Packed(self._name, news, stream.getvalue())


class _Place:
    """Where the tensors of one batch go: one behind the other into a buffer, if there is one."""

    def __init__(self, memory: Tensor | None) -> None:
        self._memory = memory
        self.needed = 0  # bytes, of those without room, too

    def take(self, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor | None:
        """Memory for a tensor, with a storage of its own; None if there is no room."""
        count = math.prod(shape)
        start, size = self.needed, count * dtype.itemsize
        self.needed += -(-size // _ALIGNED) * _ALIGNED
        if self._memory is None or not count or start + size > self._memory.numel():
            return None
        return torch.frombuffer(bytes_of(self._memory), dtype=dtype, count=count, offset=start).view(shape)


_writing: _Place | None = None


def _stack(batch: Sequence[Tensor], *, collate_fn_map: Any = None) -> Tensor:
    first = batch[0]
    if _writing is not None and all(_alike(one, first) for one in batch):
        place = _writing.take((len(batch), *first.shape), first.dtype)
        if place is not None:
            return torch.stack(list(batch), out=place)
    stacked: Tensor = collate_tensor_fn(batch, collate_fn_map=collate_fn_map)
    return stacked


def _alike(one: Tensor, first: Tensor) -> bool:
    plain = type(one) is Tensor and one.layout == torch.strided and one.device.type == "cpu"
    return plain and not one.requires_grad and one.shape == first.shape and one.dtype == first.dtype


class _BatchPickler(ForkingPickler):
    """Pickles a batch; of storages within a buffer only where they lie. What is in private memory is copied there."""

    def __init__(self, stream: io.BytesIO, memory: Tensor, place: _Place) -> None:
        super().__init__(stream, pickle.HIGHEST_PROTOCOL)
        self._start, self._size = memory.data_ptr(), memory.numel()
        self._place = place
        self._copied: dict[int, Tensor] = {}

    def persistent_id(self, value: Any) -> tuple[int, int] | None:
        if type(value) is not torch.UntypedStorage or value.device.type != "cpu":
            return None
        size, start = value.nbytes(), value.data_ptr()
        if not self._start <= start < self._start + self._size:
            copy = self._copied.get(start)
            if copy is None:
                copy = None if value.is_shared() else self._place.take((size,), torch.uint8)
                if copy is None:
                    return None  # travels as ever
                self._copied[start] = copy.copy_(torch.tensor([], dtype=torch.uint8).set_(value))
            start = copy.data_ptr()
        return start - self._start, size


class _Packed(NamedTuple):
    """A batch under way; to unpickle it gives the batch itself."""

    name: str
    news: tuple[Tensor, Connection] | None
    content: bytes

    def __reduce__(self) -> tuple[Any, ...]:
        return unpack, (self.name, self.news, self.content)
