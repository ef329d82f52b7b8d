"""Several processes at work on the same files at once."""

from __future__ import annotations

import hashlib
import os
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from fault_commands import Command, exit_code_of, run_whole, started
from fault_frame import Family, Try
from fault_settings import building

READS = 300  # of a reader, at least
REWRITES = 4
WORKERS = 8


def two_builds(count: int, seed: int, shared: Path) -> Iterator[Try]:
    """The second build starts a random share of the first one's duration later."""
    draw = random.Random(seed)
    with contextmanager(building)(shared) as command:
        whole = shared.parent / "undisturbed" / "out"
        seconds = run_whole(command.words(whole))
        for _ in range(count):
            share = draw.uniform(0, 0.9)
            yield Try(f"{share:.0%} apart", partial(_build_twice, command, whole, share * seconds))


def _build_twice(command: Command, whole: Path, seconds: float, folder: Path) -> None:
    out = folder / "out"
    with started(command.words(out)) as first:
        time.sleep(seconds)
        with started(command.words(out)) as second:
            assert exit_code_of(first) == 0
            assert exit_code_of(second) == 0
    command.check_same(out, whole)
    run_whole(command.words(out))
    command.check_same(out, whole)


def reading_while_rewritten(count: int, seed: int, shared: Path) -> Iterator[Try]:
    """A folder is rewritten with one of two weights of borders in turn; a reader sees either."""
    draw = random.Random(seed)
    with contextmanager(building)(shared) as command:
        known = []
        for number, alpha in enumerate(("0.6", "0.2")):
            words = command.words(shared / f"known{number}")
            run_whole([*words, "--alpha", alpha])
            known.append({path.stem: _sum(path) for path in (shared / f"known{number}" / "w_conf").iterdir()})
        for _ in range(count):
            number = draw.randrange(1 << 30)
            yield Try(f"order {number}", partial(_read_while_rewritten, command, known, number))


def _read_while_rewritten(command: Command, known: list[dict[str, str]], seed: int, folder: Path) -> None:
    draw = random.Random(seed)
    out = folder / "out"
    run_whole([*command.words(out), "--alpha", "0.6"])
    reads, seen = 0, set()
    for number in range(1, 1 + REWRITES):
        words = [*command.words(out), "--alpha", ("0.6", "0.2")[number % 2]]
        with started(words) as writer:
            while exit_code_of(writer, wait=False) is None or reads < number * READS / REWRITES:
                tile = draw.choice(sorted(known[0]))
                found = _sum(out / "w_conf" / f"{tile}.tif")
                assert found in (known[0][tile], known[1][tile]), tile
                seen.add((tile, found))
                reads += 1
            assert exit_code_of(writer) == 0
    assert reads >= READS
    assert len({found for _, found in seen}) > len(known[0])  # both contents were met


def _sum(path: Path) -> str:
    """Of the pixels as a data set reads them."""
    import rasterio

    with rasterio.open(path) as file:
        return hashlib.sha256(file.read().tobytes() + file.read_masks().tobytes()).hexdigest()


def cold_cache(count: int, seed: int, shared: Path) -> Iterator[Try]:
    """Workers fill a cache of soft labels together, forked and spawned in turn."""
    from label_rasters import two_class_tiles

    import coteach  # before the forks

    table = two_class_tiles(shared / "tiles", count=4, size=64)
    draw = random.Random(seed)
    for number in range(count):
        start = ("fork", "spawn")[number % 2]
        order = draw.randrange(1 << 30)
        yield Try(f"{WORKERS} workers, {start}, order {order}", partial(_fill, coteach, table, start, order))


def _fill(coteach: object, table: Path, start: str, order: int, folder: Path) -> None:
    import torch
    from torch.utils.data import DataLoader

    def data_set(cache: str) -> object:
        options = {"lulc_keys": ["a_path", "b_path"], "patch_size": 16}
        return coteach.SoftLabelCachedDataset(table, folder / cache, 2, **options)

    shuffled = random.Random(order).sample(range(len(data_set("own"))), len(data_set("own")))
    alone = [data_set("alone")[index]["mask"] for index in shuffled]
    loader = DataLoader(
        data_set("cold"),
        batch_size=1,
        sampler=shuffled,
        num_workers=WORKERS,
        multiprocessing_context=start,
        collate_fn=_only,
    )
    together = [sample["mask"] for sample in loader]
    assert len(together) == len(alone) == 64
    for one, other in zip(together, alone, strict=True):
        for key in ("mask", "w_conf"):
            assert torch.equal(one[key], other[key])
    assert not list((folder / "cold").rglob("*.part"))
    assert not list((folder / "cold").rglob(".making*"))
    assert os.listdir(folder / "cold") != []  # noqa: PTH208


def _only(samples: list[dict]) -> dict:
    return samples[0]


FAMILIES = (
    Family(
        "two builds into one folder",
        "both end well, with the bytes of one alone",
        two_builds,
        short=1,
        long=20,
        seconds=60,
    ),
    Family(
        "a reader while a folder is rewritten",
        f"each of {READS} reads or more gives the old or the new pixels (SHA-256), never others",
        reading_while_rewritten,
        short=0,
        long=20,
        seconds=90,
    ),
    Family(
        "eight loader workers on a cold cache",
        "the samples of one process alone, forked and spawned, within the time limit",
        cold_cache,
        short=0,
        long=10,
        seconds=180,
    ),
)
