"""Detection under Lightning: streams side by side, validation, checkpoints, and going on where a run was."""

import csv
from pathlib import Path

import pytest
import torch
from box_runs import asked
from toy_boxes import detection_method, draw

from coteach.training.checkpoints import load_checkpoint
from coteach.training.run import train
from coteach.training.streams import LoaderOptions, StreamLoader, make_loader


@pytest.mark.parametrize("name", ["soft_teacher", "unbiased_teacher", "supervised_detection"])
def test_a_run_of_two_epochs_logs_what_was_found(tmp_path, name):
    last = train(asked(tmp_path, name))
    with next(tmp_path.rglob("metrics.csv")).open() as file:
        columns = {key for row in csv.DictReader(file) for key, value in row.items() if value}
    wanted = {"val/AP", "val/AP50", "val/loss", "train/a/loss_classifier"}
    if name != "supervised_detection":
        wanted |= {"train/pseudo_boxes/class_2", "train/a/unlabelled_loss_classifier"}
    assert wanted <= columns
    assert load_checkpoint(last)["coteach"]["batches_seen"] == 6


def test_streams_are_mixed_as_by_a_plain_loop():
    run = asked(Path("unused"), options={"labelled_batch": 1, "unlabelled_batch": 4})
    options, datasets = LoaderOptions(), run.datasets
    streams = run.method.streams(0)
    loaders = {one.name: make_loader(datasets[one.source], one, options, seed=1) for one in streams}
    mixed = StreamLoader(loaders, streams)
    orders = []
    for epoch in (0, 1):
        mixed.set_epoch(epoch)
        batches = list(mixed)
        labelled = [batch["labelled"].ids.tolist() for batch in batches]
        unlabelled = [batch["unlabelled"].ids.tolist() for batch in batches]
        assert sorted(item for one in labelled for item in one) == list(range(6))
        assert all(len(one) == 1 for one in labelled)
        order = unlabelled[0] + unlabelled[1]  # 7 images: 4 and 3, then from the beginning
        assert sorted(order) == list(range(7))
        expected = [order[:4], order[4:]] * 3
        assert unlabelled == expected
        assert all(batch["unlabelled"].target is None for batch in batches)
        orders.append((labelled, order))
    assert orders[0][0] != orders[1][0]
    assert orders[0][1] != orders[1][1]


def test_stopped_within_an_epoch_and_gone_on_is_never_stopped(tmp_path):
    whole = load_checkpoint(train(asked(tmp_path / "whole")))["state_dict"]
    train(asked(tmp_path / "parts", max_steps=4))
    parts = load_checkpoint(train(asked(tmp_path / "parts")))["state_dict"]
    assert set(whole) == set(parts)
    assert any(key.startswith("method.networks.teacher.") for key in whole)
    assert all(torch.equal(value, parts[key]) for key, value in whole.items())


def test_a_checkpoint_predicts_as_the_run_did(tmp_path):
    run = asked(tmp_path)
    state = load_checkpoint(train(run))["state_dict"]
    method = detection_method("soft_teacher", seed=77)
    method.load_state_dict({key.removeprefix("method."): value for key, value in state.items()})
    image = draw(40)[0]
    one, two = (m.eval().predict([image])[0] for m in (run.method, method))
    assert torch.equal(one["scores"], two["scores"])
