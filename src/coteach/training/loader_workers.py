"""At Ctrl-C loader processes end at once; torch would wait five seconds for each that is still starting.

They run a user's script again when they start: what it does there unasked is ended, too.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from multiprocessing import active_children, current_process
from multiprocessing.process import BaseProcess

import lightning as L
from lightning.pytorch.callbacks import Callback

_GRACE = 1.0  # seconds
GUARD = 'put what it does under if __name__ == "__main__":, or use num_workers=0'


def refuse_in_starting_process(num_workers: int) -> None:
    """End a process that has come here while it was starting: a loader worker that runs the user's script again.

    Args:
        num_workers: processes that are asked for, which could not be started here.

    Raises:
        SystemExit: it is such a process; its code is a line for the user instead of pages of tracebacks.
    """
    if num_workers > 0 and getattr(current_process(), "_inheriting", False):  # as multiprocessing tells it
        cause = f"{num_workers} processes load samples, and each runs the script again when it starts"
        raise SystemExit(f"Error: num_workers: {cause}; {GUARD}")


class EndLoaderWorkers(Callback):
    """Ends the daemonic processes, as loaders' are, that were started since training began, when Ctrl-C is pressed."""

    def __init__(self) -> None:
        self._others: set[BaseProcess] = set()

    def setup(
        self,
        trainer: L.Trainer,  # noqa: ARG002
        pl_module: L.LightningModule,  # noqa: ARG002
        stage: str,  # noqa: ARG002
    ) -> None:
        """Note which processes are not the loaders'."""
        self._others = set(active_children())

    def on_exception(
        self,
        trainer: L.Trainer,  # noqa: ARG002
        pl_module: L.LightningModule,  # noqa: ARG002
        exception: BaseException,
    ) -> None:
        """End the loaders' processes, which have nothing to lose."""
        if not isinstance(exception, KeyboardInterrupt):
            return
        with unnoticed():
            end_workers(self._others)


def end_workers(others: Collection[BaseProcess]) -> None:
    """End the daemonic processes of this one, but for ``others``."""
    workers = [one for one in active_children() if one.daemon and one not in others]
    for worker in workers:
        worker.terminate()
    end = time.monotonic() + _GRACE
    for worker in workers:
        worker.join(max(0.0, end - time.monotonic()))
        worker.kill()


@contextmanager
def unnoticed() -> Iterator[None]:
    """No error for a worker that ends: torch raises one for each that is killed, out of its handler of SIGCHLD."""
    if not hasattr(signal, "SIGCHLD") or threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGCHLD, before)
