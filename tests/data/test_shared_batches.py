from __future__ import annotations

import gc
import subprocess
import sys
import textwrap
from multiprocessing import get_context
from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset, Subset, default_collate

from coteach.data import lent_memory
from coteach.data.shared_batches import SharedBatches, stack_samples
from coteach.data.worker_memory import keep_freed_memory

LINUX_ONLY = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere batches travel as ever")

SERVER = get_context("forkserver" if sys.platform == "linux" else "spawn")
if sys.platform == "linux":
    SERVER.set_forkserver_preload(["torch", "numpy", "pytest", "coteach.data.shared_batches"])


class Pair(NamedTuple):
    left: torch.Tensor
    right: list


class Numbers(Dataset):
    """Samples of every kind of value, each of them told by its number."""

    def __init__(self, count=11, *, odd=()):
        self.count = count
        self.odd = set(odd)  # batches with these are larger

    def __len__(self):
        return self.count

    def __getitem__(self, number):
        size = 9 if number in self.odd else 5
        rng = np.random.default_rng(number)
        return {
            "image": torch.from_numpy(rng.random((3, size, 7), np.float32)),
            "array": rng.integers(0, 255, (size, 2), np.uint8),
            "pair": Pair(torch.tensor(number, dtype=torch.int64), [torch.zeros(0), f"item {number}"]),
            "half": torch.full((2,), number, dtype=torch.bfloat16),
            "flag": torch.tensor([number % 2 == 0]),
            "number": number,
            "share": number / 7,
        }


def loader(dataset, collate, **options):
    given = {"batch_size": 2, "num_workers": 2, "multiprocessing_context": SERVER} | options
    if not given["num_workers"]:
        given["multiprocessing_context"] = None
    return DataLoader(dataset, collate_fn=collate, worker_init_fn=keep_freed_memory, **given)


def assert_same(found, expected):
    assert type(found) is type(expected)
    if isinstance(expected, torch.Tensor):
        assert found.dtype == expected.dtype
        assert found.stride() == expected.stride()
        assert torch.equal(found, expected)
    elif isinstance(expected, dict):
        assert list(found) == list(expected)
        for key, value in expected.items():
            assert_same(found[key], value)
    elif isinstance(expected, (list, tuple)):
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            assert_same(one, other)
    else:
        assert found == expected


@pytest.mark.parametrize(
    "options",
    [
        {"num_workers": 0},
        {"num_workers": 1, "persistent_workers": True},
        {"num_workers": 2},
        {"num_workers": 2, "prefetch_factor": 6, "batch_size": 1},
    ],
)
@pytest.mark.parametrize("held", [0, 1, 100])
def test_batches_are_those_of_the_plain_loader_however_many_are_held(options, held):
    dataset = Numbers(11)
    expected = list(loader(dataset, default_collate, num_workers=0, batch_size=options.get("batch_size", 2)))
    tested = loader(dataset, SharedBatches(), **options)
    check_epochs(tested, expected, held)


def check_epochs(tested, expected, held):
    for _ in range(2):
        kept = []
        for number, batch in enumerate(tested):
            kept.append((number, batch))
            if len(kept) > held:
                assert_same(kept[0][1], expected[kept[0][0]])
                kept.pop(0)
            del batch
        assert number == len(expected) - 1
        for number, batch in kept:
            assert_same(batch, expected[number])


@LINUX_ONLY
def test_memory_is_used_again_only_when_nobody_holds_a_part_of_it():
    tested = loader(
        Numbers(80), SharedBatches(), num_workers=1
    )  # two batches under way, one that comes, and one spare
    seen = []
    for batch in tested:
        seen.append(batch["image"].data_ptr())
        del batch
    assert len(set(seen[1:])) <= 4  # of 39; the first batch tells how much is needed
    held = []
    for batch in tested:
        held.append(batch["image"][1, :, 2:4].numpy())  # a view of a view, and no tensor
        del batch
    expected = [batch["image"][1, :, 2:4] for batch in loader(Numbers(80), default_collate, num_workers=0)]
    for one, other in zip(held, expected, strict=True):
        np.testing.assert_array_equal(one, other)


@LINUX_ONLY
def test_larger_batches_get_larger_buffers():
    dataset = Numbers(60, odd=range(20, 40))
    expected = list(loader(dataset, default_collate, num_workers=0))
    found = []
    for number, batch in enumerate(loader(dataset, SharedBatches(), num_workers=1)):
        assert_same(batch, expected[number])
        found.append(batch["image"].data_ptr())
        del batch
    assert len(set(found[15:])) <= 4


def changed(samples):
    """Views of stacked tensors, values that share memory, and a class of tensors."""
    batch = stack_samples(samples)
    image = batch["image"]
    row = torch.arange(4.0)
    return {
        "view": image[:, 1:, ::2],
        "turned": image.transpose(1, 3),
        "parameter": torch.nn.Parameter(image, requires_grad=False),
        "shared": (row[1:], row[:2]),
        "twice": (image, image),
        "none": None,
    }


def test_what_is_made_of_stacked_tensors_arrives_whole():
    expected = list(loader(Numbers(), changed, num_workers=0))
    found = list(loader(Numbers(), SharedBatches(changed), num_workers=1))
    again = list(loader(Numbers(40), SharedBatches(changed), num_workers=1))
    assert_same(found, expected)
    assert_same(again[:5], expected[:5])


def fails_at_six(samples):
    batch = stack_samples(samples)
    if 6 in batch["number"]:
        raise ValueError("six")
    return batch


