"""Embeddings, learned weights, schedulers and fingerprints in whole builds."""

from __future__ import annotations

import math
import os
import shutil
import signal
import threading

import numpy as np
import pytest
import rasterio
from dask_cluster import running_cluster
from label_rasters import NORTH_UP, read_band, write_image, write_map, write_sources
from rasterio import Affine
from soft_label_oracle import loop_confidence, loop_shares

from coteach.errors import OptionError
from coteach.labels.patterns import PatternCode, PatternCounts, count_numbers
from coteach.labels.reliability import learned_shares
from coteach.rasters import build_passes
from coteach.rasters import tile as tile_module
from coteach.rasters.build import build_soft_labels

HEIGHT, WIDTH, CLASSES, BANDS = 13, 17, 3, 5
KEYS = ["esa_path", "esri_path", "glc_path"]


def codes_of(seed):
    rng = np.random.default_rng(seed)
    truth = np.repeat(np.repeat(rng.integers(0, CLASSES, (4, 5)), 4, 0), 4, 1)[:HEIGHT, :WIDTH]
    wrong = rng.random((3, HEIGHT, WIDTH)) < np.array([0.05, 0.2, 0.4])[:, None, None]
    codes = np.where(wrong, rng.integers(-1, CLASSES, (3, HEIGHT, WIDTH)), truth)
    return codes.astype(np.int16)


@pytest.fixture
def sources(tmp_path):
    rows = []
    for seed in range(4):
        transform = NORTH_UP @ Affine.translation(40 * seed, 0)
        row = {"tile_id": f"t{seed}"}
        row["image_path"] = write_image(tmp_path / f"i{seed}.tif", HEIGHT, WIDTH, transform=transform)
        for key, codes in zip(KEYS, codes_of(seed), strict=True):
            row[key] = write_map(tmp_path / f"{key}{seed}.tif", codes, nodata=-1, transform=transform)
        rows.append(row)
    return write_sources(tmp_path / "sources.csv", rows)


def build(sources, out, **options):
    options = {"mask_key": None, "lulc_keys": KEYS, "max_workers": 1, "use_border": False} | options
    report = build_soft_labels(sources, out, CLASSES, **options)
    assert report.failures == ()
    return report


def outputs(out):
    return {file.relative_to(out): file.read_bytes() for file in sorted(out.rglob("*.tif"))}


def argmax_of(codes):
    shares = loop_shares(codes, CLASSES)
    return np.where((codes >= 0).any(axis=0), shares.argmax(axis=0), -1)


def unit(vector):
    return np.array(vector) / math.sqrt(sum(value * value for value in vector))


def loop_agreement(vectors, codes):
    """(cos + 1)/2 with the centroid of the pixel's class; NaN without a vector."""
    found = np.full(codes.shape, np.nan)
    for c in range(CLASSES):
        pixels = [p for p in np.ndindex(codes.shape) if codes[p] == c and not np.isnan(vectors[(0, *p)])]
        if pixels:
            centroid = unit(sum(unit(vectors[(slice(None), *p)]) for p in pixels))
            for p in pixels:
                found[p] = (unit(vectors[(slice(None), *p)]) @ centroid + 1) / 2
    return found


@pytest.fixture
def embeddings(tmp_path):
    """Quantised vectors of four tiles, the last one without a file; -128 in a corner."""
    folder = tmp_path / "aef"
    folder.mkdir()
    stored = {}
    for seed in range(3):
        values = np.random.default_rng(seed).integers(-127, 128, (BANDS, HEIGHT, WIDTH)).astype(np.int8)
        values[2, :3, :4] = -128
        # rows stored from south to north
        south_up = NORTH_UP @ Affine.translation(40 * seed, HEIGHT) @ Affine.scale(1, -1)
        write_map(folder / f"t{seed}.tif", values[:, ::-1], transform=south_up)
        floats = values.astype(np.float64)
        stored[f"t{seed}"] = np.where(
            (values == -128).any(axis=0), np.nan, np.sign(floats) * (floats / 127.5) ** 2
        )
    return folder, stored


