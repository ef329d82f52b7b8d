"""``coteach train`` on drawn squares in COCO files: both methods, and what is asked wrongly."""

import csv
import json

import pytest
import yaml
from PIL import Image
from toy_boxes import draw

from coteach.cli.main import main

MODEL = {
    "_target_": "torchvision.models.detection.fasterrcnn_mobilenet_v3_large_320_fpn",
    "weights": None,
    "weights_backbone": None,
    "num_classes": 3,
    "min_size": 64,
    "max_size": 64,
    "rpn_post_nms_top_n_train": 16,
    "rpn_post_nms_top_n_test": 16,
}


def write_coco(folder, name, ids):
    images, annotations = [], []
    for index in ids:
        image, target = draw(index)
        Image.fromarray((image.permute(1, 2, 0) * 255).byte().numpy()).save(folder / f"{index}.png")
        images.append({"id": index, "file_name": f"{index}.png", "width": 64, "height": 64})
        for (x1, y1, x2, y2), label in zip(target["boxes"].tolist(), target["labels"].tolist(), strict=True):
            box = {"bbox": [x1, y1, x2 - x1, y2 - y1], "area": (x2 - x1) * (y2 - y1), "iscrowd": 0}
            annotations.append({"id": len(annotations) + 1, "image_id": index, "category_id": label, **box})
    categories = [{"id": 1, "name": "red"}, {"id": 2, "name": "blue"}]
    content = {"images": images, "annotations": annotations, "categories": categories}
    (folder / name).write_text(json.dumps(content))


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
    with pytest.raises(SystemExit) as ended:
        main(["train", str(file)])
    return ended.value.code


def test_soft_teacher_is_trained_from_a_configuration(tmp_path, config):
    assert run(tmp_path, config) == 0
    with next((tmp_path / "run").rglob("metrics.csv")).open() as file:
        columns = {key for row in csv.DictReader(file) for key, value in row.items() if value}
    assert {"val/AP50", "train/a/unlabelled_loss_classifier", "train/pseudo_boxes/per_image"} <= columns
    identity = json.loads((tmp_path / "run" / "run.json").read_text())["identity"]
    assert "content" in identity["unlabelled_dataset"]


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
