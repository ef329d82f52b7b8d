"""Where sources are wrong: the posterior by hand, known errors found, the same whatever the windows are."""

import tracemalloc
from contextlib import contextmanager

import numpy as np
import pytest
import rasterio
import torch
from label_rasters import write_map
from ranking import average_precision
from torch import nn

from coteach.errors import OptionError, TableError
from coteach.labels.quality import LabelQuality, label_quality
from coteach.labels.votes import NO_VOTE
from coteach.legend import Legend
from coteach.methods.base import TaskInfo
from coteach.methods.discovery import create_method
from coteach.rasters.options import BuildOptions
from coteach.rasters.pool import silent
from coteach.rasters.sources import BadRow, Tile
from coteach.training.scene_job import SceneJob
from coteach.training.scenes import SceneOptions
from coteach.training.source_audit import audit_sources
from coteach.training.source_errors import wrong_where
from coteach.training.source_job import SourceAuditJob
from coteach.training.source_tables import write_source_tables

C = 3
KEYS = ("a_path", "b_path")
NAMES = ["water", "field", "wood"]


def known_network(factor=1.0):
    """The image's bands are the scores."""
    network = nn.Conv2d(C, C, 1)
    nn.init.zeros_(network.bias)
    network.weight.data = factor * torch.eye(C)[:, :, None, None]
    return network


def make_job(
    folder, name="supervised", *, keys=KEYS, legends=None, drawn=1 << 16, factors=(1.0, 1.0), **windows
):
    factor = iter(factors)
    method = create_method(name, {})
    method.setup(lambda: known_network(next(factor)), TaskInfo(num_classes=C, num_items=1, seed=0))
    scene = SceneJob(
        method=method,
        legend=Legend.of(C, NAMES),
        output_dir=folder,
        options=SceneOptions(**({"window": 64, "overlap": 16} | windows)),
        made_by={},
    )
    options = BuildOptions(num_classes=C, mask_key=None, lulc_keys=keys, legends=legends or {})
    return SourceAuditJob(scene=scene, sources=options, drawn=drawn)


