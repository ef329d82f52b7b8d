"""``coteach report`` on a run of Soft Teacher, trained on drawn squares."""

import base64
import io
import json
import os
import re

import pytest
import yaml
from PIL import Image
from test_train_detection import MODEL, write_coco

from coteach.cli import report_boxes
from coteach.cli.evaluate_boxes import measure_boxes
from coteach.cli.main import main
from coteach.training.teacher_panels import KEPT, REFUSED, TRUE


def coteach(*args):
    with pytest.raises(SystemExit) as ended:
        main([str(one) for one in args])
    return ended.value.code


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of two epochs; of the unlabelled images the boxes are known, and withheld."""
    folder = tmp_path_factory.mktemp("boxes")
    for name, ids in (("train.json", range(2)), ("more.json", range(10, 13)), ("val.json", range(20, 22))):
        write_coco(folder, name, ids)

    def dataset(name, **more):
        place = {"annotations": str(folder / name), "image_dir": str(folder)}
        return {"_target_": "coteach.data.detection_files.CocoDetectionDataset", **place, **more}

    weak = {"short_side": [64, 64], "long_side": 64}
    config = {
        "method": {"name": "soft_teacher", "unlabelled_batch": 2, "score_initial": 0.0, "thresholds": 0.34},
        "model": MODEL,
        "num_classes": 2,
        "optimizer": {"_target_": "torch.optim.SGD", "lr": 0.001},
        "train_dataset": dataset("train.json", weak=weak),
        "unlabelled_dataset": dataset("more.json", weak=weak, labelled=False),
        "val_dataset": dataset("val.json"),
        "test_dataset": dataset("val.json"),
        "trainer": {"max_epochs": 2, "accelerator": "cpu", "devices": 1, "log_images": 2},
        "output_dir": str(folder / "run"),
    }
    (folder / "conf.yaml").write_text(yaml.safe_dump(config))
    assert coteach("train", folder / "conf.yaml") == 0
    return folder / "run"


@pytest.fixture(scope="module")
def page(run, tmp_path_factory):
    file = tmp_path_factory.mktemp("page") / "report.html"
    assert coteach("evaluate", run) == 0
    assert coteach("report", run, "--output", file) == 0
    return file.read_text()


def test_figures_are_those_of_evaluate(page, run):
    figures = json.loads((run / "evaluation.json").read_text())
    row = re.search(r"<tbody>(.*?)</tbody>", page, re.DOTALL)[1]
    cells = re.findall(r'<td class="number">(.*?)</td>', row)
    wanted = [figures["AP"], figures["AP50"], figures["AP75"]]
    wanted += [figures["classes"][name]["AP"] for name in ("red", "blue")]
    assert cells[:5] == ["-" if value is None else f"{value:.3f}" for value in wanted]


def test_what_training_has_logged_is_drawn(page):
    titles = re.findall(r'role="img" aria-label="(.*?)"', page)
    assert {"Precision and recall of pseudo boxes", "Validation AP and AP50", "Teacher and student"} <= set(
        titles
    )
    assert {"run: kept pseudo boxes an image", "run: precision and recall"} <= set(titles)


def test_the_pictures_show_kept_refused_and_true_boxes(page, run):
    listed = json.loads((run / "pseudo_boxes" / "pictures.json").read_text())
    assert listed["epoch"] == 1
    assert [one["image"] for one in listed["pictures"]] == ["10.png", "12.png"]  # the first and the last
    uris = re.findall(r'<img src="data:image/png;base64,(.*?)" alt="Pseudo boxes', page)
    assert len(uris) == 2
    seen = set()
    for uri, one in zip(uris, listed["pictures"], strict=True):
        assert one["true"] == 2
        with Image.open(io.BytesIO(base64.b64decode(uri))) as picture:
            assert picture.size == (64, 64)
            seen |= {color for _, color in picture.convert("RGB").getcolors(64 * 64)}
        assert f"{one['kept']} kept, {one['refused']} refused, 2 true" in page
    assert any(one["refused"] for one in listed["pictures"])
    assert REFUSED in seen
    assert (KEPT in seen) == any(one["kept"] for one in listed["pictures"])
    assert TRUE in seen


def test_known_figures_are_not_measured_again_unless_the_weights_are_newer(run, tmp_path, page, monkeypatch):
    asked = []

    def measured(*args, **more):
        asked.append(args)
        return measure_boxes(*args, **more)

    monkeypatch.setattr(report_boxes, "measure_boxes", measured)
    file = tmp_path / "again.html"
    assert coteach("report", run, "--output", file) == 0
    assert not asked
    known = table_of(file.read_text())
    os.utime(run / "checkpoints" / "best.ckpt")
    assert coteach("report", run, "--output", file) == 0
    assert asked
    assert table_of(file.read_text()) == known == table_of(page)


def table_of(page):
    return re.search(r"<tbody>.*?</tbody>", page, re.DOTALL)[0]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["--reference", "a.tif"], "--reference"),
        (["--checkpoint", "nothing.ckpt"], "no such checkpoint"),
        (["--dataset", "train"], "no train"),
    ],
)
def test_what_cannot_be_shown_is_named_and_nothing_is_written(run, tmp_path, capsys, given, expected):
    assert coteach("report", run, "--output", tmp_path / "no.html", *given) == 1
    assert expected in capsys.readouterr().err
    assert not (tmp_path / "no.html").exists()


def test_runs_of_two_kinds_are_refused(run, tmp_path, capsys):
    other = tmp_path / "labels"
    other.mkdir()
    config = yaml.safe_load((run / "config.yaml").read_text()) | {"method": {"name": "supervised"}}
    (other / "config.yaml").write_text(yaml.safe_dump(config))
    assert coteach("report", run, other, "--output", tmp_path / "no.html") == 1
    assert "report runs of one kind together" in capsys.readouterr().err
