"""What ``soft_labels.py`` compares with: the floor and the straightforward implementation, each a program of its own.

python benchmarks/soft_labels_rivals.py floor SOURCES_CSV BUILT WORKERS
python benchmarks/soft_labels_rivals.py plain SOURCES_CSV OUTPUT_DIR WORKERS

The floor reads every source and writes the same P_soft and W_conf that a build has left, with the same layout and
compression; only that is timed (what it writes is loaded beforehand), and the slower worker counts. It prints seconds.
"""

from __future__ import annotations

import csv
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import rasterio
from rasterio.windows import Window
from scipy import ndimage

from soft_labels_inputs import CLASSES, MAPS

RADIUS, ALPHA, ROWS = 10, np.float32(0.6), 512


def floor(built: Path, row: dict[str, str], folder: Path) -> tuple[int, float]:
    """Process number and the seconds that reading and writing took."""
    import os

    outputs = []
    for kind in ("p_soft", "w_conf"):
        with rasterio.open(built / kind / f"{row['tile_id']}.tif") as file:
            outputs.append((file.read(), file.dataset_mask(), file.profile, file.tags()))
    started = time.perf_counter()
    with rasterio.Env(GDAL_CACHEMAX=256 << 20, GDAL_TIFF_INTERNAL_MASK=True):
        for name in MAPS:
            with rasterio.open(folder / row[f"{name}_path"]) as file:
                file.read(1)
        for number, (values, mask, profile, tags) in enumerate(outputs):
            predictor = 2 if number == 0 else 1  # as the build writes them
            with rasterio.open(
                f"/tmp/floor_{os.getpid()}.tif", "w", **profile | {"predictor": predictor}
            ) as file:
                file.update_tags(**tags)
                for start in range(0, profile["height"], ROWS):
                    part = slice(start, min(start + ROWS, profile["height"]))
                    window = Window(0, start, profile["width"], part.stop - start)
                    file.write(values[:, part], window=window)
                    file.write_mask(mask[part], window=window)
    seconds = time.perf_counter() - started
    Path(f"/tmp/floor_{os.getpid()}.tif").unlink()
    return os.getpid(), seconds


def plain(output: Path, row: dict[str, str], folder: Path) -> tuple[int, float]:
    """P_soft and W_conf with whole arrays, as one writes it down from the formulas."""
    maps = []
    for name in MAPS:
        with rasterio.open(folder / row[f"{name}_path"]) as file:
            maps.append(file.read(1))
            profile = file.profile
    codes = np.stack(maps)
    counts = np.stack([(codes == c).sum(axis=0) for c in range(CLASSES)]).astype(np.float32)
    total = counts.sum(axis=0)
    p_soft = np.where(total > 0, counts / np.maximum(total, 1), np.float32(1 / CLASSES))
    with np.errstate(divide="ignore", invalid="ignore"):
        entropy = -np.where(p_soft > 0, p_soft * np.log(p_soft), 0).sum(axis=0)
    mask = codes[0].astype(np.int16)
    low, high = ndimage.minimum_filter(mask, 3), ndimage.maximum_filter(mask, 3)
    distance = ndimage.distance_transform_edt(low == high)
    w_conf = ALPHA * (1 - entropy / np.log(CLASSES)) + (1 - ALPHA) * np.minimum(distance / RADIUS, 1)
    w_conf = np.where(total > 0, w_conf, 0).astype(np.float32)
    profile |= {"dtype": "float32", "nodata": None, "predictor": 3}
    for kind, values in (("p_soft", p_soft), ("w_conf", w_conf[None])):
        file_name = output / kind / f"{row['tile_id']}.tif"
        with rasterio.open(file_name, "w", **profile | {"count": len(values)}) as file:
            file.write(values)
    return 0, 0.0


def main() -> None:
    """Run one of the two over all tiles."""
    what, table, folder, workers = (
        sys.argv[1],
        Path(sys.argv[2]),
        Path(sys.argv[3]),
        int(sys.argv[4]),
    )
    with table.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    if what == "plain":
        for kind in ("p_soft", "w_conf"):
            (folder / kind).mkdir(parents=True, exist_ok=True)
    work = partial({"floor": floor, "plain": plain}[what], folder, folder=table.parent)
    seconds: dict[int, float] = {}
    with ProcessPoolExecutor(workers) as pool:
        for process, taken in pool.map(work, rows):
            seconds[process] = seconds.get(process, 0) + taken
    print(max(seconds.values()))


if __name__ == "__main__":
    main()
