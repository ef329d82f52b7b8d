from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import pytest

from coteach.files import whole_file
from coteach.rasters.pool import run_tasks


def square(number: int) -> tuple[int, int]:
    return number * number, os.getpid()


def die_at_three(number: int) -> tuple[int, int]:
    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(0.05)
    return square(number)


def leave_at_multiples_of_three(number: int) -> tuple[int, int]:
    if number % 3 == 0:
        os._exit(1)
    return square(number)


def fail(number: int) -> tuple[int, int]:
    raise LookupError(number)


def write_slowly(folder: str) -> None:
    with whole_file(Path(folder, f"{os.getpid()}.txt")) as partial:
        partial.touch()
        time.sleep(60)


def fails_to_start(number: int) -> tuple[int, int]:
    raise BrokenProcessPool


STARTER = """
import os, sys, time
from pathlib import Path
from coteach.rasters.pool import run_tasks

def work(number):
    Path(sys.argv[1], f"{os.getpid()}.pid").touch()
    time.sleep(300)

if __name__ == "__main__":
    list(run_tasks(work, [1, 2], 2, print))
"""


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # one that nobody has waited for is dead as well
    state = Path(f"/proc/{pid}/stat")
    return not (state.exists() and state.read_text().rsplit(")", 1)[1].split()[0] == "Z")


def wait_for(condition, seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.05)


def dead(number: int) -> tuple[int, int]:
    return -number, 0


def test_one_worker_stays_in_this_process():
    results = list(run_tasks(square, [1, 2, 3], 1, dead))
    assert results == [(1, os.getpid()), (4, os.getpid()), (9, os.getpid())]


def test_a_single_task_needs_no_process():
    assert list(run_tasks(square, [5], 4, dead)) == [(25, os.getpid())]


def test_no_tasks():
    assert list(run_tasks(square, [], 4, dead)) == []


def test_several_workers_do_all_tasks():
    results = list(run_tasks(square, list(range(7)), 2, dead))
    assert sorted(value for value, _ in results) == [n * n for n in range(7)]
    pids = {pid for _, pid in results}
    assert os.getpid() not in pids
    assert len(pids) <= 2


@pytest.mark.parametrize(
    ("work", "expected"),
    [
        (die_at_three, [0, 1, 4, -3, 16, 25, 36]),
        (leave_at_multiples_of_three, [0, 1, 4, -3, 16, 25, -6]),
    ],
)
def test_a_process_that_dies_takes_its_own_task_only(work, expected):
    results = [value for value, _ in run_tasks(work, list(range(7)), 2, dead)]
    assert sorted(results) == sorted(expected)


def test_processes_end_with_the_one_that_started_them(tmp_path):
    script = tmp_path / "starter.py"
    script.write_text(STARTER)
    starter = subprocess.Popen([sys.executable, str(script), str(tmp_path)])
    try:
        wait_for(lambda: len(list(tmp_path.glob("*.pid"))) == 2)
        starter.kill()
    finally:
        starter.wait()
    pids = [int(path.stem) for path in tmp_path.glob("*.pid")]
    wait_for(lambda: not any(is_running(pid) for pid in pids))


@pytest.fixture
def heeded_ctrl_c():
    """What is started in the background of a shell ignores Ctrl-C."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("heeded_ctrl_c")
def test_ctrl_c_ends_within_two_seconds_and_leaves_no_temporary_file(tmp_path):
    begun: list[float] = []

    def press() -> None:
        wait_for(lambda: len(list(tmp_path.glob(".*.part"))) == 2)
        begun.append(time.monotonic())
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=press).start()
    with pytest.raises(KeyboardInterrupt):
        list(run_tasks(write_slowly, [str(tmp_path)] * 3, 2, print))
    assert time.monotonic() - begun[0] < 2
    assert list(tmp_path.iterdir()) == []


def test_tasks_that_nobody_waits_for_are_given_up():
    begun = time.monotonic()
    results = run_tasks(time.sleep, [0.0, 60.0], 2, print)
    next(results)
    results.close()
    assert time.monotonic() - begun < 20


def test_where_no_process_can_work_every_task_fails():
    assert sorted(value for value, _ in run_tasks(fails_to_start, [1, 2, 3], 2, dead)) == [-3, -2, -1]


@pytest.mark.parametrize("workers", [1, 2])
def test_a_bug_is_not_hidden(workers):
    with pytest.raises(LookupError):
        list(run_tasks(fail, [1, 2], workers, dead))