def world(seed=0, height=96, width=80):
    """The truth in patches, scores that know it roughly, and two sources: wrong patches; field called wood."""
    rng = np.random.default_rng(seed)
    truth = np.kron(rng.integers(0, C, (height // 8, width // 8)), np.ones((8, 8), np.int64))
    scores = rng.normal(size=(C, height, width)) + 3 * (np.arange(C)[:, None, None] == truth)
    a, b = truth.copy(), truth.copy()
    a[16:40, 8:48] = (a[16:40, 8:48] + 1) % C
    b[(truth == 1) & (rng.random(truth.shape) < 0.4)] = 2
    return truth, scores.astype(np.float32), a.astype(np.uint8), b.astype(np.uint8)


def write_tile(folder, name, scores, **sources):
    image = write_map(folder / f"{name}.tif", scores)
    maps = {f"{key}_path": write_map(folder / f"{name}_{key}.tif", codes) for key, codes in sources.items()}
    return Tile(name, image, maps)


def run(rows, job):
    return audit_sources(rows, job, silent, lambda _: None)


def read(path):
    with rasterio.open(path) as file:
        return file.read()


def softmax(scores):
    powers = np.exp(scores.astype(np.float64))
    return powers / powers.sum(0)


def an_estimate(transition):
    classes = len(transition)
    none = np.empty(0)
    return LabelQuality(
        p_wrong=none,
        suggested=np.empty(0, np.int64),
        posterior=np.empty((0, classes), np.float32),
        transition=np.array(transition),
        joint=np.zeros((classes, classes)),
        sharpness=1.0,
        emphasis=0.0,
        bias=np.zeros(classes),
        log_likelihood=none,
    )


def test_the_posterior_by_hand():
    estimate = an_estimate([[0.9, 0.1], [0.3, 0.7]])
    probs = np.array([[[0.6, 0.9, 0.5]], [[0.4, 0.1, 0.5]]], np.float32)
    codes = np.array([[1, 1, NO_VOTE]], np.int16)
    p_wrong, suggested, counts = wrong_where(estimate, probs, codes)
    # the source says 1: it is 0 with 0.6 * 0.1 against 0.4 * 0.7; with 0.9 * 0.1 against 0.1 * 0.7
    np.testing.assert_allclose(p_wrong[0, :2], [6 / 34, 9 / 16], rtol=1e-5)
    assert np.isnan(p_wrong[0, 2])
    assert suggested.tolist() == [[1, 0, -1]]
    np.testing.assert_allclose(counts.joint, [[0, 6 / 34 + 9 / 16], [0, 28 / 34 + 7 / 16]], rtol=1e-5)
    assert (counts.pixels, counts.judged, counts.judged_wrong) == (2, 1, 0.5)
    assert counts.error_rate == pytest.approx((6 / 34 + 9 / 16) / 2, rel=1e-5)


@pytest.mark.parametrize(("method", "factors"), [("supervised", (1.0,)), ("co_teaching", (0.8, 1.3))])
def test_known_errors_are_found_and_the_maps_are_the_posterior(tmp_path, method, factors):
    truth, scores, a, b = world()
    tile = write_tile(tmp_path, "t", scores, a=a, b=b)
    found = run([tile], make_job(tmp_path / "out", method, factors=factors))
    assert found.failures == ()
    assert found.made == ("t",)
    probs = np.mean([softmax(factor * scores) for factor in factors], axis=0)  # of all networks
    for key, codes in (("a", a), ("b", b)):
        percent, suggested = read(tmp_path / "out" / f"t_{key}.tif").astype(int)
        wrong = codes != truth
        assert average_precision(percent.ravel(), wrong.ravel()) > 0.8 > 3 * wrong.mean()
        transition = found.estimates[f"{key}_path"].transition
        for row, col in np.random.default_rng(1).integers(0, 80, (200, 2)):
            weights = [probs[y, row, col] * transition[y, codes[row, col]] for y in range(C)]
            p_wrong = 1 - weights[codes[row, col]] / sum(weights)
            assert percent[row, col] == pytest.approx(100 * p_wrong, abs=0.51)
            if abs(p_wrong - 0.5) > 1e-3:
                assert suggested[row, col] == (np.argmax(weights) if p_wrong > 0.5 else 255)
        counts = found.counts["t"][f"{key}_path"]
        assert counts.pixels == truth.size
        assert counts.error_rate == pytest.approx(wrong.mean(), abs=0.04)
        assert counts.judged_wrong == np.mean(suggested != 255)
    confusion = [[np.mean(b[truth == y] == g) for g in range(C)] for y in range(C)]
    np.testing.assert_allclose(found.estimates["b_path"].transition, confusion, atol=0.08)


@pytest.mark.parametrize(
    "windows", [{"window": 16, "overlap": 0}, {"window": 33, "overlap": 9, "batch_size": 1}]
)
def test_the_size_of_the_windows_does_not_matter(tmp_path, windows):
    _, scores, a, b = world(height=304)
    tile = write_tile(tmp_path, "t", scores, a=a, b=b)
    job, other = make_job(tmp_path / "one", drawn=3000), make_job(tmp_path / "two", drawn=3000, **windows)
    one, two = run([tile], job), run([tile], other)
    drawn = [
        np.load(folder / "fingerprints" / "t_drawn.npz") for folder in (tmp_path / "one", tmp_path / "two")
    ]
    assert 2700 < len(drawn[0]["codes"]) < 3300
    np.testing.assert_array_equal(drawn[0]["codes"], drawn[1]["codes"])
    for key in "ab":
        maps = [read(tmp_path / folder / f"t_{key}.tif").astype(int) for folder in ("one", "two")]
        assert np.abs(maps[0][0] - maps[1][0]).max() <= 1  # rounding of sums of other windows
        assert (maps[0][1] != maps[1][1]).mean() < 1e-3
        counts = [found.counts["t"][f"{key}_path"] for found in (one, two)]
        np.testing.assert_allclose(counts[0].joint, counts[1].joint, rtol=1e-4)


def test_what_says_nothing_is_nodata_and_legends_count(tmp_path):
    _, scores, a, b = world()
    valid = np.ones(a.shape, bool)
    valid[60:, 20:30] = False
    image = write_map(tmp_path / "t.tif", scores, valid=valid)
    silent_there = a.copy()
    silent_there[:10] = 9
    maps = {
        "a_path": write_map(tmp_path / "a.tif", silent_there, nodata=9),
        "b_path": write_map(tmp_path / "b.tif", b * 10 + 10),
        "c_path": write_map(tmp_path / "c.tif", np.full(a.shape, 7, np.uint8), nodata=7),
        "d_path": write_map(tmp_path / "d.tif", np.where(a == 0, 77, a).astype(np.uint8)),
    }
    legends = {"b_path": {10: 0, 20: 1, 30: 2}}
    job = make_job(tmp_path / "out", keys=tuple(maps), legends=legends)
    found = run([Tile("t", image, maps)], job)
    assert found.failures == ()
    told = {"a": valid & (silent_there != 9), "b": valid, "c": np.zeros_like(valid), "d": valid & (a != 0)}
    for key, there in told.items():
        with rasterio.open(tmp_path / "out" / f"t_{key}.tif") as file:
            assert (file.nodata, file.dtypes[0], file.descriptions) == (
                255,
                "uint8",
                ("p_wrong", "suggested"),
            )
            assert file.tags()["SOURCE"] == key
            assert "field" in file.tags()["CLASS_NAMES"]
            assert np.array_equal(file.read(1) != 255, there)
            assert (file.read(2)[~there] == 255).all()
    assert found.unknown == {"d_path": {"77": int((a == 0).sum())}}
    plain = tmp_path / "plain"  # the same codes without a legend give the same map
    run([Tile("t", image, {"b_path": write_map(tmp_path / "p.tif", b)})], make_job(plain, keys=("b_path",)))
    assert np.array_equal(read(plain / "t_b.tif"), read(tmp_path / "out" / "t_b.tif"))


def test_a_code_that_a_legend_lacks_fails_the_tile_and_the_others_are_made(tmp_path):
    _, scores, a, b = world()
    good = write_tile(tmp_path, "good", scores, a=a, b=b)
    bad = write_tile(tmp_path, "bad", scores, a=a, b=b + 1)
    gone = Tile("gone", tmp_path / "gone.tif", good.sources)
    legends = {"b_path": {0: 0, 1: 1, 2: 2}}
    job = make_job(tmp_path / "out", legends=legends)
    found = run([good, bad, BadRow("row", "row: is no tile; drop it"), gone], job)
    errors = dict(found.failures)
    assert set(errors) == {"bad", "gone", "row"}
    assert "codes that its legend lacks: 3" in errors["bad"]
    assert "does not exist" in errors["gone"]
    assert set(found.counts) == {"good"}
    write_source_tables(tmp_path / "out", [good, bad, gone], found, KEYS, NAMES)
    assert (tmp_path / "out" / "failures.csv").read_text().count("\n") == 4
    assert not list((tmp_path / "out").glob("bad_*"))


def stopping(label, windows):
    """A progress that stops the pass of this label after so many windows."""

    @contextmanager
    def progress(_, running):
        left = [windows]

        def advance(count=1):
            left[0] -= count if running == label else 0
            if left[0] <= 0:
                raise KeyboardInterrupt

        yield advance

    return progress


def test_killed_and_run_again_it_ends_with_the_same_files(tmp_path):
    _, scores, a, b = world()
    tiles = [write_tile(tmp_path, name, scores, a=a, b=b) for name in ("s", "t")]
    run(tiles, make_job(tmp_path / "whole"))
    job = make_job(tmp_path / "out")
    for label, windows in (("windows, to estimate", 5), ("windows, to write", 1)):
        with pytest.raises(KeyboardInterrupt):
            audit_sources(tiles, job, stopping(label, windows), lambda _: None)
        assert {file.name for file in (tmp_path / "out" / "fingerprints").glob("*.npz")} == (
            {"s_drawn.npz"} if windows == 5 else {"s_drawn.npz", "t_drawn.npz"}
        )
        assert not list((tmp_path / "out").rglob("*.tif*"))
    counted = {}

    @contextmanager
    def counting(total, label):
        counted[label] = total
        yield lambda _=1: None

    found = audit_sources(tiles, job, counting, lambda _: None)
    assert counted == {"windows, to estimate": 0, "windows, to write": 2 * 4}
    assert found.made == ("s", "t")
    for file in (tmp_path / "whole").glob("*.tif"):
        assert file.read_bytes() == (tmp_path / "out" / file.name).read_bytes()

    again = run(tiles, job)
    assert again.made == ()
    for name, own in found.counts.items():
        for key, counts in own.items():
            np.testing.assert_array_equal(again.counts[name][key].joint, counts.joint)
    (tmp_path / "out" / "t_a.tif").unlink()
    assert run(tiles, job).made == ("t",)
    write_map(tmp_path / "s_a.tif", np.roll(a, 3, 0))  # another source changes the estimate for all tiles
    assert run(tiles, job).made == ("s", "t")


def test_memory_does_not_grow_with_the_tile(tmp_path):
    peaks = []
    for height in (512, 2048):
        _, scores, a, b = world(height=height, width=64)
        tile = write_tile(tmp_path / str(height), "t", scores, a=a, b=b)
        del scores, a, b
        tracemalloc.start()
        run([tile], make_job(tmp_path / str(height) / "out", drawn=2000))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0]


def test_names_that_meet_and_too_many_classes_are_refused(tmp_path):
    _, scores, a, b = world()
    tiles = [
        write_tile(tmp_path, "t", scores, x_y=a),
        write_tile(tmp_path, "t_x", scores, y=b),
    ]
    with pytest.raises(OptionError, match=r"t_x_y.tif: would be the map of tile 't', column 'x_y_path'"):
        run(tiles, make_job(tmp_path / "out", keys=("x_y_path", "y_path")))
    with pytest.raises(OptionError, match=r"t_a.tif: is read, and would be replaced"):
        run([write_tile(tmp_path, "t", scores, a=a)], make_job(tmp_path, keys=("a_path",)))
    climbing = Tile("t", tiles[0].image, {"../a": tiles[0].image})
    with pytest.raises(TableError, match="cannot be the name of a file"):
        run([climbing], make_job(tmp_path / "out", keys=("../a",)))
    job = make_job(tmp_path)
    wide = SceneJob(
        method=job.scene.method,
        legend=Legend.of(256, [str(code) for code in range(256)]),
        output_dir=tmp_path,
        options=SceneOptions(),
        made_by={},
    )
    with pytest.raises(OptionError, match="at most 255"):
        SourceAuditJob(scene=wide, sources=job.sources)


def test_taken_at_their_word_probabilities_are_neither_sharpened_nor_shifted():
    rng = np.random.default_rng(0)
    probs = rng.dirichlet(np.ones(C) / 2, 3000)
    truth = np.array([rng.choice(C, p=row) for row in probs])
    transition = np.array([[0.8, 0.2, 0.0], [0.1, 0.9, 0.0], [0.3, 0.1, 0.6]])
    labels = np.array([rng.choice(C, p=transition[y]) for y in truth])
    found = label_quality(probs, labels, sharpen=False)
    assert (found.sharpness, found.bias.tolist()) == (1.0, [0.0] * C)
    assert (np.diff(found.log_likelihood) > -1e-9).all()
    np.testing.assert_allclose(found.transition, transition, atol=0.06)
    np.testing.assert_allclose(found.posterior_of(probs, labels), found.posterior, atol=1e-3)
    right = probs * found.transition[:, labels].T
    np.testing.assert_allclose(
        found.posterior_of(5 * probs, labels), right / right.sum(1, keepdims=True), atol=1e-4
    )
