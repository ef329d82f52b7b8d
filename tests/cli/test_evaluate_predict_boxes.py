"""``coteach evaluate`` and ``predict`` of detection, with a detector that finds drawn squares by their colour."""

import contextlib
import csv
import io
import json

import numpy as np
import pytest
import torch
from faster_coco_eval import COCO, COCOeval_faster
from left_files import NO_PROCESS, left_by
from PIL import Image
from square_finder import SquareFinder, box_run, coco_node, odd_coco

import coteach.cli.predict_boxes
import coteach.cli.runs
from coteach.cli.main import main

COUNT = 7


@pytest.fixture
def file(tmp_path):
    return odd_coco(tmp_path / "images", COUNT)


@pytest.fixture
def run_dir(tmp_path, file):
    return box_run(tmp_path / "run", file)


@pytest.fixture
def finder(monkeypatch):
    """Stands in for the trained method."""
    method = SquareFinder({"blue": 1, "red": 2})
    for module in (coteach.cli.runs, coteach.cli.predict_boxes):
        monkeypatch.setattr(module, "load_trained", lambda *_: method)
    return method


def coteach_(*args):
    try:
        main([str(arg) for arg in args])
    except SystemExit as stopped:
        return stopped.code or 0
    return 0


@pytest.fixture
def refused(capfd, finder):
    """Runs a command that must fail, and gives its message."""

    def check(*args):
        capfd.readouterr()
        assert coteach_(*args) == 1
        message = capfd.readouterr().err
        assert message.count("Error: ") == 1
        assert "Traceback" not in message
        return message

    return check


def of_the_library(file, results, category=None):
    """COCO's twelve figures, from the files themselves."""
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(file))
        judge = COCOeval_faster(truth, truth.loadRes(str(results)), iouType="bbox")
        if category is not None:
            judge.params.catIds = [category]
        judge.evaluate()
        judge.accumulate()
        judge.summarize()
    return judge.stats[:6]


def test_figures_are_those_of_the_results_file(tmp_path, file, run_dir, finder, capsys):
    """What evaluate says of the data set, another way says of what predict wrote for it."""
    assert coteach_("evaluate", run_dir) == 0
    table = capsys.readouterr().out
    assert coteach_("predict", run_dir, file, "--output-dir", tmp_path / "out", "--score", 0) == 0
    results = tmp_path / "out" / "detections.json"
    found = json.loads((run_dir / "evaluation.json").read_text())
    assert (found["dataset"], found["images"], found["boxes"]) == ("test_dataset", COUNT, 2 * COUNT)
    names = ["AP", "AP50", "AP75", "AP_small", "AP_medium", "AP_large"]
    for place, category in ((found, None), (found["classes"]["red"], 7), (found["classes"]["blue"], 3)):
        expected = of_the_library(file, results, category)
        assert [-1 if place[name] is None else place[name] for name in names] == pytest.approx(
            expected, abs=1e-4
        )
    assert 0 < found["AP75"] < found["AP50"] < 1
    assert found["AP_large"] is None
    assert f"{found['classes']['red']['AP75']:.4f}" in table


def test_curves_lie_beside_the_figures(tmp_path, run_dir, finder):
    assert coteach_("evaluate", run_dir, "--output", tmp_path / "a.json", "--quiet") == 0
    assert not (run_dir / "pr_curves.json").exists()
    curves = json.loads((tmp_path / "pr_curves.json").read_text())
    found = json.loads((tmp_path / "a.json").read_text())["classes"]
    assert set(curves) == {"red", "blue"}
    for name, curve in curves.items():
        assert curve["recall"] == pytest.approx(np.linspace(0, 1, 101))
        for iou in ("50", "75"):
            precision = curve[f"precision_{iou}"]
            assert len(precision) == 101
            assert precision == sorted(precision, reverse=True)
            assert np.mean(precision) == pytest.approx(found[name][f"AP{iou}"])


def test_results_have_the_ids_of_the_file(tmp_path, file, run_dir, finder):
    assert coteach_("predict", run_dir, file, "--output-dir", tmp_path, "--score", 0.4, "--quiet") == 0
    results = json.loads((tmp_path / "detections.json").read_text())
    false = [one for one in results if one["bbox"] == [1, 2, 8, 10]]
    assert [one["image_id"] for one in false] == list(range(100, 100 + COUNT))
    assert {(one["category_id"], one["score"]) for one in false} == {(3, 0.4)}
    assert {one["category_id"] for one in results} == {3, 7}
    assert min(one["score"] for one in results) >= 0.4
    assert (tmp_path / "categories.csv").read_text() == "category_id,name\n3,blue\n7,red\n"
    assert not (tmp_path / "pictures").exists()


