"""Streams -> batches: one loader a stream, the batches of all of them side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from torch.utils.data import DataLoader

from coteach.data.collate import collate_batch
from coteach.data.keyed import EpochSampler, KeyedDataset
from coteach.data.shared_batches import SharedBatches
from coteach.errors import ConfigError
from coteach.methods.base import Stream
from coteach.training.loader_errors import CollateOrError, ErrorsForBatches, RaisingLoader, start_worker
from coteach.types import Batch


@dataclass(frozen=True, kw_only=True, slots=True)
class LoaderOptions:
    """How samples are loaded.

    Args:
        batch_size: samples a batch, > 0.
        num_workers: loader processes; 0 loads in the training process.
        pin_memory: page-locked memory, for faster copies to an accelerator.
        drop_last: leave out a last, smaller batch of an epoch, in streams that are shuffled.
    """

    batch_size: int = 8
    num_workers: int = 0
    pin_memory: bool = False
    drop_last: bool = False

    def __post_init__(self) -> None:
        if self.batch_size < 1 or self.num_workers < 0:
            raise ConfigError(
                "data_loader",
                f"batch_size {self.batch_size}, num_workers {self.num_workers}",
                "batch_size must be at least 1, num_workers at least 0",
            )

    def deciding(self) -> dict[str, Any]:
        """Those that decide what a run becomes, as plain data: not how fast samples are loaded."""
        return {key: value for key, value in asdict(self).items() if key not in ("num_workers", "pin_memory")}


def make_loader(
    dataset: Any, stream: Stream, options: LoaderOptions, *, seed: int, rank: int = 0, world_size: int = 1
) -> DataLoader[Any]:
    """A loader of one stream.

    Args:
        dataset: where the stream draws from.
        stream: what it draws.
        options: how; the stream's batch size goes before.
        seed: seed of the run.
        rank: this process.
        world_size: number of processes.

    Raises:
        ConfigError: the stream has no sample, or no full batch with ``drop_last`` (a selection of samples, which the method
            makes in training, is then taken as it is).
    """
    ids: Sequence[int] = range(len(dataset)) if stream.ids is None else stream.ids
    _check_count(len(ids), stream, options, world_size)
    return RaisingLoader(
        ErrorsForBatches(KeyedDataset(dataset, seed=seed, views=stream.views, augment=stream.augment)),
        sampler=EpochSampler(ids, seed=seed, shuffle=stream.shuffle, rank=rank, world_size=world_size),
        batch_size=stream.batch_size or options.batch_size,
        num_workers=options.num_workers,
        pin_memory=options.pin_memory,
        drop_last=_drops_last(len(ids), stream, options, world_size),
        persistent_workers=options.num_workers > 0,
        # Forked workers inherit open raster handles and deadlock.
        multiprocessing_context="spawn" if options.num_workers > 0 else None,
        worker_init_fn=start_worker,
        collate_fn=CollateOrError(SharedBatches(getattr(dataset, "collate", collate_batch))),
    )


def refuse_no_batch(
    streams: Sequence[Stream], datasets: Mapping[str, Any], options: LoaderOptions, *, world_size: int = 1
) -> None:
    """Look for streams of whole data sets that :func:`make_loader` will refuse.

    Args:
        streams: of a method; what it selects itself is known in training only.
        datasets: source name -> data set.
        options: how samples are loaded.
        world_size: number of processes.

    Raises:
        ConfigError: a stream has no sample, or no full batch with ``drop_last``.
    """
    for stream in streams:
        if stream.ids is None and stream.source in datasets:
            _check_count(len(datasets[stream.source]), stream, options, world_size)


def _check_count(count: int, stream: Stream, options: LoaderOptions, world_size: int) -> None:
    if count == 0:
        raise ConfigError(f"stream {stream.name!r}", "has no sample", "check the data set and the selection")
    size, share = stream.batch_size or options.batch_size, -(-count // world_size)
    if share < size and _drops_last(count, stream, options, world_size):
        key = "data_loader.batch_size" if stream.batch_size is None else "the method's batch"
        part = f", {share} in each of {world_size} processes" if world_size > 1 else ""
        cause = f"true leaves no batch: of {stream.name} there are {count} samples{part}, a batch has {size}"
        raise ConfigError(
            "data_loader.drop_last", cause, f"lower {key} to {share} or less, or set it to false"
        )


def _drops_last(count: int, stream: Stream, options: LoaderOptions, world_size: int) -> bool:
    """Not of what goes in order, which is seen whole, nor of a selection so small that nothing would be left."""
    full = -(-count // world_size) >= (stream.batch_size or options.batch_size)
    return options.drop_last and stream.shuffle and (full or stream.ids is None)


class StreamLoader:
    """Iterates over several streams at once, giving ``{stream name: batch}``.

    An epoch is as long as the longest stream that is not endless; every other stream starts again, in the same
    order, whenever it is exhausted. Lightning keeps its state in checkpoints: of a loaded one the epoch goes on, and
    the batches that it had are not loaded.

    Args:
        loaders: stream name -> loader.
        streams: the streams, in the same order.
    """

    def __init__(self, loaders: Mapping[str, DataLoader[Any]], streams: Sequence[Stream]) -> None:
        self.loaders = loaders
        self.streams = tuple(streams)
        finite = [len(loaders[s.name]) for s in self.streams if not s.endless]
        if not finite:
            raise ConfigError("streams", "all are endless", "let one say how long an epoch is")
        self._length = max(finite)
        self._first = self._given = 0

    def set_epoch(self, epoch: int) -> None:
        """Draw the order of ``epoch`` from now on."""
        for loader in self.loaders.values():
            assert isinstance(loader.sampler, EpochSampler)
            loader.sampler.epoch = epoch

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[dict[str, Batch]]:
        self._given, self._first = self._first, 0
        sources = {s.name: _repeat(self.loaders[s.name], self._given) for s in self.streams}
        while self._given < self._length:
            self._given += 1
            yield {name: next(source) for name, source in sources.items()}

    def state_dict(self) -> dict[str, int]:
        """How many batches of the epoch have been given."""
        return {"batches": self._given}

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        """Begin the next iteration after the batches that a checkpoint had seen."""
        self._first = state["batches"]


def _repeat(loader: DataLoader[Any], first: int) -> Iterator[Batch]:
    """The loader's batches over and over, from the one at ``first`` on."""
    sampler = loader.sampler
    assert isinstance(sampler, EpochSampler)
    assert loader.batch_size is not None
    sampler.skipped = first % len(loader) * loader.batch_size
    while True:
        yield from loader
        sampler.skipped = 0


