"""A loss that is no number: the run stops, its items are in a file, and what was kept before is whole."""

import json

import pytest
import torch
from box_runs import DrawnBoxes, asked
from toys import ToyMaps, toy_run

from coteach.errors import TrainingError
from coteach.training.checkpoints import load_checkpoint
from coteach.training.loss_guard import BAD_BATCH_FILE, LossGuard
from coteach.training.run import train
from coteach.types import Batch, LossTerms


class OneBadMap(ToyMaps):
    """Item 7 is not a number, from the second epoch on."""

    def __init__(self):
        super().__init__()
        self.draws = 0

    def __getitem__(self, index):
        self.draws += 1
        sample = super().__getitem__(index)
        factor = float("nan") if index == 7 and self.draws > len(self) else 1.0
        return {**sample, "image": sample["image"] * factor}


@pytest.mark.parametrize("name", ["supervised", "co_teaching"])
def test_of_maps_the_items_are_saved_and_the_last_checkpoint_is_whole(tmp_path, name):
    with pytest.raises(TrainingError, match=r"epoch 1, batch [3-5]: .* is nan.*bad_batch\.json") as stopped:
        train(toy_run(tmp_path, name, datasets={"train": OneBadMap()}))
    said = json.loads((tmp_path / BAD_BATCH_FILE).read_text())
    assert said["epoch"] == 1
    assert f"batch {said['batch']}:" in str(stopped.value)
    [items] = said["items"].values()
    assert 7 in items["ids"]
    assert items["files"] == [str(one) for one in items["ids"]]
    kept = load_checkpoint(tmp_path / "checkpoints" / "last.ckpt")
    assert kept["coteach"]["epochs"] == 1
    assert all(torch.isfinite(value).all() for value in kept["state_dict"].values())
    train(toy_run(tmp_path, name))  # goes on from it with data that is right
    assert load_checkpoint(tmp_path / "checkpoints" / "last.ckpt")["coteach"]["epochs"] == 2
    assert not (tmp_path / BAD_BATCH_FILE).exists()


@pytest.mark.parametrize("name", ["soft_teacher", "supervised_detection"])
def test_of_boxes_the_images_of_every_stream_are_saved(tmp_path, name):
    class Bad(DrawnBoxes):
        def __getitem__(self, index):
            sample = super().__getitem__(index)
            return sample | {"image": sample["image"] * (float("nan") if index == 4 else 1.0)}

    run = asked(tmp_path, name)
    run.datasets["train"] = Bad(range(6))
    with pytest.raises(TrainingError, match=r"epoch 0, batch \d: .*no number \(a/loss.*labelled|train"):
        train(run)
    items = json.loads((tmp_path / BAD_BATCH_FILE).read_text())["items"]
    own = items["labelled" if name == "soft_teacher" else "train"]
    assert 4 in own["ids"]
    assert own["files"][own["ids"].index(4)] == "4.png"
    if name == "soft_teacher":
        assert len(items["unlabelled"]["ids"]) == 3


def terms(value):
    return LossTerms(networks={"a": {"loss": torch.tensor(1.0), "other": torch.tensor(value)}})


def batch(*ids):
    return {"train": Batch(torch.tensor(ids), (torch.zeros(len(ids), 1),), (None,))}


def test_weights_that_are_no_numbers_never_reach_a_checkpoint(tmp_path):
    guard, network = LossGuard(tmp_path / "bad.json"), torch.nn.Linear(2, 2)
    guard.look_at_weights({"a": network})
    guard.note(terms(2.0), batch(3, 5), epoch=0, index=0)
    guard.look_at_weights({"a": network})
    with torch.no_grad():
        network.weight[0, 1] = float("inf")
    with pytest.raises(TrainingError, match=r"weights of network a are no numbers.*train \[3, 5\]"):
        guard.look_at_weights({"a": network})


def test_the_first_bad_batch_is_named_where_several_are_looked_at_together(tmp_path):
    guard = LossGuard(tmp_path / "bad.json")
    guard.every = 4
    for index, value in enumerate([1.0, float("inf"), float("nan")]):
        guard.note(terms(value), batch(10 * index), epoch=2, index=index)
    with pytest.raises(TrainingError, match=r"epoch 2, batch 1: .*a/other is inf.*train \[10\], see"):
        guard.note(terms(1.0), batch(30), epoch=2, index=3)
    said = json.loads((tmp_path / "bad.json").read_text())
    assert said["terms"] == {"a/loss": "1.0", "a/other": "inf"}
    assert said["items"] == {"train": {"ids": [10]}}
