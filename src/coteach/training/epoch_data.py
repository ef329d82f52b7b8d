"""The batches of each epoch, as the method asks for them: once an epoch, also over an interruption."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from torch.utils.data import DataLoader

from coteach.data.keyed import EpochSampler, stable_seed
from coteach.errors import TrainingError
from coteach.methods.base import Method, Stream
from coteach.training.streams import LoaderOptions, StreamLoader, make_loader
from coteach.types import Batch

_VALIDATION = Stream(name="val", source="val", shuffle=False)


class EpochData:
    """Loaders of the streams of a method.

    Args:
        method: set up.
        datasets: source name -> data set.
        options: how samples are loaded.
        seed: seed of the run.

    Attributes:
        datasets: as given.
        prepared: the epoch that the method has prepared last; -1 before the first.
    """

    def __init__(
        self, method: Method, datasets: Mapping[str, Any], options: LoaderOptions, seed: int
    ) -> None:
        self._method = method
        self.datasets = datasets
        self._options = options
        self._seed = seed
        self.prepared = -1
        self._kept: int | None = None  # what the streams of the interrupted epoch were
        self.streams: StreamLoader | None = None

    def training(
        self, epoch: int, move: Callable[[Batch], Batch], *, rank: int, world_size: int
    ) -> StreamLoader:
        """The streams of an epoch. Loaders (and their workers) are kept while a method asks for the same ones.

        Args:
            epoch: counted from 0. The method prepares it once: what it decided is a part of its state.
            move: a batch that the method scans -> the same on the device.
            rank: this process.
            world_size: number of processes.

        Raises:
            TrainingError: a stream draws from a data set that there is not, or the streams of an interrupted epoch
                are others than they were.
        """

        def scan(stream: Stream) -> Iterable[Batch]:
            loader = self._loader(stream, rank, world_size)
            assert isinstance(loader.sampler, EpochSampler)
            loader.sampler.epoch = epoch
            return map(move, loader)

        if self.prepared != epoch:
            self._method.prepare_epoch(epoch, scan)
            self.prepared = epoch
        streams = tuple(self._method.streams(epoch))
        self._refuse_others(streams)
        if self.streams is None or self.streams.streams != streams:
            loaders = {stream.name: self._loader(stream, rank, world_size) for stream in streams}
            self.streams = StreamLoader(loaders, streams)
        self.streams.set_epoch(epoch)
        return self.streams

    def validation(self, *, rank: int, world_size: int) -> DataLoader[Any] | None:
        """The validation set in order, without augmentation of its own; None if there is none."""
        return self._loader(_VALIDATION, rank, world_size) if "val" in self.datasets else None

    def _loader(self, stream: Stream, rank: int, world_size: int) -> DataLoader[Any]:
        if stream.source not in self.datasets:
            raise TrainingError(
                f"stream {stream.name!r}", f"no data set {stream.source!r}", "name it in the configuration"
            )
        return make_loader(
            self.datasets[stream.source],
            stream,
            self._options,
            seed=self._seed,
            rank=rank,
            world_size=world_size,
        )

    def state_dict(self, *, within: bool) -> dict[str, int]:
        """What a checkpoint keeps.

        Args:
            within: the epoch is not over; then what its streams are is kept, too.
        """
        state = {"prepared": self.prepared}
        if within and self.streams is not None:
            state["streams"] = _digest(self.streams.streams)
        return state

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        """Go on with what a checkpoint kept."""
        self.prepared = state["prepared"]
        self._kept = state.get("streams")

    def _refuse_others(self, streams: Sequence[Stream]) -> None:
        kept, self._kept = self._kept, None
        if kept is not None and kept != _digest(streams):
            raise TrainingError(
                f"epoch {self.prepared}",
                f"after the interruption {self._method.name} asks for other streams than before it",
                "keep what its prepare_epoch decides in buffers, so that checkpoints hold it",
            )


def _digest(streams: Sequence[Stream]) -> int:
    """A number that is another one if anything of the streams is."""
    parts: list[str | int] = []
    for one in streams:
        ids = "all" if one.ids is None else np.asarray(one.ids, dtype=np.int64).tobytes().hex()
        options = (one.batch_size, one.views, one.augment, one.shuffle, one.endless)
        parts += [one.name, one.source, str(options), ids]
    return stable_seed(*parts)
