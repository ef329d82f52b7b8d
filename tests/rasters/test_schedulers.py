"""Threads, no pool at all, and a Dask cluster keep the contract that processes keep in test_pool.py."""

from __future__ import annotations

import importlib.util
import os
import signal
import threading
import time
from pathlib import Path

import pytest
from dask_cluster import running_cluster

from coteach.errors import IncompleteError, MissingExtraError, OptionError
from coteach.rasters.pool import check_scheduler, run_tasks


def square(number):
    return number * number, os.getpid(), threading.get_ident()


def fail(number):
    raise LookupError(number)


def wait_for_gate(task):
    """Says that it runs, then runs until the gate is open."""
    number, folder = task
    Path(folder, f"{number}-{os.getpid()}").touch()
    while not Path(folder, "gate").exists():
        time.sleep(0.02)
    return number * number


def die_at_three(number):
    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def dead(number):
    return -number


def started(folder):
    """Task and process of everything that began."""
    return {tuple(map(int, path.name.split("-"))) for path in folder.glob("*-*")}


def wait_until(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.02)


def test_serial_is_in_order_and_in_this_thread():
    results = list(run_tasks(square, [3, 1, 2], 4, dead, "serial"))
    assert results == [(n * n, os.getpid(), threading.get_ident()) for n in (3, 1, 2)]


def test_threads_do_all_tasks_beside_this_one():
    results = list(run_tasks(square, list(range(9)), 3, dead, "threads"))
    assert sorted(value for value, _, _ in results) == [n * n for n in range(9)]
    assert {pid for _, pid, _ in results} == {os.getpid()}
    threads = {thread for _, _, thread in results}
    assert threading.get_ident() not in threads
    assert len(threads) <= 3


def test_threads_work_at_once_and_give_what_is_done_first():
    """The first task ends only after the second one's result has been taken."""
    taken = threading.Event()

    def work(number):
        if number == 0:
            assert taken.wait(30)
        return number

    results = run_tasks(work, [0, 1], 2, dead, "threads")
    assert next(results) == 1
    taken.set()
    assert list(results) == [0]


def test_threads_that_nobody_waits_for_start_no_more_tasks():
    """All but the first task wait until the results have been given up."""
    begun, gate = [], threading.Event()

    def work(number):
        begun.append(number)
        assert number == 0 or gate.wait(60)

    results = run_tasks(work, list(range(500)), 2, dead, "threads")
    next(results)
    opener = threading.Timer(0.5, gate.set)
    opener.start()
    results.close()
    opener.join()
    assert len(begun) <= 3


@pytest.mark.parametrize("scheduler", ["serial", "threads"])
def test_a_bug_is_not_hidden(scheduler):
    with pytest.raises(LookupError):
        list(run_tasks(fail, [1, 2], 2, dead, scheduler))
    assert list(run_tasks(fail, [], 2, dead, scheduler)) == []


@pytest.mark.parametrize(
    "name", ["", "Threads", "dask", "tcp://", "tcp://host", "http://host:1", "tcp://host:port"]
)
def test_a_scheduler_that_is_none(name):
    with pytest.raises(OptionError, match=r"--scheduler: '.*' is none; give processes, threads, serial, or"):
        check_scheduler(name)
    with pytest.raises(OptionError, match="--scheduler"):
        list(run_tasks(square, [1], 1, dead, name))


def test_an_address_needs_dask(monkeypatch):
    check_scheduler("tcp://127.0.0.1:8786")
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "distributed" else find_spec(name)
    )
    check_scheduler("processes")
    with pytest.raises(MissingExtraError, match=r"pip install 'coteach\[dask\]'"):
        check_scheduler("tcp://127.0.0.1:8786")


def test_a_cluster_that_does_not_answer(monkeypatch):
    from coteach.rasters import cluster

    monkeypatch.setattr(cluster, "_PATIENCE", 1)
    with pytest.raises(OptionError, match=r"--scheduler: no cluster answers at tcp://127.0.0.1:1 "):
        list(run_tasks(square, [1], 1, dead, "tcp://127.0.0.1:1"))
    with pytest.raises(OptionError, match=r"no cluster answers at tls://127.0.0.1:1 .*certificates"):
        list(run_tasks(square, [1], 1, dead, "tls://127.0.0.1:1"))


@pytest.fixture(scope="module")
def local_cluster():
    with running_cluster(2) as cluster:
        yield cluster


def test_a_cluster_does_all_tasks(local_cluster):
    address = local_cluster.scheduler_address
    results = list(run_tasks(square, [*range(7), 2], 1, dead, address))
    assert sorted(value for value, _, _ in results) == sorted([n * n for n in range(7)] + [4])
    workers = {worker.pid for worker in local_cluster.workers.values()}
    assert {pid for _, pid, _ in results} <= workers
    assert list(run_tasks(square, [], 1, dead, address)) == []


def test_a_bug_on_a_cluster_is_not_hidden(local_cluster):
    with pytest.raises(LookupError):
        list(run_tasks(fail, [1, 2], 2, dead, local_cluster.scheduler_address))


def test_the_tasks_of_a_lost_worker_are_done_elsewhere(local_cluster, tmp_path):
    tasks = [(number, str(tmp_path)) for number in range(8)]
    results = []
    reader = threading.Thread(
        target=lambda: results.extend(
            run_tasks(wait_for_gate, tasks, 1, dead, local_cluster.scheduler_address)
        )
    )
    reader.start()
    wait_until(lambda: len({pid for _, pid in started(tmp_path)}) == 2)
    lost_task, lost_pid = min(started(tmp_path))
    os.kill(lost_pid, signal.SIGKILL)
    (tmp_path / "gate").touch()
    reader.join(120)
    assert sorted(results) == [number * number for number in range(8)]
    assert {pid for task, pid in started(tmp_path) if task == lost_task} - {lost_pid}


def test_a_task_that_kills_every_worker_fails_alone(local_cluster):
    results = list(run_tasks(die_at_three, list(range(6)), 1, dead, local_cluster.scheduler_address))
    assert sorted(results) == [-3, 0, 1, 2, 4, 5]


def test_a_cluster_that_ends_before_the_work(tmp_path):
    with running_cluster(1) as cluster:
        tasks = [(number, str(tmp_path)) for number in range(3)]
        results = run_tasks(wait_for_gate, tasks, 1, dead, cluster.scheduler_address)
        (tmp_path / "gate").touch()
        assert next(results) in {0, 1, 4}
        (tmp_path / "gate").unlink()
        cluster.close()
        with pytest.raises(
            IncompleteError, match=r"ended before the work was done; start it again and repeat"
        ):
            list(results)
