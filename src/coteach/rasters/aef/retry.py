"""What fails on the way is tried again; what the server refuses is not."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from coteach.errors import DataUnavailableError

Result = TypeVar("Result")

_LONGEST = 60.0  # seconds between two attempts
_STATUS = re.compile(r"HTTP (?:response|error) code ?: ?(\d{3})")  # as GDAL says it


class ReadFailedError(Exception):
    """Something could not be read from where it is published.

    Args:
        place: the address or path.
        reason: what happened.
        status: the HTTP status, if the server answered.
    """

    def __init__(self, place: str, reason: str, status: int | None = None) -> None:
        super().__init__(place, reason, status)
        found = _STATUS.search(reason)
        self.place = place
        self.reason = reason
        self.status = int(found[1]) if status is None and found else status

    @property
    def transient(self) -> bool:
        """Whether it may work the next time: no answer, half of one, a busy or broken server; not a refusal."""
        if not is_url(self.place):
            return False
        return self.status is None or self.status in (408, 429) or self.status >= 500


class StoppedError(Exception):
    """The user has ended the command."""


def is_url(place: str) -> bool:
    """Whether a place is on the web, not on this computer."""
    return place.startswith(("http://", "https://"))


@dataclass(frozen=True, slots=True)
class Retry:
    """How often something is tried, and how long to wait before it is tried again.

    Args:
        attempts: at least 1.
        delay: seconds before the second attempt; twice as long before each further one.
        stopped: set it to end all waiting.
    """

    attempts: int = 5
    delay: float = 1.0
    stopped: threading.Event = field(default_factory=threading.Event)

    def call(self, action: Callable[[], Result]) -> Result:
        """The result of an action that may raise :class:`ReadFailedError`.

        Raises:
            DataUnavailableError: it failed for good.
            StoppedError: the user has ended the command.
        """
        for attempt in range(1, self.attempts + 1):
            self.check()
            try:
                return action()
            except ReadFailedError as failure:
                if attempt == self.attempts or not failure.transient:
                    raise _unavailable(failure, attempt) from failure
                self.stopped.wait(min(self.delay * 2 ** (attempt - 1), _LONGEST))
        raise AssertionError("attempts is less than 1")

    def check(self) -> None:
        """Go on only if the user has not ended the command.

        Raises:
            StoppedError: he has.
        """
        if self.stopped.is_set():
            raise StoppedError


def _unavailable(failure: ReadFailedError, attempts: int) -> DataUnavailableError:
    times = f" in {attempts} attempts" if attempts > 1 else ""
    remedy = "run it again later" if failure.transient else "check the address, and that it may be read"
    return DataUnavailableError(failure.place, f"cannot be read{times} ({failure.reason})", remedy)
