"""Ctrl-C in training stays a KeyboardInterrupt, and SIGTERM ends the program with a line that says so."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import active_children
from types import FrameType

from lightning.pytorch.utilities.exceptions import SIGTERMException

from coteach.errors import TrainingError
from coteach.training.loader_errors import RaisingLoader
from coteach.training.loader_workers import GUARD, end_workers, unnoticed

_KILLED, _MISSED = "killed by signal: ", "exited unexpectedly"  # torch, of loader workers
_MAY_BE_SIGTERM = (f"{_KILLED}Terminated", _MISSED)
_WAIT = 1.0  # seconds in which a signal to all processes of a group reaches the last one


@contextmanager
def heeding_interrupts(run: str, remedy: str) -> Iterator[None]:
    """Raise KeyboardInterrupt where Lightning would leave the program without a word and ignore Ctrl-C from then on.

    After SIGTERM Lightning would leave as if all were done, or torch would complain of loader workers that ended.

    Args:
        run: what it is called, such as by its folder.
        remedy: what who has sent SIGTERM can do to go on.

    Raises:
        KeyboardInterrupt: Ctrl-C was pressed.
        SystemExit: SIGTERM came; its code is a line for the user, so that the program ends with 1.
        TrainingError: a loader worker was killed, and nobody asked the program to end.
    """
    before = signal.getsignal(signal.SIGINT)
    own = callable(signal.getsignal(signal.SIGTERM))  # may end training by an error that somebody waits for
    others = set(active_children())
    with _noting_sigterm() as received:
        try:
            yield
        except SIGTERMException as left:
            raise _terminated(run, remedy) from left
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
            told = f"{error} {error.__cause__}"
            if not _tells_of_worker(told) and (own or not received()):
                raise
            with unnoticed():  # torch would raise again for each further worker
                # one of a group of processes may get a signal to all of them before this one does
                end = time.monotonic() + (_WAIT if any(one in told for one in _MAY_BE_SIGTERM) else 0)
                while not received() and time.monotonic() < end:
                    time.sleep(0.01)
                end_workers(others)
            if received():
                raise _terminated(run, remedy) from error
            raise _worker_lost(run, error) from error


@contextmanager
def _noting_sigterm() -> Iterator[Callable[[], bool]]:
    """Tell whether SIGTERM has come, also when Lightning has given its own handler back; the user's is called, too."""
    if threading.current_thread() is not threading.main_thread():  # handlers are the main thread's
        yield lambda: False
        return
    came = threading.Event()
    before = signal.getsignal(signal.SIGTERM)

    def note(number: int, frame: FrameType | None) -> None:
        came.set()
        if callable(before):
            before(number, frame)

    signal.signal(signal.SIGTERM, note)
    try:
        yield came.is_set
    finally:
        signal.signal(signal.SIGTERM, before)


def _terminated(run: str, remedy: str) -> SystemExit:
    """No error of this package: who goes on after errors is to end, too."""
    return SystemExit(f"Error: {TrainingError(run, 'stopped by SIGTERM', remedy)}")


def _tells_of_worker(text: str) -> bool:
    return _KILLED in text or _MISSED in text


def _worker_lost(run: str, error: BaseException) -> TrainingError:
    both = [str(one).strip(" .") for one in (error, error.__cause__) if _tells_of_worker(str(one))]
    told = next((one for one in both if _KILLED in one), both[0])  # says more
    remedy = "if memory was short, load with fewer workers or smaller batches, and start it again"
    if _KILLED not in told and not RaisingLoader.delivered:  # perhaps none can be started
        remedy = f"in a script of your own, {GUARD}; {remedy}"
    return TrainingError(run, f"a loader worker was lost: {told}", remedy)
