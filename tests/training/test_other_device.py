"""On a device that is not the CPU: nothing is left behind, the results are the same, and the host does not wait in each step.

There is no GPU here; see ``other_device`` for what stands in for one. It holds for the whole process, so each group has its own.
"""

import json
import subprocess
import sys
from pathlib import Path

from coteach.methods.discovery import discover_methods

RUNS = Path(__file__).parents[1] / "support" / "elsewhere_runs.py"


def rows(group):
    done = subprocess.run([sys.executable, RUNS, group], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_results_there_are_those_of_the_cpu():
    found = [*rows("images"), *rows("others")]
    assert set(discover_methods()) | {"functions"} == {name for name, *_ in found}
    for name, options, compared, differs in found:
        assert compared >= 5, (name, options)
        assert differs == [], (name, options)


def test_more_batches_make_the_host_wait_no_more_often():
    found = rows("waits")
    assert len(found) == 6
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
    host, place = torch.zeros(3), torch.tensor([1])
    place_there = place.to(DEVICE)
    assert one[place].device == DEVICE  # an index may be of the host
    number, number_there = torch.tensor(1.0), torch.tensor(1.0, device=DEVICE)
    for refused in (
        lambda: one + host,
        lambda: host[place_there],
        lambda: host.index_put_((place_there,), number_there),
        lambda: one.index_put_((place_there,), torch.ones(1)),
        lambda: torch.stack([number, number_there]),
        lambda: number.add_(number_there),
    ):
        try:
            refused()
        except RuntimeError as error:
            print(error)
        else:
            print("taken")
"""
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=RUNS.parent, capture_output=True, text=True, check=True
    )
    first, *refused = done.stdout.splitlines()
    assert first == "[3.0, 3.0, 3.0]"
    said = "{}: tensors of two devices; torch.float32 of shape {} is on the CPU"
    expected = [
        ("add", "(3,)"),
        ("index", "(3,)"),
        ("index_put_", "(3,)"),
        ("index_put_", "(1,)"),
        ("stack", "()"),
    ]
    assert refused == [said.format(*one) for one in (*expected, ("add_", "()"))]
