"""Memory and open files of long runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from fault_frame import Family, Try

EPOCHS, TILES = 2000, 500
SHORT = 10  # times shorter, in the short form
GROWTH = 0.05  # from a fifth of the way, when all is loaded and all pools are filled, to the end
KINDS = ("windows", "cached", "arrays")


class Watch:
    """Resident memory and open files of this process, looked at again and again.

    Args:
        total: how often ``look`` will be called.
    """

    def __init__(self, total: int) -> None:
        self._from = total // 5
        self._looks: list[tuple[int, int]] = []

    def look(self, *_: object) -> None:
        """Note what they are now."""
        status = Path("/proc/self/status").read_text(encoding="ascii")
        kilobytes = int(status.split("VmRSS:")[1].split()[0])
        self._looks.append((kilobytes, len(list(Path("/proc/self/fd").iterdir()))))

    def check(self, total: int) -> None:
        """Raise if they have grown since a fifth of the way."""
        assert len(self._looks) == total, len(self._looks)
        memory, files = zip(*self._looks[self._from :], strict=True)
        tenth = max(1, len(memory) // 10)
        first, last = max(memory[:tenth]), min(memory[-tenth:])
        assert last <= first * (1 + GROWTH), f"from {first} kB to {last} kB"
        assert max(files) <= max(files[:tenth]) + 2, f"from {max(files[:tenth])} open files to {max(files)}"


def loader_epochs(count: int, seed: int, shared: Path) -> Iterator[Try]:
    """One kind of data set after another."""
    epochs = EPOCHS if count >= len(KINDS) else EPOCHS // SHORT
    data_sets = _data_sets(shared)
    for number in range(count):
        kind = KINDS[number % len(KINDS)]
        yield Try(f"{epochs} epochs, {kind}", partial(_load, data_sets[kind], epochs, seed))


def _data_sets(shared: Path) -> dict[str, Callable[[Path], object]]:
    import numpy as np
    from label_rasters import two_class_tiles

    import coteach

    keys = ["a_path", "b_path"]
    table = two_class_tiles(shared / "tiles", count=2, size=32)
    report = coteach.build_soft_labels(
        table, shared / "soft", 2, lulc_keys=keys, patch_size=16, max_workers=1
    )
    images = np.random.default_rng(1).integers(0, 255, (16, 8, 8, 3)).astype(np.uint8)
    return {
        "windows": lambda _: coteach.SoftLabelWindowedDataset(report.manifest, w_conf_key="w_conf_path"),
        "cached": lambda folder: coteach.SoftLabelCachedDataset(
            table, folder / "cache", 2, lulc_keys=keys, patch_size=16
        ),
        "arrays": lambda _: coteach.ArrayDataset(images, np.arange(16) % 2),
    }


def _load(data_set: Callable[[Path], object], epochs: int, seed: int, folder: Path) -> None:
    from coteach.methods.base import Stream
    from coteach.training.streams import LoaderOptions, make_loader

    loader = make_loader(data_set(folder), Stream(), LoaderOptions(batch_size=4), seed=seed)
    watch = Watch(epochs)
    for epoch in range(epochs):
        loader.sampler.epoch = epoch
        assert sum(1 for _ in loader) > 1
        watch.look()
    watch.check(epochs)


def many_tiles(count: int, seed: int, shared: Path) -> Iterator[Try]:
    """A build in this process, by one thread and by two in turn."""
    from label_rasters import two_class_tiles

    tiles = TILES if count > 1 else TILES // SHORT
    table = two_class_tiles(shared / "tiles", count=tiles, size=32, seed=seed)
    for number in range(count):
        scheduler = ("serial", "threads")[number % 2]
        yield Try(f"{tiles} tiles, {scheduler}", partial(_build, table, tiles, scheduler))


def _build(table: Path, tiles: int, scheduler: str, folder: Path) -> None:
    import coteach

    watch = Watch(tiles)

    @contextmanager
    def progress(total: int, label: str) -> Iterator[Callable[..., None]]:
        yield watch.look

    coteach.build_soft_labels(
        table,
        folder / "out",
        2,
        lulc_keys=["a_path", "b_path"],
        scheduler=scheduler,
        max_workers=2 if scheduler == "threads" else 1,
        progress=progress,
    )
    watch.check(tiles)


_MEANING = f"memory grows by less than {GROWTH:.0%} after the first fifth, open files do not"
FAMILIES = (
    Family(f"{EPOCHS} loader epochs", _MEANING, loader_epochs, short=0, long=len(KINDS), seconds=600),
    Family(f"{TILES} tiles", _MEANING, many_tiles, short=1, long=2, seconds=300),
)
