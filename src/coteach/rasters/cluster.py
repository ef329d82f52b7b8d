"""Run tasks on a Dask cluster that is already there."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import closing
from typing import Any, TypeVar

from distributed import Client, KilledWorker, as_completed

from coteach.errors import IncompleteError, OptionError

Task = TypeVar("Task")
Result = TypeVar("Result")

_PATIENCE = 10  # seconds for the scheduler to answer


def run_on_cluster(
    work: Callable[[Task], Result],
    tasks: Sequence[Task],
    address: str,
    when_dead: Callable[[Task], Result],
) -> Iterator[Result]:
    """As :func:`~coteach.rasters.pool.run_tasks`, on the workers of a cluster, which have this package too.

    Args:
        work: a function of a module.
        tasks: what can be pickled.
        address: of the cluster's scheduler.
        when_dead: the result of a task that lost its worker as often as the cluster allows
            (``distributed.scheduler.allowed-failures``); until then such a task is run again elsewhere.

    Yields:
        One result a task, in no order.

    Raises:
        OptionError: no scheduler answers at the address.
        IncompleteError: the scheduler ended before the work did.
    """
    with closing(_connect(address)) as client:
        try:
            # a task is under suspicion, too, if it always waited behind the one that killed its worker
            for task in (yield from _run(client, work, tasks)):
                if (yield from _run(client, work, [task])):
                    yield when_dead(task)
        except CancelledError as error:
            cause = f"the cluster at {address} ended before the work was done"
            raise IncompleteError("--scheduler", cause, "start it again and repeat the command") from error


def _run(
    client: Client, work: Callable[[Task], Result], tasks: Sequence[Task]
) -> Generator[Result, None, list[Task]]:
    """Give the results of tasks; returns those that the cluster gave up."""
    # not pure: equal tasks of an earlier run left files, not results that could stand for these
    futures: dict[Any, Task] = dict(zip(client.map(work, tasks, pure=False), tasks, strict=True))
    given_up = []
    for future in as_completed(list(futures), loop=client.loop):  # type: ignore[no-untyped-call]
        task = futures.pop(future)  # and with it the result, on the cluster
        try:
            yield future.result()
        except KilledWorker:
            given_up.append(task)
    return given_up


def _connect(address: str) -> Client:
    try:
        return Client(address, timeout=_PATIENCE, set_as_default=False)  # type: ignore[no-untyped-call]
    except (OSError, TypeError, ValueError) as error:  # no answer; no certificates; no such host or port
        remedy = "start the cluster, or correct the address; tls:// takes its certificates from Dask's configuration"
        raise OptionError("--scheduler", f"no cluster answers at {address} ({error})", remedy) from error
