"""Randomness keyed on (seed, epoch, item, view), so that a resumed run draws what an uninterrupted one draws.

The key travels with the index from the sampler to the worker: it does not matter which worker draws a sample,
nor what was drawn before.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from hashlib import blake2b
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.utils.data import Dataset, Sampler

from coteach.data.collate import batch_of, sample_parts
from coteach.errors import InputError
from coteach.types import Batch


def stable_seed(*parts: int | str) -> int:
    """A seed in [0, 2^63) that depends on every part and on nothing else: not on the process or the machine.

    Example:
        >>> stable_seed(42, "order", 3) == stable_seed(42, "order", 3) != stable_seed(42, "order", 4)
        True
    """
    digest = blake2b("\0".join(f"{type(part).__name__}:{part}" for part in parts).encode(), digest_size=8)
    return int.from_bytes(digest.digest(), "little") >> 1


def seed_torch(seed: int) -> None:
    """Seed torch's global generators of the CPU and of every accelerator that is in use.

    The numbers drawn are those after ``torch.manual_seed``, which also asks backends that were never started to
    remember the seed and a traceback: close to a millisecond, at every step of every network.
    """
    torch.default_generator.manual_seed(seed)
    for backend in (torch.cuda, torch.xpu):
        if backend.is_initialized():
            backend.manual_seed_all(seed)
    if torch.backends.mps.is_available():
        torch.mps.manual_seed(seed)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed Python's, NumPy's and torch's global generators inside the block, and put them back after it."""
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002 -- users' own code draws from it
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002
    torch.default_generator.manual_seed(seed)
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])  # noqa: NPY002
        torch.set_rng_state(states[2])


class ItemKey(NamedTuple):
    """Which sample, in which epoch."""

    item: int
    epoch: int


class EpochSampler(Sampler[ItemKey]):
    """The samples of one epoch in an order that depends on (seed, epoch) only; each process takes its share.

    Args:
        ids: the samples to draw.
        seed: seed of the run.
        shuffle: a new order each epoch; otherwise the order of ``ids``.
        rank: this process.
        world_size: number of processes. The order is padded from its start so that all draw equally many.

    Attributes:
        epoch: whose order it gives.
        skipped: how many of this process's share it leaves out, from the beginning.
    """

    def __init__(
        self, ids: Sequence[int], *, seed: int, shuffle: bool = True, rank: int = 0, world_size: int = 1
    ) -> None:
        self.ids = ids
        self.seed = seed
        self.shuffle = shuffle
        self.rank = rank
        self.world_size = world_size
        self.epoch = 0
        self.skipped = 0

    def __len__(self) -> int:
        return (len(self.ids) + self.world_size - 1) // self.world_size

    def __iter__(self) -> Iterator[ItemKey]:
        order = np.asarray(self.ids, dtype=np.int64)
        if self.shuffle:
            order = np.random.default_rng(stable_seed(self.seed, "order", self.epoch)).permutation(order)
        order = np.resize(order, len(self) * self.world_size)
        for index in order[self.rank :: self.world_size][self.skipped :]:
            yield ItemKey(int(index), self.epoch)


class KeyedDataset(Dataset[dict[str, Any]]):
    """Draws the views of a sample of another data set, each from its own random numbers.

    Args:
        dataset: gives ``{"image", "mask", ...}`` or ``(image, label)``. If it has ``reseed(seed)``, that is
            called before each draw; ``plain(index)``, if it has one, gives a sample without augmentation.
        seed: seed of the run.
        views: how often each sample is drawn.
        augment: False draws by ``plain``.

    A data set whose ``stacks`` is true draws a whole batch by ``stacked(items, seeds)``: the images and the targets of
    ``(B,)`` positions, stacked, each with its own seed (None: without augmentation).
    """

    def __init__(self, dataset: Any, *, seed: int, views: int = 1, augment: bool = True) -> None:
        if not augment and not hasattr(dataset, "plain"):
            raise InputError(
                type(dataset).__name__, "has no plain(index)", "add it: the sample without augmentation"
            )
        self.dataset = dataset
        self.seed = seed
        self.views = views
        self.augment = augment

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, key: ItemKey) -> dict[str, Any]:
        samples = [self._draw(key, view) for view in range(self.views)]
        return {
            "id": key.item,
            "views": tuple(image for image, _, _ in samples),
            "targets": tuple(target for _, target, _ in samples),
            "extra": samples[0][2],
        }

    def __getitems__(self, keys: Sequence[ItemKey]) -> Batch | list[dict[str, Any]]:
        """Several samples: a batch at once from a data set that can (``stacks`` is true), else one by one."""
        if not getattr(self.dataset, "stacks", False):
            return [self[key] for key in keys]
        items = np.array([key.item for key in keys], np.int64)
        drawn = []
        for view in range(self.views):
            seeds = [self._seed(key, view) for key in keys] if self.augment else None
            drawn.append(self.dataset.stacked(items, seeds))
        return Batch(
            ids=torch.from_numpy(items),
            views=tuple(images for images, _ in drawn),
            targets=tuple(target for _, target in drawn),
        )

    def _seed(self, key: ItemKey, view: int) -> int:
        return stable_seed(self.seed, "item", key.epoch, key.item, view)

    def _draw(self, key: ItemKey, view: int) -> tuple[Any, Any, dict[str, Any]]:
        seed = self._seed(key, view)
        with seeded(seed):
            if not self.augment:
                return sample_parts(self.dataset.plain(key.item), self.dataset, key.item)
            if hasattr(self.dataset, "reseed"):
                self.dataset.reseed(seed)
            return sample_parts(self.dataset[key.item], self.dataset, key.item)


def first_sample(dataset: Any, *, seed: int) -> dict[str, Any]:
    """The first sample of a data set, as training draws it first."""
    return KeyedDataset(dataset, seed=seed)[ItemKey(0, 0)]


def first_batch(dataset: Any, *, seed: int) -> Batch:
    """The first sample of a data set, as training draws it first: a batch of one.

    Args:
        dataset: as for :class:`KeyedDataset`; its ``collate`` is used, if it has one.
        seed: seed of the run.
    """
    return batch_of(dataset, [first_sample(dataset, seed=seed)])
