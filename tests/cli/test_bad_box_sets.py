"""``coteach train`` for boxes, given what cannot be trained on: each is said before anything is written."""

import json
from pathlib import Path

import pytest
import yaml
from coco_files import SMALL_DETECTOR, write_coco

from coteach.cli.main import main
from coteach.errors import TrainingError
from coteach.training.checkpoints import checkpoint_path


@pytest.fixture
def config(tmp_path):
    def dataset(name, ids, **more):
        file = write_coco(tmp_path, name, ids)
        place = {"annotations": str(file), "image_dir": str(tmp_path)}
        return {"_target_": "coteach.CocoDetectionDataset", **place, **more}

    weak = {"short_side": [64, 64], "long_side": 64}
    return {
        "method": {"name": "soft_teacher", "unlabelled_batch": 1},
        "model": dict(SMALL_DETECTOR),
        "num_classes": 2,
        "optimizer": {"_target_": "torch.optim.SGD", "lr": 0.01},
        "train_dataset": dataset("train.json", range(2), weak=weak),
        "unlabelled_dataset": dataset("more.json", range(10, 12), weak=weak, labelled=False),
        "val_dataset": dataset("val.json", range(20, 21)),
        "trainer": {"max_steps": 1, "accelerator": "cpu", "devices": 1, "monitor": "val/AP"},
        "output_dir": str(tmp_path / "run"),
    }


def refused(tmp_path, config, capsys):
    """What training says; it must fail and leave nothing."""
    file = tmp_path / "conf.yaml"
    file.write_text(yaml.safe_dump(config))
    with pytest.raises(SystemExit) as ended:
        main(["train", str(file)])
    assert ended.value.code == 1
    assert not (tmp_path / "run").exists()
    return capsys.readouterr().err


def change(file, **entries):
    content = json.loads(Path(file).read_text())
    Path(file).write_text(json.dumps(content | entries))


def content(file, key):
    return json.loads(Path(file).read_text())[key]


CATEGORIES = [{"id": 1, "name": "red"}, {"id": 2, "name": "green"}]


@pytest.mark.parametrize(
    ("where", "entries", "said"),
    [
        ("train", {"images": [], "annotations": []}, "train.json: has no images"),
        ("train", {"annotations": []}, "train.json: none of its 2 images has a box"),
        ("more", {"images": [], "annotations": []}, "more.json: has no images"),
        ("train", {"categories": CATEGORIES[:1]}, "have an unknown category_id, the first one 2"),
        ("train", {"categories": 7}, "is no COCO file: it has no list 'categories'"),
        ("more", {"categories": CATEGORIES}, "more.json has no 'blue' and has 'green' besides, unlike"),
        ("val", {"categories": CATEGORIES[::-1]}, "val.json has no 'blue'"),
    ],
)
def test_annotations(tmp_path, config, capsys, where, entries, said):
    change(tmp_path / f"{where}.json", **entries)
    assert said in refused(tmp_path, config, capsys)


def test_a_json_that_is_not_coco(tmp_path, config, capsys):
    (tmp_path / "more.json").write_text("[1, 2]")
    assert "more.json: is no COCO file but a JSON list" in refused(tmp_path, config, capsys)


def test_missing_images_are_counted_and_named(tmp_path, config, capsys):
    (tmp_path / "10.png").unlink()
    said = refused(tmp_path, config, capsys)
    assert "more.json: 1 of 2 image files are missing, the first one" in said
    assert "10.png" in said
    assert "on_missing: skip" in said


def test_a_damaged_image_is_named_by_its_file(tmp_path, config, capsys):
    for number in range(2):
        (tmp_path / f"{number}.png").write_bytes(b"nothing")
    assert ".png" in refused(tmp_path, config, capsys)


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (("train_dataset", "labelled"), False, "train_dataset: withholds its boxes"),
        (("val_dataset", "labelled"), False, "val_dataset: withholds its boxes"),
        (("unlabelled_dataset",), None, "no data set 'unlabelled'; add unlabelled_dataset"),
        (("trainer", "monitor"), "val/AP5", "'val/AP5' is not measured; did you mean val/AP75?"),
        (
            ("model", "weights"),
            "soft_teacher.pth",
            "model.weights: 'soft_teacher.pth' is a file; those of mmdetection",
        ),
        (("model", "num_classes"), 4, "build it with num_classes=3"),
        (("train_dataset", "weak"), {"flipp": 1}, "weak.flipp: is unknown; did you mean flip?"),
        (("train_dataset", "weak"), {"short_side": 64}, "weak.short_side: is 64; give a list of 2 numbers"),
        (("method", "strong"), {"rotate": 90}, "method.strong.rotate: 90 is not in [0, 90)"),
        (("method", "strong"), {"colors": ["sepia"]}, "method.strong.colors: 'sepia' is unknown"),
        (("method", "strong"), {"flip": "no"}, "method.strong.flip: is 'no'; give a number"),
        (
            ("metrics",),
            {"right": {"_target_": "torchmetrics.classification.MulticlassAccuracy", "num_classes": 2}},
            "metrics.right: cannot count boxes",
        ),
        (("model", "_target_"), "torchvision.models.resnet18", "is no two-stage detector"),
    ],
)
def test_configurations(tmp_path, config, capsys, path, value, said):
    *folders, key = path
    node = config
    for folder in folders:
        node = node[folder]
    node[key] = value
    if value == "torchvision.models.resnet18":
        config["model"] = {"_target_": value, "num_classes": 3}
    assert said in refused(tmp_path, config, capsys)


def test_another_programs_checkpoint_is_refused(tmp_path):
    with pytest.raises(TrainingError, match=r"soft_teacher\.pth: weights of mmdetection"):
        checkpoint_path(tmp_path, "soft_teacher.pth")


def test_images_in_two_sets_are_told(tmp_path, config, capsys):
    write_coco(tmp_path, "more.json", range(1, 4))
    write_coco(tmp_path, "val.json", range(1))
    config["trainer"]["monitor"] = "val/none"  # refused later: nothing is trained here
    said = refused(tmp_path, config, capsys)
    assert "1 of the 3 images of unlabelled_dataset are in train_dataset too" in said
    assert "1 of the 1 images of val_dataset are in train_dataset too" in said


@pytest.mark.filterwarnings("default::coteach.errors.CoteachWarning")
def test_boxes_outside_their_image_are_counted_in_a_warning(tmp_path, config, capsys):
    boxes = content(tmp_path / "train.json", "annotations")
    boxes[0]["bbox"] = [100, 100, 10, 10]
    change(tmp_path / "train.json", annotations=boxes)
    config["trainer"]["monitor"] = "val/none"
    said = refused(tmp_path, config, capsys)
    assert "Warning: " in said
    assert (
        "train.json: 1 of 4 boxes lie outside their image and were dropped; the first one is of 0.png" in said
    )