def test_a_batch_that_fails_leaves_the_others_alone():
    tested = loader(Numbers(40), SharedBatches(fails_at_six), num_workers=1, persistent_workers=True)
    expected = list(loader(Numbers(40), default_collate, num_workers=0))
    for _ in range(2):
        batches, found = iter(tested), []
        for number in range(len(tested)):
            if number == 3:
                with pytest.raises(ValueError, match="six"):
                    next(batches)
            else:
                found.append((number, next(batches)))
        for number, batch in found:
            assert_same(batch, expected[number])


@pytest.mark.parametrize("kept", [True, False])
def test_an_epoch_may_be_left_early(kept):
    tested = loader(Numbers(24), SharedBatches(), persistent_workers=kept)
    expected = list(loader(Numbers(24), default_collate, num_workers=0))
    first = []
    for stop in (1, 4, 2, 12):
        for number, batch in enumerate(tested):
            assert_same(batch, expected[number])
            first.append((number, batch))
            if number == stop:
                break
    for number, batch in first:
        assert_same(batch, expected[number])


def test_two_loaders_take_turns():
    ours = [loader(Subset(Numbers(30), range(start, 30)), SharedBatches()) for start in (0, 10)]
    plain = [
        loader(Subset(Numbers(30), range(start, 30)), default_collate, num_workers=0) for start in (0, 10)
    ]
    found, expected = list(zip(*ours, strict=False)), list(zip(*plain, strict=False))
    assert_same(found, expected)


@LINUX_ONLY
def test_buffers_of_workers_that_ended_are_let_go():
    gc.collect()
    lent_memory._forget_gone()
    before = len(lent_memory._known)
    for _ in range(3):
        for batch in loader(Numbers(20), SharedBatches(), num_workers=2):
            assert batch["number"].numel() == 2
            assert len(lent_memory._known) <= before + 8
    del batch
    assert len(lent_memory._known) == before


def run(program):
    command = [sys.executable, "-c", textwrap.dedent(program)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split("\n")


def test_what_a_worker_sent_outlives_it():
    """Without torch's handler of signals, which raises its error at any point of the process."""
    program = """
        import os, signal
        import torch
        from torch.utils.data import DataLoader
        from coteach.data.shared_batches import SharedBatches

        class Dies:
            def __len__(self):
                return 20

            def __getitem__(self, number):
                if number == 16:
                    os.kill(os.getpid(), signal.SIGKILL)
                return torch.full((300, 300), number)

        batches, found = iter(DataLoader(Dies(), 2, num_workers=1, collate_fn=SharedBatches())), []
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        try:
            for batch in batches:
                found.append(batch)
        except (RuntimeError, OSError, EOFError):
            print("died", *(b[:, 7, 9].tolist() for b in found))
            del batch
            found.clear()  # goes back to nobody
            print("well", flush=True)
        os._exit(0)
    """
    said = run(program)
    whole = "died [0, 1] [2, 3] [4, 5] [6, 7] [8, 9] [10, 11] [12, 13] [14, 15]"
    assert whole.startswith(said[0])
    assert said[0].startswith("died [0, 1] [2, 3]")
    assert said[1] == "well"


@LINUX_ONLY
def test_a_forked_process_keeps_what_it_sees():
    """The parent lets go of a batch that its child still reads: that memory is not used again, nor does the child free it."""
    program = """
        import os
        import torch
        from torch.utils.data import DataLoader
        from coteach.data.shared_batches import SharedBatches

        options = {"num_workers": 1, "multiprocessing_context": "fork"}
        loader = DataLoader(torch.arange(60.0), 2, collate_fn=SharedBatches(buffers=2), **options)
        batches = iter(loader)
        next(batches)
        batch, held = next(batches), next(batches)
        go, told = os.pipe(), os.pipe()
        child = os.fork()
        if child == 0:
            os.read(go[0], 1)
            seen = batch.tolist()
            del batch, held
            os.write(told[1], repr(seen).encode())
            os.waitpid(os.fork() or os._exit(0), 0)
            os._exit(0)
        del batch
        print(len([None for other in batches]))
        os.write(go[1], b"x")
        print(os.read(told[0], 99).decode())
        os.waitpid(child, 0)
        print(held.tolist())
        os._exit(0)
    """
    assert run(program) == ["27", "[2.0, 3.0]", "[4.0, 5.0]", ""]


@LINUX_ONLY
def test_a_copy_of_a_batch_in_a_forked_process_gives_nothing_back():
    program = """
        import os
        import torch
        from torch.utils.data import DataLoader
        from coteach.data.shared_batches import SharedBatches

        options = {"num_workers": 1, "multiprocessing_context": "fork", "persistent_workers": True}
        loader = DataLoader(torch.arange(60.0), 2, collate_fn=SharedBatches(buffers=1), **options)
        batches = iter(loader)
        next(batches)
        held = next(batches)
        child = os.fork()
        if child == 0:
            del held
            os._exit(0)
        os.waitpid(child, 0)
        print([batch.tolist() for batch in batches][0])
        print(held.tolist())
        os._exit(0)
    """
    assert run(program) == ["[4.0, 5.0]", "[2.0, 3.0]", ""]


def test_memory_stays_with_a_process_that_asks_for_it():
    """Of ten arrays of 8 MiB, made and freed in turn, a process that keeps its memory touches one only."""
    program = """
        import resource, sys
        import numpy as np
        from coteach.data.worker_memory import keep_freed_memory
        if sys.argv[1] == "keep":
            keep_freed_memory()
        np.ones(2 << 20)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        for _ in range(10):
            first, second = np.ones(1 << 20), np.ones(1 << 20)
            del first, second
        print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
    """
    faults = {}
    for mode in ("keep", "leave"):
        command = [sys.executable, "-c", textwrap.dedent(program), mode]
        faults[mode] = int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert faults["keep"] < faults["leave"] / 2
