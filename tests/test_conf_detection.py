"""The published recipe on COCO: its schedule and batches, and two steps of each configuration on drawn squares."""

import csv
import json
from pathlib import Path

import pytest
import torch
from coco_files import write_coco
from torch import nn

from coteach.cli.config import load_config
from coteach.cli.main import main
from coteach.cli.targets import TargetResolver
from coteach.methods.discovery import create_method

PERCENTS = (1, 2, 5, 10)
CLASSES = [f"thing {number}" for number in range(1, 81)]


def name_of(percent):
    return f"soft_teacher_fasterrcnn_r50_fpn_coco_{percent}pct"


def rates(config, steps):
    """The learning rate at some steps, by the configured optimizer and schedule."""
    resolver = TargetResolver()
    optimizer = resolver.build(config.optimizer, "optimizer", "optimizer", [nn.Parameter(torch.zeros(1))])
    node = {key: value for key, value in config.scheduler.items() if key != "interval"}
    schedule = resolver.build(node, "scheduler", "scheduler", optimizer)
    found = {}
    for step in range(max(steps) + 1):
        if step in steps:
            found[step] = optimizer.param_groups[0]["lr"]
        optimizer.step()
        schedule.step()
    return found


@pytest.mark.parametrize("percent", PERCENTS)
def test_each_is_the_published_recipe_on_its_share_of_the_labels(percent):
    config = load_config(Path(name_of(percent)))
    options = dict(config.method)
    method = create_method(options.pop("name"), options)
    assert (method.config.labelled_batch, method.config.unlabelled_batch, config.trainer["devices"]) == (
        1,
        4,
        8,
    )
    assert (method.config.score_initial, method.config.thresholds, method.config.variance) == (0.5, 0.9, 0.02)
    assert (method.config.unsupervised_weight, method.config.ema_decay) == (4.0, 0.999)
    assert config.trainer["max_steps"] == 180_000
    assert config.scheduler["interval"] == "step"
    assert config.optimizer == {
        "_target_": "torch.optim.SGD",
        "lr": 0.01,
        "momentum": 0.9,
        "weight_decay": 1e-4,
    }
    assert Path(config.train_dataset["annotations"]).name == f"instances_train2017.1@{percent}.json"
    assert (
        Path(config.unlabelled_dataset["annotations"]).name
        == f"instances_train2017.1@{percent}-unlabeled.json"
    )
    assert config.unlabelled_dataset["labelled"] is False
    # 118,287 images: steps between two validations by 8 labelled images a step
    steps = 118_287 * percent // 100 // 8 * config.trainer["check_val_every_n_epoch"]
    assert 4_300 <= steps <= 4_500


def test_the_rate_warms_up_and_falls_at_120k_and_160k():
    config = load_config(Path(name_of(10)))
    nodes = config.scheduler["schedulers"]
    start = config.scheduler["milestones"][0]
    assert [start + later for later in nodes[1]["milestones"]] == [120_000, 160_000]
    nodes[1]["milestones"] = [700, 1_100]  # sooner, to go through them
    found = rates(config, {0, 250, 500, 1_199, 1_200, 1_600})
    middle = 0.01 * (0.001 + (1 - 0.001) / 2)
    assert list(found.values()) == pytest.approx([1e-5, middle, 0.01, 0.01, 1e-3, 1e-4])


@pytest.mark.parametrize("percent", PERCENTS)
def test_two_steps_of_each(percent, tmp_path):
    places = [f"output_dir={tmp_path / 'run'}"]
    for key, ids in (("train", range(2)), ("unlabelled", range(10, 14)), ("val", range(20, 21))):
        file = write_coco(tmp_path, f"{key}.json", ids, CLASSES)
        places += [f"{key}_dataset.annotations={file}", f"{key}_dataset.image_dir={tmp_path}"]
        if key != "val":
            places += [f"{key}_dataset.weak.short_side=[64,64]", f"{key}_dataset.weak.long_side=64"]
    sizes = ["model.weights_backbone=null", "model.min_size=64", "model.max_size=64"]
    sizes += ["model.rpn_post_nms_top_n_train=16", "model.rpn_post_nms_top_n_test=16"]
    if percent != 10:  # they say nothing of the network themselves: a lighter one saves half a minute
        sizes.append("model._target_=torchvision.models.detection.fasterrcnn_mobilenet_v3_large_320_fpn")
    machine = ["trainer.devices=1", "trainer.accelerator=cpu", "trainer.precision=32-true"]
    machine += ["trainer.max_steps=2", "trainer.check_val_every_n_epoch=1", "data_loader.num_workers=0"]
    with pytest.raises(SystemExit) as left:
        main(["train", name_of(percent), *places, *sizes, *machine])
    assert not left.value.code
    with next((tmp_path / "run").rglob("metrics.csv")).open() as file:
        columns = {key for row in csv.DictReader(file) for key, value in row.items() if value}
    assert {"val/AP", "train/a/unlabelled_loss_classifier"} <= columns
    state = json.loads((tmp_path / "run" / "run.json").read_text())
    assert state["finished"]
