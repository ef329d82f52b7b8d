"""Ctrl-C in training stays a KeyboardInterrupt, and SIGTERM ends the program with a line that says so."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from lightning.pytorch.utilities.exceptions import SIGTERMException

from coteach.errors import TrainingError

_WORKER_ENDED = "killed by signal: Terminated"  # torch, of a loader worker that SIGTERM reached first


@contextmanager
def heeding_interrupts(folder: Path, received_sigterm: Callable[[], bool]) -> Iterator[None]:
    """Raise KeyboardInterrupt where Lightning would leave the program without a word and ignore Ctrl-C from then on.

    After SIGTERM Lightning would leave as if all were done, or torch would complain of loader workers that ended.

    Args:
        folder: of the run.
        received_sigterm: whether Lightning has noted SIGTERM.

    Raises:
        KeyboardInterrupt: Ctrl-C was pressed.
        SystemExit: SIGTERM came; its code is a line for the user, so that the program ends with 1.
    """
    before = signal.getsignal(signal.SIGINT)
    try:
        yield
    except SIGTERMException as left:
        raise _terminated(folder) from left
    except SystemExit as left:
        if not isinstance(left.__context__, KeyboardInterrupt):  # somebody else's, such as a data set's
            raise
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, before)
        raise KeyboardInterrupt from left
    except (
        RuntimeError,
        OSError,
        EOFError,
    ) as error:  # the last two of a worker that was about to send something
        if not received_sigterm() and _WORKER_ENDED not in f"{error} {error.__cause__}":
            raise
        if hasattr(signal, "SIGCHLD") and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # torch would raise again for each further worker
        raise _terminated(folder) from error


def _terminated(folder: Path) -> SystemExit:
    """No error of this package: who goes on after errors is to end, too."""
    remedy = "the same command goes on from its last checkpoint"
    return SystemExit(f"Error: {TrainingError(str(folder), 'stopped by SIGTERM', remedy)}")
