"""``coteach build-soft-labels`` against the floor (reading and writing alone) and the straightforward implementation.

Every build is a process of its own, timed from start to end, start-up included; memory is the peak of the largest
process. The floor counts reading and writing alone.

python benchmarks/soft_labels.py [--folder FOLDER] [--quick]
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from soft_labels_inputs import CLASSES, MAPS, make_tiles

WORKERS = 2
RIVALS = Path(__file__).with_name("soft_labels_rivals.py")
ENTRY = "import sys; from coteach.cli.main import main; main(sys.argv[1:])"


class Run(NamedTuple):
    seconds: float
    peak: int  # bytes, of the largest process
    out: str


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", type=Path, help="keeps the inputs")
    parser.add_argument("--quick", action="store_true", help="small sizes, to see that it works")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        work = options.folder or Path(folder)
        compare(work, *((2, 512) if options.quick else (16, 2048)))
        grow(work, [(1, 512)] if options.quick else [(1, 2048), (4, 2048), (16, 2048), (64, 2048)])
        grow(work, [(1, 512)] if options.quick else [(1, 1024), (1, 4096), (1, 10000), (1, 20000)])
        startup()


def compare(work: Path, tiles: int, side: int) -> None:
    """One size against its rivals."""
    table = make_tiles(work / f"{tiles}x{side}", tiles, side)
    pixels = tiles * side**2
    ours, built = build(table, "--no-summary")
    floor = measured([sys.executable, str(RIVALS), "floor", str(table), str(built), str(WORKERS)])
    lowest = float(floor.out.split()[-1])
    plain = measured([sys.executable, str(RIVALS), "plain", str(table), str(work / "plain"), str(WORKERS)])
    print(f"{tiles} tiles of {side} x {side}, {len(MAPS)} sources, {CLASSES} classes, {WORKERS} workers")
    print(f"{'':32} {'seconds':>8} {'Mpx/s':>7} {'of the floor':>12} {'peak MiB':>9}")
    rows = [("floor: read and write alone", Run(lowest, floor.peak, "")), ("coteach, mask border", ours)]
    for name, options in (
        ("coteach, summary.html too", []),
        ("coteach, no border", ["--no-summary", "--no-border"]),
        ("coteach, argmax border", ["--no-summary", "--border-source", "argmax"]),
        ("coteach, minmax", ["--no-summary", "--entropy-norm", "minmax"]),
        ("coteach, uint8", ["--no-summary", "--dtype", "uint8"]),
    ):
        rows.append((name, build(table, *options)[0]))
    rows.append(("straightforward, whole arrays", plain))
    for name, run in rows:
        print(
            f"{name:32} {run.seconds:8.2f} {pixels / 1e6 / run.seconds:7.1f} {run.seconds / lowest:12.2f}"
            f" {run.peak / 2**20:9.0f}",
            flush=True,
        )


def grow(work: Path, sizes: list[tuple[int, int]]) -> None:
    """How time and memory grow."""
    print(
        f"\n{'tiles':>5} {'side':>6} {'seconds':>8} {'Mpx/s':>7} {'peak MiB':>9}   (mask border, {WORKERS} workers)"
    )
    for tiles, side in sizes:
        run, built = build(make_tiles(work / f"{tiles}x{side}", tiles, side), "--no-summary")
        pixels = tiles * side**2 / 1e6
        print(
            f"{tiles:5} {side:6} {run.seconds:8.2f} {pixels / run.seconds:7.1f} {run.peak / 2**20:9.0f}",
            flush=True,
        )
        shutil.rmtree(built)


def startup() -> None:
    """What the command costs before it does anything."""
    table = Path(tempfile.gettempdir()) / "no_such_table.csv"
    command = [
        sys.executable,
        "-c",
        ENTRY,
        "build-soft-labels",
        str(table),
        "--output-dir",
        "x",
        "--num-classes",
        "6",
    ]
    run = measured([*command, "--lulc-key", "esa_path"], code=1)
    print(f"\nstart-up, to the error of a missing table: {run.seconds:.2f} s")


def build(table: Path, *options: str) -> tuple[Run, Path]:
    """Run the command into a new folder."""
    folder = table.parent / "out"
    shutil.rmtree(folder, ignore_errors=True)
    maps = [word for name in MAPS if name != "mask" for word in ("--lulc-key", f"{name}_path")]
    command = [sys.executable, "-c", ENTRY, "build-soft-labels", str(table), "--output-dir", str(folder)]
    command += ["--num-classes", str(CLASSES), "--max-workers", str(WORKERS), *maps, *options]
    return measured(command), folder


def measured(command: list[str], code: int = 0) -> Run:
    """Run a command to its end; its peak is that of its largest process."""
    started = time.perf_counter()
    script = (
        "import resource, subprocess, sys;"
        "run = subprocess.run(sys.argv[1:], capture_output=True, text=True);"
        "print(run.stdout + run.stderr, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss);"
        "sys.exit(run.returncode)"
    )
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    run = subprocess.run(
        [sys.executable, "-c", script, *command], capture_output=True, text=True, env=environment, check=False
    )
    seconds = time.perf_counter() - started
    if run.returncode != code:
        sys.exit(f"{' '.join(command)}\n{run.stdout}{run.stderr}")
    out, peak = run.stdout.rsplit(maxsplit=1)
    return Run(seconds, int(peak) * 1024, out)


if __name__ == "__main__":
    main()
