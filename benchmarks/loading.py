"""Windows a second of the soft-label data sets: against opening every file for every sample.

The baseline is what one writes by hand: the files of every sample are opened and closed, ``default_collate`` stacks samples,
memory is as the C library has it. Ours is what ``coteach train`` does: files stay open, workers keep the memory that they
have freed, and batches travel in shared memory which is used again. Both give the same windows in the same random
orders, from loader processes of their own, which are spawned and kept. Images are the Landsat sample of North Carolina,
repeated to the size of a scene, labels are synthetic. A first epoch, which makes the cache of the cached data set, is not timed.

``windows/s`` is by the clock, ``ms`` the processor time of a window in all processes together, which other work on the
machine changes less. Memory is what the largest loader process has beyond what it had after its first window (Linux).
"""

from __future__ import annotations

import argparse
import csv
import os
import resource
import statistics
import sys
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import rasterio
import torch
from torch.utils.data import DataLoader, Dataset, default_collate

from coteach import SoftLabelCachedDataset, SoftLabelWindowedDataset, build_soft_labels
from coteach.data.samples import prepare_nc_landcover
from coteach.data.shared_batches import SharedBatches, stack_samples
from coteach.data.worker_memory import keep_freed_memory
from coteach.rasters.handles import limit_open_files
from soft_labels_inputs import CLASSES, MAPS, make_tiles

SIDE, PATCH, BATCH = 2048, 256, 8
COLUMNS = ["data set", "scenes", "workers", "opened, windows/s", "ours, windows/s", "times"]
COLUMNS += ["opened, ms", "ours, ms", "times", "opened, MiB", "ours, MiB"]
KEYS = [f"{name}_path" for name in MAPS if name != "mask"]


def prepare(folder: Path, scenes: int, stride: int) -> None:
    """Write scenes and their soft labels, in floats and in 8 bits."""
    table = make_tiles(folder, scenes, SIDE)
    with rasterio.open(prepare_nc_landcover().image) as file:
        sample = np.clip(file.read(), 0, 255).astype(np.uint8)
    size = ((0, 0), *((0, SIDE - extent) for extent in sample.shape[1:]))
    image = np.pad(sample, size, mode="symmetric")
    for number in range(scenes):
        with rasterio.open(folder / f"image_{number}.tif") as file:
            profile = file.profile | {"count": len(image), "photometric": "minisblack"}
        profile |= {"blockxsize": PATCH, "blockysize": PATCH, "interleave": "pixel"}
        with rasterio.open(folder / f"image_{number}.tif", "w", **profile) as file:
            file.write(np.roll(image, 100 * number, axis=2))
    for dtype in ("float32", "uint8"):
        report = build_soft_labels(
            table,
            folder / dtype,
            CLASSES,
            lulc_keys=KEYS,
            dtype=dtype,
            patch_size=PATCH,
            stride=stride,
            max_workers=2,
        )
        if report.failures:
            sys.exit(str(report.failures))


class Watched(Dataset):
    """A data set that adds the process's memory to each sample."""

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> tuple[dict, tuple[int, int]]:
        return self.dataset[index], (os.getpid(), _resident())


def collate(samples: list, stack: Callable[[list], dict]) -> tuple[dict, list]:
    """A batch, and what was seen of memory."""
    return stack([sample for sample, _ in samples]), [seen for _, seen in samples]


def start_by_hand(_: int) -> None:
    limit_open_files(0)


# mode -> how a worker starts, and how it makes a batch
MODES = {
    "opened": (start_by_hand, partial(collate, stack=default_collate)),
    "kept": (keep_freed_memory, SharedBatches(partial(collate, stack=stack_samples))),
}


class Measured(NamedTuple):
    """What was measured of one way to load."""

    rate: float  # windows a second, the median of the epochs
    cost: float  # ms of processor time a window, the least of the epochs
    memory: float  # MiB


