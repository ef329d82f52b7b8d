"""Peak memory and speed of predicting a scene, against one with 16 times its pixels, each in a process of its own.

Prints pixels a second and peak memory of both, and their ratios. GDAL's cache of blocks, constant but filled only by a
scene of some size, is limited so that it does not pass for growth.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

SCALE = 4  # of each side
BANDS = 4
CACHE = 16 << 20  # bytes


def write_scene(path: Path, side: int) -> None:
    """An image of random values, written strip by strip."""
    import numpy as np
    import rasterio
    from rasterio import Affine

    strip = 256
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        count=BANDS,
        height=side,
        width=side,
        dtype="uint8",
        crs="EPSG:32617",
        transform=Affine(10, 0, 500000, 0, -10, 4000000),
        tiled=True,
    ) as file:
        for row in range(0, side, strip):
            height = min(strip, side - row)
            values = np.random.default_rng(row).integers(256, size=(BANDS, height, side), dtype=np.uint8)
            file.write(values, window=rasterio.windows.Window(0, row, side, height))


def measure(side: int, window: int, classes: int, folder: Path) -> dict[str, float]:
    """Predict one scene with an untrained network; seconds, and the process's peak memory in MiB."""
    from coteach.cli.progress import track
    from coteach.data.scene_files import SceneFile
    from coteach.legend import Legend
    from coteach.methods.base import TaskInfo
    from coteach.methods.discovery import create_method
    from coteach.models import SmallFCN
    from coteach.rasters.dataset import GDAL_OPTIONS
    from coteach.training.scene_job import SceneJob, predict_scenes
    from coteach.training.scenes import SceneOptions

    GDAL_OPTIONS["GDAL_CACHEMAX"] = CACHE
    write_scene(folder / "scene.tif", side)
    method = create_method("supervised", {})
    info = TaskInfo(num_classes=classes, num_items=1, seed=0)
    method.setup(lambda: SmallFCN(in_channels=BANDS, classes=classes, width=8, depth=1), info)
    job = SceneJob(
        method=method,
        legend=Legend.of(classes),
        output_dir=folder / "maps",
        options=SceneOptions(window=window, overlap=window // 4),
        made_by={},
    )
    start = time.perf_counter()
    report = predict_scenes([SceneFile("scene", folder / "scene.tif")], job, track, print)
    seconds = time.perf_counter() - start
    assert report.failures == ()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"side": side, "seconds": seconds, "peak_mib": peak}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=2048, help="of the smaller scene, in pixels")
    parser.add_argument("--window", type=int, default=512)
    parser.add_argument("--classes", type=int, default=6)
    parser.add_argument(
        "--one", type=Path, help=argparse.SUPPRESS
    )  # the child: measure one scene in this folder
    options = parser.parse_args()
    if options.one is not None:
        print(json.dumps(measure(options.side, options.window, options.classes, options.one)))
        return
    results = []
    for side in (options.side, SCALE * options.side):
        with TemporaryDirectory() as folder:
            command = [sys.executable, __file__, "--one", folder, "--side", str(side)]
            command += ["--window", str(options.window), "--classes", str(options.classes)]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        one = json.loads(done.stdout.splitlines()[-1])
        results.append(one)
        speed = side**2 / one["seconds"] / 1e6
        print(
            f"{side} x {side} pixels: {one['peak_mib']:.0f} MiB at most, {speed:.2f} million pixels a second"
        )
    small, large = results
    print(f"pixels: {SCALE**2:.2f} times, peak memory: {large['peak_mib'] / small['peak_mib']:.2f} times")


if __name__ == "__main__":
    main()
