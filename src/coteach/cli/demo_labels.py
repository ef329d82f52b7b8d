"""The demo's labels: imperfect products of a real land cover, soft labels of them, and blocks to train on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int

from coteach.cli.variants import VARIANTS
from coteach.data.samples import NcLandcover, prepare_nc_landcover
from coteach.data.splits import generate_training_csv
from coteach.errors import IncompleteError
from coteach.labels.map_noise import error_rate
from coteach.labels.map_products import make_products
from coteach.labels.votes import vote_shares
from coteach.rasters.build import build_soft_labels
from coteach.rasters.codes import read_codes
from coteach.rasters.grid import Grid
from coteach.rasters.write import write_raster
from coteach.tables import write_table

CLASS_NAMES = ["developed", "open land", "forest", "water"]
NUM_CLASSES = len(CLASS_NAMES)
PRODUCTS = ("coarse", "shifted", "regional")
PATCH, STRIDE, BLOCK = 32, 16, 64
TILE = "nc_landcover"
_NODATA = 255
# Two label sets of all sources that differ in W_conf only, and one of each map by itself.
_ALL_SOURCES = {labels.name: labels.options for labels in (VARIANTS["E2"].labels, VARIANTS["E2-NB"].labels)}
_SINGLE = {name: f"{name}_path" for name in (*PRODUCTS, "mask", "clean")}


@dataclass(frozen=True)
class DemoLabels:
    """What the demo trains and is measured on.

    Args:
        sample: image and untouched land cover.
        error_rates: map -> share of its labelled pixels that are wrong; ``majority`` is the vote of all.
        splits: label set -> split -> CSV. All label sets have the same blocks.
    """

    sample: NcLandcover
    error_rates: Mapping[str, float]
    splits: Mapping[str, Mapping[str, Path]]


def prepare_labels(folder: Path, *, seed: int, split_seed: int, say: Callable[[str], None]) -> DemoLabels:
    """Fetch the sample, make the products, build every label set and split it by blocks.

    Args:
        folder: where all of it goes; what is there and up to date is kept.
        seed: seed of the products.
        split_seed: decides which blocks train.
        say: is told what is going on.

    Raises:
        IncompleteError: a label set could not be built.
    """
    sample = prepare_nc_landcover()
    say(f"sample data: {sample.folder}")
    products, rates = _make_products(sample, folder / "products", seed)
    sources = _write_sources(folder, sample, products)
    sets: dict[str, dict[str, object]] = {
        name: {"mask_key": "mask_path", "lulc_keys": [f"{p}_path" for p in PRODUCTS], **options}
        for name, options in _ALL_SOURCES.items()
    }
    sets |= {name: {"mask_key": column, "border_source": "argmax"} for name, column in _SINGLE.items()}
    splits = {}
    for name, options in sets.items():
        report = build_soft_labels(
            sources,
            folder / "labels" / name,
            NUM_CLASSES,
            patch_size=PATCH,
            stride=STRIDE,
            max_workers=1,
            **options,  # type: ignore[arg-type]  # options of build_soft_labels by name
        )
        if report.failures:
            raise IncompleteError(f"label set {name!r}", str(report.failures), "see the messages above")
        split = generate_training_csv(
            report.manifest, folder / "labels" / name, by="block", block_size=BLOCK, seed=split_seed
        )
        splits[name] = dict(split.files)
    return DemoLabels(sample, rates, splits)


def _make_products(sample: NcLandcover, folder: Path, seed: int) -> tuple[dict[str, Path], dict[str, float]]:
    grid = Grid.of(sample.landcover)
    truth = read_codes(sample.landcover, grid, NUM_CLASSES)
    maps = make_products(truth, num_classes=NUM_CLASSES, seed=seed)
    rates = {name: error_rate(codes, truth) for name, codes in maps.items()}
    p_soft, votes = vote_shares(np.stack(list(maps.values())), NUM_CLASSES)
    majority = np.where(votes > 0, p_soft.argmax(0), -1)
    rates["majority"] = error_rate(majority, truth)
    paths = {"clean": sample.landcover}
    for name, codes in maps.items():
        paths[name] = folder / f"{name}.tif"
        _write_if_other(paths[name], codes, grid)
    return paths, rates


def _write_if_other(path: Path, codes: Int[np.ndarray, "h w"], grid: Grid) -> None:
    """An unchanged product keeps its file, so that the soft labels made of it stay valid."""
    if path.is_file() and np.array_equal(read_codes(path, grid, NUM_CLASSES), codes):
        return
    stored = np.where(codes < 0, _NODATA, codes).astype(np.uint8)
    write_raster(path, stored, grid, nodata=_NODATA)


def _write_sources(folder: Path, sample: NcLandcover, products: Mapping[str, Path]) -> Path:
    path = folder / "sources.csv"
    row = {"tile_id": TILE, "image_path": str(sample.image.resolve())}
    row |= {column: str(products[name].resolve()) for name, column in _SINGLE.items()}
    write_table(path, list(row), [row])
    return path
