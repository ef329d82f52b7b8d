"""A small network on AlphaEarth rasters, by the command line: embeddings made up, labels real."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import rasterio
from label_rasters import write_map
from rasterio import Affine
from run_configs import write_small_fcn_run

from coteach import build_soft_labels
from coteach.cli.main import main

HEIGHT, WIDTH = 128, 192


def quantised(vectors: np.ndarray) -> np.ndarray:
    """The inverse of ``sign(v) (|v| / 127.5)^2``, rounded."""
    return np.rint(np.sign(vectors) * np.sqrt(np.abs(vectors)) * 127.5).clip(-127, 127).astype(np.int8)


def embeddings_of(codes: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """``(64, h, w)`` unit vectors around one direction a class, so noisy that four pixels say more than one."""
    directions = rng.normal(size=(5, 64))
    vectors = directions[codes].transpose(2, 0, 1) / 8 + 0.3 * rng.normal(size=(64, *codes.shape))
    return vectors / np.linalg.norm(vectors, axis=0)


def run(*arguments: object) -> int:
    try:
        main([*map(str, arguments)])
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def test_one_epoch_learns_land_cover(tmp_path, nc_landcover, capsys):
    with rasterio.open(nc_landcover.landcover) as file:
        codes = file.read(1)[120 : 120 + HEIGHT, 120 : 120 + WIDTH]
        crs, transform = file.crs, file.transform @ Affine.translation(120, 120)
    stored = quantised(embeddings_of(codes, np.random.default_rng(0)))
    stored[:, 40:44, 50:60] = -128
    image = write_map(tmp_path / "aef.tif", stored, nodata=-128, crs=crs, transform=transform)
    mask = write_map(tmp_path / "mask.tif", codes, nodata=255, crs=crs, transform=transform)
    sources = tmp_path / "sources.csv"
    sources.write_text(f"tile_id,image_path,mask_path\nt,{image},{mask}\n")
    report = build_soft_labels(sources, tmp_path / "soft", 4, patch_size=32, max_workers=1)
    lines = report.manifest.read_text().splitlines()
    split = {"train": lines[1:17], "val": lines[17:]}  # rows of patches from the top, and the rest
    for name, rows in split.items():
        (report.manifest.parent / f"{name}.csv").write_text("\n".join([lines[0], *rows]) + "\n")

    def dataset(name: str) -> dict:
        return {
            "_target_": "coteach.SoftLabelWindowedDataset",
            "input_csv_path": str(report.manifest.parent / f"{name}.csv"),
            "w_conf_key": "w_conf_path",
            "image_scale": "embeddings",
        }

    path = write_small_fcn_run(
        tmp_path,
        {"train_dataset": dataset("train"), "val_dataset": dataset("val")},
        network={"in_channels": 64, "width": 16, "depth": 1},
        batch_size=1,
        epochs=1,
    )
    assert run("train", path) == 0, capsys.readouterr().err
    assert run("evaluate", tmp_path / "run", "--dataset", "val_dataset", "--output", tmp_path / "e.json") == 0
    found = json.loads((tmp_path / "e.json").read_text())
    share = np.bincount(codes[64:].ravel(), minlength=4).max() / codes[64:].size
    assert found["mIoU"] > 0.5  # guessing the commonest class gives its share / 4
    assert found["OA"] > share + 0.2

    assert run("predict", tmp_path / "run", image, "--output-dir", tmp_path / "maps") == 0
    [classes] = Path(tmp_path / "maps").glob("*_class.tif")
    with rasterio.open(classes) as file:
        predicted, valid = file.read(1), file.dataset_mask() > 0
    assert not valid[40:44, 50:60].any()
    assert valid.sum() == HEIGHT * WIDTH - 40
    known = valid & (codes < 4)
    known[:64] = False  # where it was not trained
    assert (predicted == codes)[known].mean() > share + 0.2
