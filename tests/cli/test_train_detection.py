"""``coteach train`` on drawn squares in COCO files: both methods, and what is asked wrongly."""

import csv
import json

import pytest
import yaml
from coco_files import SMALL_DETECTOR as MODEL
from coco_files import write_coco

from coteach.cli.main import main


@pytest.fixture
def config(tmp_path):
    write_coco(tmp_path, "train.json", range(2))
    write_coco(tmp_path, "more.json", range(10, 13))
    write_coco(tmp_path, "val.json", range(20, 22))

    def dataset(name, **more):
        place = {"annotations": str(tmp_path / name), "image_dir": str(tmp_path)}
        return {"_target_": "coteach.data.detection_files.CocoDetectionDataset", **place, **more}

    weak = {"short_side": [64, 64], "long_side": 64}
    return {
        "method": {"name": "soft_teacher", "unlabelled_batch": 2, "score_initial": 0.0, "thresholds": 0.2},
        "model": MODEL,
        "num_classes": 2,
        "optimizer": {"_target_": "torch.optim.SGD", "lr": 0.01, "momentum": 0.9},
        "train_dataset": dataset("train.json", weak=weak),
        "unlabelled_dataset": dataset("more.json", weak=weak, labelled=False),
        "val_dataset": dataset("val.json"),
        "trainer": {
            "max_epochs": 1,
            "accelerator": "cpu",
            "devices": 1,
            "log_images": 0,
            "monitor": "val/AP50",
        },
        "output_dir": str(tmp_path / "run"),
    }


def run(tmp_path, config):
    file = tmp_path / "conf.yaml"
    file.write_text(yaml.safe_dump(config))
    return exit_code("train", file)


def exit_code(*words):
    with pytest.raises(SystemExit) as ended:
        main([str(word) for word in words])
    return ended.value.code


def test_soft_teacher_is_trained_from_a_configuration(tmp_path, config):
    assert run(tmp_path, config) == 0
    with next((tmp_path / "run").rglob("metrics.csv")).open() as file:
        columns = {key for row in csv.DictReader(file) for key, value in row.items() if value}
    assert {"val/AP50", "train/a/unlabelled_loss_classifier", "train/pseudo_boxes/per_image"} <= columns
    identity = json.loads((tmp_path / "run" / "run.json").read_text())["identity"]
    assert "content" in identity["unlabelled_dataset"]
    trained = ["--checkpoint", "last", "--quiet"]
    assert exit_code("evaluate", tmp_path / "run", "--dataset", "val_dataset", *trained) == 0
    figures = json.loads((tmp_path / "run" / "evaluation.json").read_text())
    assert (figures["images"], figures["boxes"], list(figures["classes"])) == (2, 4, ["red", "blue"])
    found = ["predict", tmp_path / "run", tmp_path / "val.json", "--output-dir", tmp_path / "found"]
    assert exit_code(*found, "--score", "0", *trained) == 0
    results = json.loads((tmp_path / "found" / "detections.json").read_text())
    assert {one["image_id"] for one in results} == {20, 21}  # hardly trained, it finds everything everywhere


def test_without_an_unlabelled_set_it_says_what_to_add(tmp_path, config, capsys):
    del config["unlabelled_dataset"]
    assert run(tmp_path, config) == 1
    assert "no data set 'unlabelled'" in capsys.readouterr().err


def test_a_detector_of_another_number_of_classes_is_refused(tmp_path, config, capsys):
    config["model"] = MODEL | {"num_classes": 2}
    assert run(tmp_path, config) == 1
    assert "num_classes=3" in capsys.readouterr().err


def test_one_class_is_enough_for_boxes_only(tmp_path, config, capsys):
    config |= {"num_classes": 1, "method": {"name": "supervised"}}
    assert run(tmp_path, config) == 1
    assert "num_classes: 1 is below 2" in capsys.readouterr().err
    config["method"] = {"name": "soft_teacher"}
    assert run(tmp_path, config) == 1
    assert "its labels have 2 classes, num_classes is 1" in capsys.readouterr().err
