"""References whose codes are not the classes: ``coteach ablate`` and ``coteach evaluate``."""

import json

import numpy as np
import pytest
from label_rasters import read_band, rows_of, two_class_scene, write_map, write_sources

from coteach.cli.main import main

SIZE = 16


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    """Six tiles; ``codes_path`` is the truth in other codes: 10 for class 0, 11 for class 1, 99 for nothing."""
    folder = tmp_path_factory.mktemp("tiles")
    rng = np.random.default_rng(5)
    rows = []
    for index in range(6):
        truth, image = two_class_scene(rng, SIZE)
        known = truth.copy()
        known[0, :3] = 99
        rows.append(
            {
                "tile_id": f"t{index}",
                "image_path": write_map(folder / f"image{index}.tif", image),
                "mask_path": write_map(folder / f"mask{index}.tif", truth),
                "truth_path": write_map(folder / f"truth{index}.tif", known, nodata=99),
                "codes_path": write_map(folder / f"codes{index}.tif", np.where(known == 99, 99, known + 10)),
                "strange_path": write_map(folder / f"strange{index}.tif", known),
                "gone_path": folder / f"gone{index}.tif",
            }
        )
    (folder / "legend.csv").write_text("code,class\n10,0\n11,1\n99,ignore\n")
    return write_sources(folder / "sources.csv", rows)


def coteach(*words, expected=0):
    with pytest.raises(SystemExit) as left:
        main([str(word) for word in words])
    assert (left.value.code or 0) == expected


def ablate(sources, folder, *more, expected=0):
    quick = ("--epochs", 1, "--seeds", 1, "--max-workers", 1, "--variants", "E1", "--no-report")
    divided = (
        "--train-ratio",
        0.5,
        "--val-ratio",
        0.17,
        "data_loader.batch_size=2",
        "trainer.accelerator=cpu",
    )
    given = ("ablate", sources, "--output-dir", folder, "--num-classes", 2)
    coteach(*given, *quick, *divided, *more, expected=expected)


def confusion(folder):
    [variant] = json.loads((folder / "ablation.json").read_text())["variants"]
    return variant["runs"][0]["confusion"]


@pytest.fixture(scope="module")
def finished(sources, tmp_path_factory):
    folder = tmp_path_factory.mktemp("ablation") / "out"
    ablate(sources, folder, "--reference-key", "truth_path")
    return folder


def test_another_reference_is_measured_without_another_training(sources, finished):
    expected, weights = confusion(finished), list(finished.glob("runs/*/checkpoints/*"))
    assert weights
    before = [file.stat().st_mtime_ns for file in weights]
    assert np.sum(expected) == 2 * (SIZE * SIZE - 3)  # two tiles, without what is unknown
    legend = f"codes_path={sources.with_name('legend.csv')}"
    ablate(sources, finished, "--reference-key", "codes_path", "--legend", legend)
    assert confusion(finished) == expected
    ablate(sources, finished, "--reference-key", "strange_path", "--ignore-code", 99)
    assert confusion(finished) == expected
    assert [file.stat().st_mtime_ns for file in weights] == before
    for split in ("train", "val"):
        [table] = finished.glob(f"labels/*/splits/{split}.csv")
        assert "reference_path" not in rows_of(table)[0]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (
            ("--reference-key", "strange_path"),
            "'strange_path': holds codes that are none of the classes 0 to 1: 99",
        ),
        (("--reference-key", "codes_path"), "none of the classes 0 to 1: 10, 11, 99; say with --legend"),
        (("--reference-key", "gone_path"), "gone0.tif: does not exist"),
        (
            ("--legend", "codes_path={legend}"),
            "'codes_path' is neither the reference nor a column that votes",
        ),
    ],
)
def test_references_are_looked_at_before_anything_is_built(sources, tmp_path, capsys, more, message):
    legend = sources.with_name("legend.csv")
    ablate(sources, tmp_path / "out", *(word.format(legend=legend) for word in more), expected=1)
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_map_with_codes_that_nobody_explains_does_not_vote_unnoticed(sources, tmp_path, capsys):
    maps = ("--lulc-key", "strange_path", "--reference-key", "truth_path")
    (tmp_path / "ablation.json").write_text("earlier results")
    ablate(sources, tmp_path, *maps, expected=1)
    told = capsys.readouterr().err
    assert "strange_path holds codes other than 0 to 1, which did not vote: 99 (18 pixels)" in told
    assert "--ignore-code" in told
    assert (tmp_path / "ablation.json").read_text() == "earlier results"
    ablate(sources, tmp_path, *maps, "--ignore-code", 99)
    assert np.sum(confusion(tmp_path)) == 2 * (SIZE * SIZE - 3)


def test_evaluate_takes_a_legend_and_refuses_codes_that_nobody_explains(sources, finished, tmp_path, capsys):
    run = next((finished / "runs").iterdir())
    row = rows_of(sources)[0]
    out = tmp_path / "out.json"
    command = ("evaluate", run, "--checkpoint", "last", "--output", out, "--quiet", "--reference")
    coteach(*command, row["truth_path"])
    expected = json.loads(out.read_text())["confusion"]
    truth = read_band(row["truth_path"])
    assert np.sum(expected, 1).tolist() == [2 * np.count_nonzero(truth == code) for code in (0, 1)]
    out.unlink()
    coteach(*command, row["codes_path"], "--legend", sources.with_name("legend.csv"))
    assert json.loads(out.read_text())["confusion"] == expected
    coteach(*command, row["strange_path"], "--ignore-code", 99)
    assert json.loads(out.read_text())["confusion"] == expected
    out.unlink()
    capsys.readouterr()
    coteach(*command, row["strange_path"], expected=1)
    assert "strange0.tif: holds codes that are none of the classes 0 to 1: 99" in capsys.readouterr().err
    assert not out.exists()
    coteach(*command[:-1], "--legend", sources.with_name("legend.csv"), expected=1)
    assert "--legend: is for the codes of a reference" in capsys.readouterr().err
