"""What the interrupted commands are asked for, one setting each: its input is made in a folder, then it is yielded."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from fault_commands import Command, check_same_files
from fault_imports import BUILDING, import_all
from fault_runs import ablating, training, training_images

TILES, TILE_SIZE = 8, 160


def building(shared: Path, scheduler: str = "processes") -> Iterator[Command]:
    """``build-soft-labels`` by two workers: rasters, sidecars, manifest, byte by byte."""
    from label_rasters import two_class_tiles

    import_all(*BUILDING)
    sources = two_class_tiles(shared / "tiles", count=TILES, size=TILE_SIZE)
    yield Command(lambda out: _build_words(sources, out, scheduler), check_same_files)


def _build_words(sources: Path, out: Path, scheduler: str) -> list[str]:
    maps = ("--lulc-key", "a_path", "--lulc-key", "b_path")
    return [
        *("build-soft-labels", str(sources), "--output-dir", str(out), "--num-classes", "2", *maps),
        *("--max-workers", "2", "--scheduler", scheduler),
    ]


def downloading(shared: Path) -> Iterator[Command]:
    """``download-aef-embeddings`` from a web server on this computer: rasters and sidecars, byte by byte."""
    from aef_files import random_values, write_cog
    from label_rasters import write_image, write_sources
    from rasterio import Affine

    import_all("coteach.rasters.aef.rasters_job", "coteach.cli.download_embeddings")
    rows = []
    for number in range(TILES):
        write_cog(shared / "web" / "b" / f"{number}.tif", random_values(number, 100, 100, bands=16))
        corner = Affine(10, 0, 500000 + 300, 0, -10, 4000000 - 200)
        image = write_image(shared / f"i{number}.tif", 20, 30, crs="EPSG:32617", transform=corner)
        rows.append({"tile_id": f"t{number}", "gcs_uri": f"gs://b/{number}.tif", "image_path": image})
    table = write_sources(shared / "paths.csv", rows)
    with _web_server(shared / "web") as url:
        yield Command(lambda out: _download_words(table, url, out), check_same_files)


def _download_words(table: Path, url: str, out: Path) -> list[str]:
    return [
        *(
            "download-aef-embeddings",
            "--source",
            "gcs",
            "--gcs-paths-csv",
            str(table),
            "--output-dir",
            str(out),
        ),
        *("--gcs-endpoint", url, "--max-workers", "2", "--retry-delay", "0.05"),
    ]


@contextmanager
def _web_server(folder: Path) -> Iterator[str]:
    """In a process of its own, as what is forked here must have no threads."""
    context = multiprocessing.get_context("fork")
    here, there = context.Pipe()

    def serve() -> None:
        from range_server import serving

        with serving(folder) as served:
            there.send(served.url)
            while True:
                time.sleep(60)

    process = context.Process(target=serve, daemon=True)
    process.start()
    try:
        yield here.recv()
    finally:
        process.kill()
        process.join()


SETTINGS = {
    "build-soft-labels": building,
    "build-soft-labels, two threads": partial(building, scheduler="threads"),
    "download-aef-embeddings": downloading,
    "train, two networks": training,
    "train, mean of weights and table of labels": training_images,
    "train, two loader workers": partial(training_images, workers=2),
    "ablate": ablating,
}
