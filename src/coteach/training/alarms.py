"""What a watch over a run's networks is: it looks at batches, and warns once of each thing that has lasted."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor

from coteach.errors import CoteachWarning
from coteach.methods.base import Method
from coteach.types import Batch, Figure

IN_A_ROW = 5  # validations; at the beginning of a run much may happen


class Watch:
    """Base of all watches, and one that sees nothing."""

    def __init__(self) -> None:
        self._lasting: dict[str, int] = {}
        self._told: set[str] = set()

    def learned(self, logs: Mapping[str, Figure], add_up: Callable[[Tensor], Tensor]) -> None:
        """After a batch of training.

        Args:
            logs: its figures, in this process.
            add_up: a tensor of this process -> its sum over all processes.
        """

    def predicted(self, method: Method, batch: Batch, batch_idx: int) -> Any:  # noqa: ARG002
        """What the method predicts of a batch of the validation set.

        Args:
            method: that is trained.
            batch: the samples.
            batch_idx: its position.
        """
        return method.predict(batch.inputs)

    def look(self, batch: Batch, batch_idx: int, prediction: Any = None) -> None:
        """At a batch of the validation set.

        Args:
            batch: the samples.
            batch_idx: its position.
            prediction: the method's.
        """

    def conclude(self, add_up: Callable[[Tensor], Tensor]) -> dict[str, Tensor]:  # noqa: ARG002
        """End a validation.

        Args:
            add_up: a tensor of this process -> its sum over all processes.

        Returns:
            Figures for the log.
        """
        return {}

    def state_dict(self) -> dict[str, int]:
        """For how long each thing has lasted: what a checkpoint keeps."""
        return dict(self._lasting)

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        """Go on counting; what has been told is not told again."""
        self._lasting = dict(state)

    def _tell(
        self, what: str, remedy: str, *, lasting: bool, enough: int = IN_A_ROW, times: str = "validations"
    ) -> None:
        self._lasting[what] = self._lasting.get(what, 0) + 1 if lasting else 0
        if self._lasting[what] == enough and what not in self._told:
            self._told.add(what)
            warnings.warn(f"{what}, {enough} {times} in a row; {remedy}", CoteachWarning, stacklevel=3)