@pytest.mark.parametrize("use_border", [False, True])
def test_embeddings_a_pixel_are_those_of_the_loops(tmp_path, sources, embeddings, use_border):
    folder, stored = embeddings
    options = {"alpha": 0.5, "beta": 0.2, "use_border": use_border}
    report = build(sources, tmp_path / "out", aef_embeddings_dir=folder, **options)
    missing = 0
    for seed in range(4):
        codes = codes_of(seed)
        best = argmax_of(codes)
        voted = best >= 0
        w_embed = np.full(best.shape, np.nan)
        if seed < 3:
            w_embed = loop_agreement(stored[f"t{seed}"], best)
        missing += np.count_nonzero(voted & np.isnan(w_embed))
        both = loop_confidence(codes, CLASSES, **options, w_embed=np.nan_to_num(w_embed))
        # without an embedding the others count by their shares: alpha, and what borders get
        rest = 0.3 if use_border else 0.0
        alone = loop_confidence(codes, CLASSES, alpha=0.5 / (0.5 + rest), use_border=use_border)
        expected = np.where(voted & np.isnan(w_embed), alone, both)
        np.testing.assert_allclose(read_band(tmp_path / f"out/w_conf/t{seed}.tif"), expected, atol=1e-6)
    voted = sum(np.count_nonzero(argmax_of(codes_of(seed)) >= 0) for seed in range(4))
    assert report.no_embedding == pytest.approx(missing / voted)


def test_embeddings_a_tile_are_compared_across_tiles(tmp_path, sources):
    folder = tmp_path / "hf"
    folder.mkdir()
    best = {seed: argmax_of(codes_of(seed)) for seed in range(4)}
    dominant = {seed: np.bincount(codes[codes >= 0]).argmax() for seed, codes in best.items()}
    shared = next(seed for seed in range(4) if list(dominant.values()).count(dominant[seed]) > 1)
    absent = next(seed for seed in range(4) if dominant[seed] != dominant[shared])
    vectors = {seed: np.random.default_rng(seed).normal(size=BANDS) for seed in range(4) if seed != absent}
    for seed, vector in vectors.items():
        np.save(folder / f"t{seed}.npy", vector.astype(np.float32))
    report = build(sources, tmp_path / "out", alpha=0.5, beta=0.5, aef_embeddings_dir=folder, aef_source="hf")
    for seed in range(4):
        codes = codes_of(seed)
        if seed == absent:
            expected = loop_confidence(codes, CLASSES, alpha=1.0, use_border=False)
        else:
            alike = [unit(vectors[other]) for other in vectors if dominant[other] == dominant[seed]]
            scalar = (unit(vectors[seed]) @ unit(sum(alike)) + 1) / 2
            w_embed = np.full(best[seed].shape, scalar)
            expected = loop_confidence(codes, CLASSES, alpha=0.5, beta=0.5, use_border=False, w_embed=w_embed)
        np.testing.assert_allclose(read_band(tmp_path / f"out/w_conf/t{seed}.tif"), expected, atol=1e-6)
    assert 0 < report.no_embedding < 1

    again = build(sources, tmp_path / "out", alpha=0.5, beta=0.5, aef_embeddings_dir=folder, aef_source="hf")
    assert again.built == ()
    np.save(folder / f"t{shared}.npy", np.ones(BANDS, np.float32))
    again = build(sources, tmp_path / "out", alpha=0.5, beta=0.5, aef_embeddings_dir=folder, aef_source="hf")
    touched = {f"t{seed}" for seed in vectors if dominant[seed] == dominant[shared]}
    assert set(again.built) == touched