def test_a_folder_of_pictures(tmp_path, file, run_dir, finder):
    """Ids are file names; boxes that score enough are drawn in the colour of their class."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in (100, 101):
        Image.open(file.parent / f"{number}.png").save(folder / f"{number}.bmp")
    options = ("--pictures", "--picture-score", 0.39, "--output-dir", tmp_path / "out", "--quiet")
    assert coteach_("predict", run_dir, folder, *options) == 0
    results = json.loads((tmp_path / "out" / "detections.json").read_text())
    assert {one["image_id"] for one in results} == {"100.bmp", "101.bmp"}
    assert {one["category_id"] for one in results} == {3, 7}  # of the training file
    with (tmp_path / "out" / "images.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert [(row["image_id"], row["width"], row["boxes"]) for row in rows] == [
        ("100.bmp", "64", "3"),
        ("101.bmp", "64", "3"),
    ]
    picture = Image.open(tmp_path / "out" / rows[0]["picture_path"]).convert("RGB")
    drawn = [one for one in results if one["image_id"] == "100.bmp" and one["bbox"][1] > 15]
    assert {one["score"] >= 0.39 for one in drawn} == {True, False}
    for one in drawn:
        left, top, width, height = one["bbox"]
        bottom = np.array(picture.getpixel((left + width / 2, top + height - 1)), float)
        color = {3: (0, 114, 178), 7: (230, 159, 0)}[one["category_id"]]  # the palette's
        assert (np.abs(bottom - color).max() < 60) == (one["score"] >= 0.39)


def test_a_bad_image_is_named_and_the_rest_is_kept(tmp_path, file, run_dir, finder, capfd):
    out = tmp_path / "out"
    good = (file.parent / "101.png").read_bytes()
    (file.parent / "101.png").write_bytes(good[:100])
    Image.new("RGB", (32, 32)).save(file.parent / "103.png")
    moved = (file.parent / "104.png").rename(tmp_path / "104.png")
    assert coteach_("predict", run_dir, file, "--output-dir", out) == 1
    message = capfd.readouterr()
    assert "4 predicted, 0 up to date, 3 failed" in message.out
    assert "3 of 7 images failed" in message.err
    for said in ("101.png: cannot be read", "103.png: is 32 x 32 pixels where", "104.png: does not exist"):
        assert said in message.err
    results = json.loads((out / "detections.json").read_text())
    assert {one["image_id"] for one in results} == {100, 102, 105, 106}
    with (out / "failures.csv").open() as stream:
        assert [row["tile_id"] for row in csv.DictReader(stream)] == ["101", "103", "104"]
    (file.parent / "101.png").write_bytes(good)
    moved.rename(file.parent / "104.png")
    seen = finder.seen
    assert coteach_("predict", run_dir, file, "--output-dir", out, "--quiet") == 1
    assert finder.seen == seen + 2
    assert {one["image_id"] for one in json.loads((out / "detections.json").read_text())} == {
        100, 101, 102, 104, 105, 106,
    }  # fmt: skip


def test_a_number_and_its_text_are_two_ids(tmp_path, file, run_dir, finder, capfd):
    named = file.with_name("named.json")
    text = file.read_text()
    for key in ("id", "image_id"):
        text = text.replace(f'"{key}": 101,', f'"{key}": "100",')
    named.write_text(text)
    (file.parent / "101.png").write_bytes(b"no picture")
    out = tmp_path / "out"
    assert coteach_("predict", run_dir, named, "--output-dir", out, "--batch-size", 1) == 1
    told = capfd.readouterr()
    assert f"{COUNT - 1} predicted, 0 up to date, 1 failed" in told.out
    assert "101.png: cannot be read" in told.err
    results = json.loads((out / "detections.json").read_text())
    assert {one["image_id"] for one in results} == {100, *range(102, 100 + COUNT)}
    # pictures are named by ids
    assert coteach_("predict", run_dir, named, "--output-dir", tmp_path / "two", "--pictures") == 1
    told = capfd.readouterr().err
    assert "named.json: the pictures of the images 100 and '100' would have the same name" in told
    assert not (tmp_path / "two").exists()


def test_a_job_that_was_killed_goes_on(tmp_path, file, run_dir, finder):
    whole, out = tmp_path / "whole", tmp_path / "out"
    options = ("--pictures", "--quiet", "--batch-size", 2)
    assert coteach_("predict", run_dir, file, "--output-dir", whole, *options) == 0
    assert coteach_("predict", run_dir, file, "--output-dir", out, *options) == 0
    journal = out / "fingerprints" / "detections.jsonl"
    journal.write_bytes(journal.read_bytes()[:-30])  # within the last line
    (out / "detections.json").unlink()
    (out / "pictures" / "102.jpg").unlink()
    left_by(NO_PROCESS, out / "pictures" / "102.jpg").touch()
    seen = finder.seen
    assert coteach_("predict", run_dir, file, "--output-dir", out, *options) == 0
    assert finder.seen == seen + 2
    for made in ("detections.json", "categories.csv", "pictures/102.jpg", "pictures/106.jpg"):
        assert (out / made).read_bytes() == (whole / made).read_bytes()
    assert not list(out.rglob("*.part"))


def test_what_has_changed_is_done_again(tmp_path, file, run_dir, finder):
    command = ("predict", run_dir, file, "--output-dir", tmp_path / "out", "--quiet")
    seen = []
    for change in (
        lambda: None,
        lambda: None,
        lambda: Image.new("RGB", (64, 64)).save(file.parent / "100.png"),
        lambda: (run_dir / "checkpoints" / "best.ckpt").write_bytes(b"other weights"),
    ):
        change()
        before = finder.seen
        assert coteach_(*command) == 0
        seen.append(finder.seen - before)
    assert coteach_(*command, "--score", 0.3) == 0
    assert seen == [COUNT, 0, 1, COUNT]
    assert finder.seen == sum(seen) + COUNT


def test_options_of_the_other_kind_of_run(tmp_path, file, run_dir, refused):
    command = ("predict", run_dir, file, "--output-dir", tmp_path / "out")
    for option in (["--window", 64], ["--tta", "flips"], ["--disagreement"]):
        assert f"{option[0]}: is for maps" in refused(*command, *option)
    for option in (["--reference", "a.tif"], ["--reference-key", "a"]):
        assert f"{option[0]}: is for maps" in refused("evaluate", run_dir, *option)
    assert "--top-k: is for images with one label" in refused("evaluate", run_dir, "--top-k", 2)
    maps = box_run(tmp_path / "maps", file, method={"name": "supervised"})
    for option in (["--score", 0.1], ["--pictures"], ["--image-dir", "x"]):
        assert f"{option[0]}: is for runs of detection" in refused(
            "predict", maps, file, *command[3:], *option
        )
    assert not (tmp_path / "out").exists()


def test_what_is_asked_wrongly(tmp_path, file, run_dir, refused):
    command = ("predict", run_dir, "--output-dir", tmp_path / "out")
    assert "comes with other images" in refused(*command, file, file.parent / "100.png")
    assert "--image-dir: is for a COCO file" in refused(
        *command, file.parent / "100.png", "--image-dir", tmp_path
    )
    assert "--picture-score: 2.0 is no score" in refused(*command, file, "--picture-score", 2)
    assert "--batch-size: 0 is below 1" in refused(*command, file, "--batch-size", 0)
    assert "none.json: does not exist" in refused(*command, tmp_path / "none.json")
    (tmp_path / "list.json").write_text("[]")
    assert "is no COCO file" in refused(*command, tmp_path / "list.json")
    assert not (tmp_path / "out").exists()
    climbing = file.with_name("climbing.json")
    climbing.write_text(
        file.read_text()
        .replace('"id": 100,', '"id": "../100",')
        .replace('"image_id": 100,', '"image_id": "../100",')
    )
    assert "cannot be the name of a file" in refused(*command, climbing, "--pictures")


def test_a_gpu_that_is_too_small(tmp_path, file, run_dir, refused, finder, monkeypatch):
    def full(inputs):
        raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 TiB")

    monkeypatch.setattr(finder, "predict", full)
    for command in (("evaluate", run_dir), ("predict", run_dir, file, "--output-dir", tmp_path / "out")):
        assert "images: 4 at once do not fit into the GPU's memory" in refused(*command)


def test_annotations_that_mean_other_classes(tmp_path, file, run_dir, refused):
    text = file.read_text()
    for place, content, said in (
        (
            "more",
            text.replace('"categories": [', '"categories": [{"id": 9, "name": "green"}, '),
            "has 3 classes",
        ),
        ("other", text.replace('"red"', '"green"'), "has 'green' as class 2, the run was trained with 'red'"),
        (
            "turned",
            text.replace('"red"', '"x"').replace('"blue"', '"red"').replace('"x"', '"blue"'),
            "has 'red' as class 1",
        ),
    ):
        changed = file.with_name(f"{place}.json")
        changed.write_text(content)
        run = box_run(tmp_path / place, file, test_dataset=coco_node(changed))
        assert f"{place}.json: {said}" in refused("evaluate", run)
        assert f"{place}.json: {said}" in refused(
            "predict", run_dir, changed, "--output-dir", tmp_path / "out"
        )
    renamed = box_run(tmp_path / "renamed", file, class_names=["blau", "rot"])
    assert coteach_("evaluate", renamed, "--quiet") == 0
    assert set(json.loads((renamed / "pr_curves.json").read_text())) == {"blau", "rot"}


def test_what_cannot_be_evaluated(tmp_path, file, run_dir, refused, monkeypatch):
    hidden = box_run(tmp_path / "hidden", file, test_dataset=coco_node(file, labelled=False))
    assert "withholds its boxes" in refused("evaluate", hidden)
    content = json.loads(file.read_text())
    empty = file.with_name("empty.json")
    empty.write_text(json.dumps(content | {"annotations": []}))
    assert "has no box to compare with" in refused(
        "evaluate", box_run(tmp_path / "empty", file, test_dataset=coco_node(empty))
    )
    assert "no val_dataset" in refused("evaluate", run_dir, "--dataset", "val_dataset")
    (file.parent / "102.png").write_bytes(b"no picture")
    message = refused("evaluate", run_dir)
    assert "102.png: cannot be read" in message
    assert not (run_dir / "evaluation.json").exists()

    def absent(self, **options):
        raise ModuleNotFoundError("faster_coco_eval")

    monkeypatch.setattr("torchmetrics.detection.MeanAveragePrecision.__init__", absent)
    assert "pip install 'coteach[detection]'" in refused("evaluate", run_dir)
