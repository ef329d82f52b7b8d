"""``coteach split-coco`` as a user runs it."""

from __future__ import annotations

import json
import random
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coteach.cli.main import main
from coteach.data.coco_split import labelled_count, split_coco
from coteach.errors import OptionError

IMAGES = [
    {"id": number * 7 % 101, "file_name": f"{number}.jpg", "height": 9, "width": 9}
    for number in range(1, 101)
]
CONTENT = {
    "info": {"year": 2020},
    "images": IMAGES,
    "annotations": [
        {"id": number, "image_id": IMAGES[number % 60]["id"], "category_id": 1, "bbox": [0, 0, 2, 2]}
        for number in range(200)
    ],
    "categories": [{"id": 1, "name": "cell"}],
}


@pytest.fixture
def boxes(tmp_path):
    path = tmp_path / "cells.json"
    path.write_text(json.dumps(CONTENT), encoding="utf-8")
    return path


def run(*args):
    with pytest.raises(SystemExit) as stop:
        main(["split-coco", *map(str, args)])
    return stop.value.code


def loaded(path):
    return json.loads(path.read_text(encoding="utf-8"))


def ids(part, key="images"):
    return [entry["id"] for entry in part[key]]


def test_the_issues_own_line_writes_disjoint_files_that_are_everything(boxes, tmp_path, capsys):
    out = tmp_path / "splits"
    assert run(boxes, "--percent", 1, 2, 5, 10, "--fold", "1..5", "--output-dir", out) == 0
    assert len(list(out.iterdir())) == 40
    for percent in (1, 2, 5, 10):
        for fold in range(1, 6):
            some = loaded(out / f"cells.{fold}@{percent}.json")
            rest = loaded(out / f"cells.{fold}@{percent}-unlabeled.json")
            assert len(some["images"]) == percent
            for key in ("images", "annotations"):
                assert not set(ids(some, key)) & set(ids(rest, key))
                assert sorted(ids(some, key) + ids(rest, key)) == sorted(ids(CONTENT, key))
            for part in (some, rest):
                assert {one["image_id"] for one in part["annotations"]} <= set(ids(part))
                assert ids(part) == sorted(ids(part))
                assert part["categories"] == CONTENT["categories"]
                assert part["info"] == CONTENT["info"]
    said = capsys.readouterr().out
    assert said.count("\n") == 20
    assert "cells.1@10.json: 10 images with" in said


def test_folds_and_percents_are_draws_of_their_own_and_repeatable(boxes, tmp_path):
    shuffled = dict(CONTENT)
    shuffled["images"] = random.Random(1).sample(IMAGES, len(IMAGES))
    other = tmp_path / "other" / "cells.json"
    other.parent.mkdir()
    other.write_text(json.dumps(shuffled), encoding="utf-8")
    assert run(boxes, "--percent", "10,20", "--fold", 1, 2) == 0
    assert run("--fold", "2", "--percent=20.0", other) == 0
    first = {name: ids(loaded(tmp_path / f"cells.{name}.json")) for name in ("1@10", "2@10", "1@20", "2@20")}
    assert ids(loaded(other.parent / "cells.2@20.0.json")) == first["2@20"]
    assert first["1@10"] != first["2@10"]
    assert not set(first["1@10"]) <= set(first["1@20"])  # no draw is part of another
    before = (tmp_path / "cells.1@10.json").read_bytes()
    assert run(boxes, "--percent", "10", "--fold", "1") == 0
    assert (tmp_path / "cells.1@10.json").read_bytes() == before


def test_every_image_is_drawn_about_equally_often(boxes, tmp_path):
    drawn = split_coco(boxes, tmp_path / "many", percents=["10"], folds=range(200))
    counts = dict.fromkeys(ids(CONTENT), 0)
    for split in drawn:
        for image in ids(loaded(split.labelled[0])):
            counts[image] += 1
    # binomial(200, 0.1): mean 20, deviation 4.2; five deviations
    assert sum(counts.values()) == 2000
    assert min(counts.values()) > 0
    assert max(counts.values()) <= 41


@given(st.integers(2, 10**6), st.integers(1, 9999))
def test_shares_are_rounded_down_exactly(images, hundredths):
    count = labelled_count(images, f"{hundredths / 100:.2f}")
    exact = Fraction(images * hundredths, 10_000)
    assert count == max(1, exact.numerator // exact.denominator)


def test_coco_s_one_percent():
    assert labelled_count(118_287, "1") == 1182
    assert labelled_count(1000, "0.3") == 3  # 1000 * 0.003 is 2.9999... in floats of some forms
    assert labelled_count(5, "1") == 1


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        (["--percent", "0"], 1, "--percent: 0 is not between 0 and 100"),
        (["--percent", "100"], 1, "100 is not between"),
        (["--percent", "ten"], 1, "'ten' is no number"),
        (["--percent", "1", "1.0"], 1, "same value twice"),
        (["--percent", "1", "--fold", "1..1", "1"], 1, "same value twice"),
        (["--percent", "1", "--fold", "5..1"], 1, "--fold: has no values"),
        (["--percent", "1", "--fold", "a"], 2, "'a' is no number and no range"),
        (["--percent"], 2, "requires an argument"),
        ([], 2, "Missing option '--percent'"),
    ],
)
def test_bad_options(boxes, capsys, args, code, said):
    assert run(boxes, *args) == code
    assert said in capsys.readouterr().err


def test_bad_files(tmp_path, capsys):
    assert run(tmp_path / "none.json", "--percent", "1") == 1
    assert "does not exist" in capsys.readouterr().err
    one = {"images": IMAGES[:1], "annotations": [], "categories": []}
    (tmp_path / "one.json").write_text(json.dumps(one), encoding="utf-8")
    assert run(tmp_path / "one.json", "--percent", "50") == 1
    assert "has 1 images; give at least 2" in capsys.readouterr().err


def test_a_fold_below_zero_is_refused(boxes, tmp_path):
    with pytest.raises(OptionError, match="-1 is below 0"):
        split_coco(boxes, tmp_path, percents=["1"], folds=[-1])
