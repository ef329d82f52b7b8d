"""Tensors in memory that a loader process lent: the receiving side of :mod:`coteach.data.shared_batches`.

A buffer goes back, through its pipe, when the last tensor of its batch is gone; unless a process was forked meanwhile,
which may still look at the batch: then the worker is told never to use the buffer again.
"""

from __future__ import annotations

import ctypes
import io
import os
import pickle
import select
import weakref
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

import torch
from torch import Tensor

AGAIN, NEVER = b"\1", b"\0"  # what is said of a buffer that is given back


class _Source(NamedTuple):
    """A worker's buffer, as the receiving process knows it, and the pipe to give it back."""

    memory: Tensor
    back: Connection


_known: dict[str, _Source] = {}
_forks = 0


def unpack(name: str, news: tuple[Tensor, Connection] | None, content: bytes) -> Any:
    """The batch that a worker sent; its tensors are the worker's memory, which goes back with the last of them.

    Args:
        name: of the buffer.
        news: the buffer, uint8 in shared memory, and the pipe to give it back; None if both were sent before.
        content: the pickled batch; of storages within the buffer it has the first byte and the number of bytes.
    """
    if news is not None:
        _forget_gone()
        _known[name] = _Source(*news)
    source = _known[name]
    # Tensors made of an object with a buffer hold it: it is gone with the last of them, however they are passed on.
    lease = bytes_of(source.memory)
    weakref.finalize(lease, _give_back, name, source, os.getpid(), _forks).atexit = False
    return _BatchUnpickler(io.BytesIO(content), lease).load()


class _BatchUnpickler(pickle.Unpickler):
    def __init__(self, stream: io.BytesIO, lease: ctypes.Array[ctypes.c_char]) -> None:
        super().__init__(stream)
        self._lease = lease

    def persistent_load(self, place: tuple[int, int]) -> torch.UntypedStorage:
        start, size = place
        return torch.frombuffer(self._lease, dtype=torch.uint8, count=size, offset=start).untyped_storage()


def _give_back(name: str, source: _Source, process: int, forks: int) -> None:
    if os.getpid() != process:  # a copy that was forked; the batch may live on where it came from
        return
    reusable = forks == _forks  # else a process that was forked meanwhile may still look at the batch
    if not reusable:
        _known.pop(name, None)
    with suppress(OSError):  # the worker has ended
        source.back.send_bytes(AGAIN if reusable else NEVER)
        return
    _forget_gone()


def _forget_gone() -> None:
    """Let go of the buffers of workers that have ended."""
    for name, source in list(_known.items()):
        ends = select.poll()
        ends.register(source.back, 0)  # asks for nothing but errors: nobody is at the other end
        if ends.poll(0):
            _known.pop(name, None)


def bytes_of(memory: Tensor) -> ctypes.Array[ctypes.c_char]:
    """The very memory of a uint8 tensor on the CPU, which lives as long as what is returned."""
    found = (ctypes.c_char * memory.numel()).from_address(memory.data_ptr())
    found.memory = memory  # type: ignore[attr-defined]  # which lives as long
    return found


def _count_fork() -> None:
    global _forks  # noqa: PLW0603
    _forks += 1


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_count_fork, after_in_child=_known.clear)
