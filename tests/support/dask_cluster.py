"""A Dask cluster on this machine."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import dask
from distributed import LocalCluster
from tornado.ioloop import IOLoop


@contextmanager
def running_cluster(workers: int) -> Iterator[LocalCluster]:
    """Processes of one thread each; what has died is not asked for long."""
    with (
        _running_loop() as loop,
        dask.config.set({"distributed.comm.timeouts.connect": "3s"}),
        LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            processes=True,
            dashboard_address="127.0.0.1:0",
            silence_logs=60,
            loop=loop,
        ) as cluster,
    ):
        yield cluster


@contextmanager
def _running_loop() -> Iterator[IOLoop]:
    """An event loop of our own: distributed gives up if its thread has not started within ten seconds, on busy machines."""
    started = threading.Event()
    found: list[tuple[IOLoop, asyncio.Event]] = []

    async def run() -> None:
        stop = asyncio.Event()
        found.append((IOLoop.current(), stop))
        started.set()
        await stop.wait()

    thread = threading.Thread(target=lambda: asyncio.run(run()), daemon=True)
    thread.start()
    started.wait()
    loop, stop = found[0]
    try:
        yield loop
    finally:
        loop.add_callback(stop.set)
        thread.join()
