"""On a device that is not the CPU: nothing is left behind, the results are the same, and the host does not wait in each step.

There is no GPU here; see ``other_device`` for what stands in for one. It holds for the whole process, so each group has its own.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

RUNS = Path(__file__).parents[1] / "support" / "elsewhere_runs.py"


def rows(group):
    done = subprocess.run([sys.executable, RUNS, group], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize(("group", "runs"), [("images", 10), ("others", 9)])
def test_results_there_are_those_of_the_cpu(group, runs):
    found = rows(group)
    assert len(found) == runs
    for name, options, compared, differs in found:
        assert compared >= 5, (name, options)
        assert differs == [], (name, options)


def test_more_batches_make_the_host_wait_no_more_often():
    found = rows("waits")
    assert len(found) == 3
    for name, options, waits, more in found:
        assert waits["tolist"] > 0, name  # once an epoch or so it does: they are counted
        assert more == {}, (name, options)


def test_tensors_of_two_sides_may_not_meet():
    script = """
import torch
from other_device import DEVICE, Elsewhere
with Elsewhere() as there:
    one = torch.ones(3, device=DEVICE)
    print((one * 2 + torch.tensor(1.0)).cpu().tolist())
    assert there.waits == {"_to_copy from there": 1}, there.waits
    try:
        one + torch.ones(3)
    except RuntimeError as error:
        print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=RUNS.parent, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == [
        "[3.0, 3.0, 3.0]",
        "add: tensors of two devices; torch.float32 of shape (3,) is on the CPU",
    ]