def own_samples(loader: DataLoader[Any], batch_idx: int, size: int) -> int:
    """How many of a batch's samples, its first ones, are no repetition that pads a process's share.

    Args:
        loader: of ``make_loader``.
        batch_idx: position of the batch.
        size: samples in it.
    """
    sampler = loader.sampler
    assert isinstance(sampler, EpochSampler)
    assert loader.batch_size is not None
    share = (len(sampler.ids) - sampler.rank + sampler.world_size - 1) // sampler.world_size
    return min(size, max(0, share - batch_idx * loader.batch_size))


def first_samples(batch: Batch, count: int) -> Batch:
    """The first samples of a batch; ``extra`` is left as it is."""
    if count == len(batch.ids):
        return batch

    def cut(value: Any) -> Any:
        return {key: cut(one) for key, one in value.items()} if isinstance(value, Mapping) else value[:count]

    return move_batch(batch, cut)


def move_batch(batch: Batch, move: Callable[[Any], Any]) -> Batch:
    """A batch whose tensors have been moved; what is not for the networks stays.

    Args:
        batch: any.
        move: tensors, or containers of them -> the same on another device.
    """
    return Batch(
        ids=move(batch.ids),
        views=tuple(move(view) for view in batch.views),
        targets=tuple(move(target) for target in batch.targets),
        extra=batch.extra,
    )
