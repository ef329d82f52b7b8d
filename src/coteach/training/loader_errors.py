"""What this package tells in loader processes, errors and warnings, reaches the user as without them.

Torch makes an error in a worker a text with a traceback, and of that a new error of the same class, or if that takes
more than one argument, a ``RuntimeError``. So a worker sends the error in place of its batch, and it is raised where the
batch would be given: in the order of the batches, as without workers.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar

from torch.utils.data import DataLoader, Dataset

from coteach.data.worker_memory import keep_freed_memory
from coteach.errors import CoteachError, CoteachWarning


def start_worker(worker_id: int) -> None:
    """The ``worker_init_fn`` of all loaders: a worker keeps its freed memory, and says warnings in one line.

    Args:
        worker_id: as ``worker_init_fn`` has it.
    """
    keep_freed_memory(worker_id)
    usual = warnings.formatwarning

    def in_one_line(
        message: Warning | str, category: type[Warning], filename: str, lineno: int, line: str | None = None
    ) -> str:
        if issubclass(category, CoteachWarning):
            return f"Warning: {message}\n"
        return usual(message, category, filename, lineno, line)

    warnings.formatwarning = in_one_line


class ErrorsForBatches(Dataset[Any]):
    """A data set that gives the error in place of the samples of a batch.

    Args:
        dataset: gives several samples at once, by ``__getitems__``.
    """

    def __init__(self, dataset: Any) -> None:
        self._dataset = dataset

    def __len__(self) -> int:
        return len(self._dataset)

    def __getitems__(self, keys: Sequence[Any]) -> Any:
        """The samples, or the error."""
        try:
            return self._dataset.__getitems__(keys)
        except CoteachError as error:
            return error


class CollateOrError:
    """A ``collate_fn`` that passes errors on.

    Args:
        collate: samples -> batch; may meet errors itself.
    """

    def __init__(self, collate: Callable[[Any], Any]) -> None:
        self._collate = collate

    def __call__(self, samples: Any) -> Any:
        """The batch, or the error."""
        if isinstance(samples, CoteachError):
            return samples
        try:
            return self._collate(samples)
        except CoteachError as error:
            return error


class RaisingLoader(DataLoader[Any]):
    """A ``DataLoader`` that raises an error that comes in place of a batch.

    Attributes:
        delivered: whether a worker of any loader has given a batch, so that workers can be started at all.
    """

    delivered: ClassVar[bool] = False

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]  # nobody asks for more than an iterator
        for batch in super().__iter__():
            if isinstance(batch, CoteachError):
                raise batch
            RaisingLoader.delivered |= self.num_workers > 0
            yield batch