def test_learned_shares_come_from_the_votes_of_all_tiles(tmp_path, sources):
    report = build(sources, tmp_path / "out", weights="learned")
    code = PatternCode(3, CLASSES)
    parts = []
    for seed in range(4):
        numbers, counts = count_numbers(code.numbers(codes_of(seed)), code.size)
        parts.append(PatternCounts(code.codes(numbers), counts))
    learned = learned_shares(PatternCounts.merged(parts), CLASSES)
    for seed in range(4):
        flat = np.ascontiguousarray(codes_of(seed).reshape(3, -1).T)
        with rasterio.open(tmp_path / f"out/p_soft/t{seed}.tif") as file:
            np.testing.assert_array_equal(file.read().reshape(CLASSES, -1).T, learned.shares(flat))
    order = np.argsort(report.fusion.learned.summary()["accuracy"])
    assert order.tolist() == [2, 1, 0]  # 40, 20 and 5 % wrong
    assert build(sources, tmp_path / "out", weights="learned").built == ()


def test_a_changed_source_or_option_rebuilds_just_what_it_touches(tmp_path, sources):
    out = tmp_path / "out"
    build(sources, out)
    assert build(sources, out, patch_size=4).built == ()
    assert build(sources, out, border_radius=3.0).built == ()  # borders do not count
    changed = codes_of(1)[1].copy()
    changed[0, 0] = 0 if changed[0, 0] else 1
    write_map(tmp_path / "esri_path1.tif", changed, nodata=-1, transform=NORTH_UP @ Affine.translation(40, 0))
    assert build(sources, out).built == ("t1",)
    assert len(build(sources, out, dtype="uint8").built) == 4


def test_a_fingerprint_of_the_content_survives_a_copy(tmp_path, sources):
    out = tmp_path / "out"
    build(sources, out, fingerprint="content")
    for file in tmp_path.glob("*.tif"):
        shutil.copyfile(file, tmp_path / "copy")
        (tmp_path / "copy").replace(file)
    assert build(sources, out, fingerprint="content").built == ()
    assert len(build(sources, out).built) == 4  # told by other means: all anew


@pytest.mark.parametrize("scheduler", ["serial", "threads", "processes"])
@pytest.mark.parametrize(
    "options", [{}, {"border_source": "argmax", "entropy_norm": "minmax", "use_border": True}]
)
def test_every_scheduler_writes_the_same_bytes(tmp_path, sources, scheduler, options):
    build(sources, tmp_path / "one", **options)
    build(sources, tmp_path / "other", **options, scheduler=scheduler, max_workers=3)
    assert outputs(tmp_path / "one") == outputs(tmp_path / "other")


def build_or_die(task, *, output_dir, **rest):
    """The first to work on t2 is killed."""
    if task.tile.tile_id == "t2" and not (output_dir / "died").exists():
        (output_dir / "died").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return tile_module.build_tile(task, output_dir=output_dir, **rest)


def test_a_cluster_that_loses_a_worker_writes_the_same_bytes(tmp_path, sources, monkeypatch):
    build(sources, tmp_path / "one")
    monkeypatch.setattr(build_passes, "build_tile", build_or_die)
    with running_cluster(2) as cluster:
        report = build(sources, tmp_path / "other", scheduler=cluster.scheduler_address)
    assert (tmp_path / "other" / "died").exists()
    # what the lost worker had finished is found there
    assert sorted(report.built + report.up_to_date) == ["t0", "t1", "t2", "t3"]
    assert outputs(tmp_path / "one") == outputs(tmp_path / "other")
    assert threading.active_count() < 50


def test_embeddings_that_are_not_there(tmp_path, sources):
    (tmp_path / "empty").mkdir()
    for folder, cause in (("none", "there is no folder"), ("empty", "has no file for any tile, as t0.tif")):
        with pytest.raises(OptionError, match=cause):
            build(sources, tmp_path / "out", beta=0.2, aef_embeddings_dir=tmp_path / folder)
    assert not (tmp_path / "out").exists()
