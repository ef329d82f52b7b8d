"""Memory that a process keeps while it goes through batches, and gives back afterwards."""

import subprocess
import sys
import textwrap

PROGRAM = """
    import sys
    import numpy as np
    from coteach.data.worker_memory import freed_memory_kept

    def resident():
        with open("/proc/self/statm") as stream:
            return int(stream.read().split()[1]) >> 8  # MiB, of pages of 4 KiB

    with freed_memory_kept(wanted=sys.argv[1] == "keep"):
        before = resident()
        arrays = [np.ones(1 << 20) for _ in range(25)]  # 200 MiB
        del arrays
        inside = resident()
    print(inside - before, resident() - before)
"""


def grown(mode):
    command = [sys.executable, "-c", textwrap.dedent(PROGRAM), mode]
    return [
        int(n) for n in subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    ]


def test_freed_memory_stays_inside_the_block_only():
    inside, after = grown("keep")
    assert inside > 150
    assert after < 50


def test_where_it_is_not_wanted_nothing_stays():
    assert max(grown("leave")) < 100