def measure(dataset: Dataset, workers: int, epochs: int) -> dict[str, Measured]:
    """Load in all modes; they take turns, as other work on the machine may."""
    loaders = {
        mode: DataLoader(
            Watched(dataset),
            batch_size=BATCH,
            shuffle=True,
            generator=torch.Generator().manual_seed(0),
            num_workers=workers,
            persistent_workers=True,
            multiprocessing_context="spawn",
            worker_init_fn=start,
            collate_fn=collate_fn,
        )
        for mode, (start, collate_fn) in MODES.items()
    }
    rates: dict[str, list[float]] = {mode: [] for mode in loaders}
    costs: dict[str, list[float]] = {mode: [] for mode in loaders}
    memory: dict[str, dict[int, list[int]]] = {mode: {} for mode in loaders}
    for epoch in range(epochs + 1):
        for mode, loader in loaders.items():
            start, used = time.perf_counter(), _processor_time(memory[mode])
            for _, seen in loader:
                for process, size in seen:
                    memory[mode].setdefault(process, []).append(size)
            if epoch:
                rates[mode].append(len(dataset) / (time.perf_counter() - start))
                costs[mode].append((_processor_time(memory[mode]) - used) / len(dataset))
    return {
        mode: Measured(
            statistics.median(rates[mode]),
            1000 * min(costs[mode]),
            max(max(sizes) - sizes[0] for sizes in memory[mode].values()) / 1024,
        )
        for mode in loaders
    }


def data_sets(folder: Path, stride: int) -> dict[str, Callable[[], Dataset]]:
    """What is measured."""

    def windowed(dtype: str) -> Dataset:
        table = folder / dtype / "soft_label_patches.csv"
        return SoftLabelWindowedDataset(table, w_conf_key="w_conf_path")

    def cached(border_source: str) -> Dataset:
        return SoftLabelCachedDataset(
            folder / "sources.csv",
            folder / "cache",
            CLASSES,
            lulc_keys=KEYS,
            border_source=border_source,
            patch_size=PATCH,
            patch_stride=stride,
        )

    return {
        "windowed, float32": partial(windowed, "float32"),
        "windowed, 8 bits": partial(windowed, "uint8"),
        "cached, border of mask": partial(cached, "mask"),
        "cached, border of argmax": partial(cached, "argmax"),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenes", type=int, nargs="+", default=[1, 4], help=f"of {SIDE} x {SIDE} pixels")
    parser.add_argument("--stride", type=int, default=PATCH // 2, help="of windows, in pixels")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--folder", type=Path, default=Path("runs/bench_loading"))
    parser.add_argument("--output", type=Path, help="save the table, as CSV")
    options = parser.parse_args()
    rows = []
    print("| " + " | ".join(COLUMNS) + " |")
    print("|---" * len(COLUMNS) + "|")
    for scenes in options.scenes:
        folder = options.folder / f"{scenes}_{options.stride}"
        if not (folder / "uint8" / "soft_label_patches.csv").is_file():
            prepare(folder, scenes, options.stride)
        for name, make in data_sets(folder, options.stride).items():
            for workers in options.workers:
                found = measure(make(), workers, options.epochs)
                before, after = found["opened"], found["kept"]
                cells = [name, scenes, workers, round(before.rate), round(after.rate)]
                cells += [f"{after.rate / before.rate:.1f}", f"{before.cost:.1f}", f"{after.cost:.1f}"]
                cells += [f"{before.cost / after.cost:.1f}", round(before.memory), round(after.memory)]
                rows.append(cells)
                print("| " + " | ".join(map(str, cells)) + " |", flush=True)
    if options.output is not None:
        with options.output.open("w", newline="") as stream:
            csv.writer(stream).writerows([COLUMNS, *rows])


def _processor_time(workers: Iterable[int]) -> float:
    """Seconds that this process and its workers have used."""
    total = time.process_time()
    for process in workers:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        total += sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")
    return total


def _resident() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() >> 10  # KiB; the peak would be that of the parent, which is larger


if __name__ == "__main__":
    main()
