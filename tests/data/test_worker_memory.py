"""Memory that a process keeps while it goes through batches, and gives back afterwards."""

import platform
import subprocess
import sys
import textwrap

import pytest

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the setting is one of glibc")

PROGRAM = """
    import sys
    import numpy as np
    from coteach.data.worker_memory import freed_memory_kept

    def resident():
        with open("/proc/self/statm") as stream:
            return int(stream.read().split()[1]) >> 8  # MiB, of pages of 4 KiB

    with freed_memory_kept(wanted=sys.argv[1] == "keep"):
        before = resident()
        arrays = [np.ones(int(sys.argv[2]) << 17) for _ in range(200 // int(sys.argv[2]))]  # 200 MiB
        del arrays
        inside = resident()
    print(inside - before, resident() - before)
"""


def grown(mode, size):
    command = [sys.executable, "-c", textwrap.dedent(PROGRAM), mode, str(size)]
    return [
        int(n) for n in subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    ]


@pytest.mark.parametrize(
    "size", [8, 100]
)  # MiB of an array; glibc maps those of 32 and more, whatever its thresholds
def test_freed_memory_stays_inside_the_block_only(size):
    inside, after = grown("keep", size)
    assert inside > 150
    assert after < 50


def test_where_it_is_not_wanted_nothing_stays():
    assert max(grown("leave", 8)) < 100


NESTED = """
    import os
    import numpy as np
    from coteach.data.worker_memory import freed_memory_kept, keep_freed_memory

    def resident():
        with open("/proc/self/statm") as stream:
            return int(stream.read().split()[1]) >> 8

    def grown_by(count):
        before = resident()
        large, small = [], []
        for _ in range(count):
            large.append(np.ones(100 << 17))  # 100 MiB
            small.append(np.ones(1 << 13))  # lives on behind it
        del large
        return resident() - before

    with freed_memory_kept():
        if os.fork() == 0:
            keep_freed_memory()  # as a loader worker does
            print(grown_by(4), flush=True)
            os._exit(0)
        os.wait()
        with freed_memory_kept():
            pass
        print(grown_by(2), flush=True)
"""


def test_blocks_lie_in_each_other_and_forked_processes_are_in_none():
    command = [sys.executable, "-c", textwrap.dedent(NESTED)]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert int(told[0]) < 50
    assert int(told[1]) > 150
