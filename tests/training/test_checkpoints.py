"""How far a run came: length, sessions, moved folders, whole files, state of its own in the checkpoint."""

import json
import shutil

import pytest
import torch
from torchmetrics import MeanMetric, MetricCollection
from torchmetrics.classification import MulticlassHammingDistance, MulticlassJaccardIndex
from toys import ToyMaps, toy_run

from coteach.cli.config import parse_config
from coteach.cli.runs import load_trained
from coteach.cli.targets import TargetResolver
from coteach.errors import ConfigError, CoteachWarning, TrainingError
from coteach.methods.supervised import Supervised
from coteach.training.checkpoints import checkpoint_path, first_difference, load_checkpoint
from coteach.training.figures import best_mode
from coteach.training.options import TrainerOptions
from coteach.training.run import train
from coteach.training.state import read_state


def reached(folder, name="last"):
    return load_checkpoint(folder / "checkpoints" / f"{name}.ckpt")["coteach"]


def test_epochs_do_not_cap_max_steps_that_is_given_alone(tmp_path):
    # Three batches an epoch; the default of 20 epochs would end after 60.
    train(toy_run(tmp_path, "supervised", options={"max_epochs": None, "max_steps": 64}))
    assert reached(tmp_path)["batches_seen"] == 64


def test_the_default_length_is_twenty_epochs():
    assert TrainerOptions().epoch_limit == 20
    assert TrainerOptions(max_steps=5).epoch_limit is None
    assert TrainerOptions(max_steps=5, max_epochs=2).epoch_limit == 2


@pytest.mark.parametrize("length", [{"max_steps": 5, "max_epochs": None}, {"max_epochs": 2}])
def test_killed_before_it_is_noted_as_finished(tmp_path, length):
    last = train(toy_run(tmp_path, options=length))
    before, written = load_checkpoint(last), last.stat().st_mtime_ns
    state = json.loads((tmp_path / "run.json").read_text())
    (tmp_path / "run.json").write_text(json.dumps(state | {"finished": False}))
    train(toy_run(tmp_path, options=length))
    assert last.stat().st_mtime_ns == written  # not a batch more
    assert read_state(tmp_path)["finished"]
    assert read_state(tmp_path)["seconds"] == before["coteach"]["seconds"]


def test_a_run_of_another_version_is_not_gone_on_with_but_used(tmp_path):
    """What methods do changes between versions, not only the names of their tensors."""
    last = train(toy_run(tmp_path))
    content = load_checkpoint(last)
    del content["coteach"]["format"]  # as it was before there were formats
    torch.save(content, last)
    before = last.read_bytes()
    longer = toy_run(tmp_path, options={"max_epochs": 5})
    with pytest.raises(
        TrainingError, match=r"last\.ckpt: is of another version of coteach \(format 1; .*output_dir"
    ):
        train(longer)
    assert last.read_bytes() == before
    assert train(toy_run(tmp_path)) == last  # finished: nothing to go on with


def test_a_longer_run_goes_on_as_if_it_had_been_asked_for_at_once(tmp_path):
    train(toy_run(tmp_path / "whole", options={"max_epochs": 4}))
    train(toy_run(tmp_path / "parts", options={"max_epochs": 2}))
    train(toy_run(tmp_path / "parts", options={"max_epochs": 4}))
    whole, parts = (load_checkpoint(tmp_path / n / "checkpoints" / "last.ckpt") for n in ("whole", "parts"))
    for key, value in whole["state_dict"].items():
        assert torch.equal(parts["state_dict"][key], value), key


def test_more_steps_go_on_within_the_epoch(tmp_path):
    def asks(steps):
        train(toy_run(tmp_path, "supervised", options={"max_epochs": None, "max_steps": steps}))

    asks(4)  # three of the first epoch, one of the second
    assert (reached(tmp_path)["batches_seen"], reached(tmp_path)["epochs"]) == (4, 1)
    asks(6)
    assert (reached(tmp_path)["batches_seen"], reached(tmp_path)["epochs"]) == (6, 2)


class Stops(ToyMaps):
    """Fails in the third epoch."""

    drawn = 0

    def __getitem__(self, index):
        self.drawn += 1
        if self.drawn > 30:
            raise RuntimeError("killed")
        return super().__getitem__(index)


def test_a_moved_folder_keeps_the_best_score(tmp_path):
    val = ToyMaps(4, noise=0)
    with pytest.raises(RuntimeError, match="killed"):
        train(toy_run(tmp_path / "old", options={"max_epochs": 4}, datasets={"train": Stops(), "val": val}))
    # A score that no later epoch reaches: the best stays the one from before the move.
    for name in ("last", "best"):
        path = tmp_path / "old" / "checkpoints" / f"{name}.ckpt"
        content = load_checkpoint(path)
        [key] = [k for k in content["callbacks"] if "'monitor': 'val/loss'" in k]
        state = content["callbacks"][key]
        state["best_model_score"] = state["kth_value"] = torch.tensor(-1.0)
        state["best_k_models"] = {path: torch.tensor(-1.0) for path in state["best_k_models"]}
        torch.save(content, path)
    shutil.move(tmp_path / "old", tmp_path / "new")
    kept = (tmp_path / "new" / "checkpoints" / "best.ckpt").read_bytes()
    train(toy_run(tmp_path / "new", options={"max_epochs": 4}))
    assert (tmp_path / "new" / "checkpoints" / "best.ckpt").read_bytes() == kept
    assert reached(tmp_path / "new")["epochs"] == 4
    assert not (tmp_path / "old").exists()


def test_a_checkpoint_is_replaced_when_the_new_one_is_whole(tmp_path, monkeypatch):
    train(toy_run(tmp_path, options={"max_epochs": 1}))
    kept = (tmp_path / "checkpoints" / "last.ckpt").read_bytes()

    def full(content, stream):  # as torch.save does
        stream.write(b"half of it")
        try:
            raise OSError(28, "No space left on device")  # noqa: TRY301
        except OSError:
            raise RuntimeError("unexpected pos 640 vs 598")  # noqa: B904

    monkeypatch.setattr("coteach.training.checkpoints.torch.save", full)
    with pytest.raises(OSError, match=r"No space left on device, more than .*\.ckpt"):
        train(toy_run(tmp_path, options={"max_epochs": 2}))
    folder = tmp_path / "checkpoints"
    assert (folder / "last.ckpt").read_bytes() == kept
    assert sorted(file.name for file in folder.iterdir()) == ["best.ckpt", "last.ckpt"]


def test_seconds_of_all_sessions_add_up(tmp_path):
    train(toy_run(tmp_path, options={"max_epochs": 1}))
    first = read_state(tmp_path)["seconds"]
    saved = reached(tmp_path)["seconds"]
    train(toy_run(tmp_path, options={"max_epochs": 2}))
    assert 0 < saved <= first
    assert read_state(tmp_path)["seconds"] >= saved + (reached(tmp_path)["seconds"] - saved)
    assert reached(tmp_path)["seconds"] > saved


class Remembering(Supervised):
    """Keeps a number for every item, as ELR and DivideMix do."""

    name = "remembering"

    def setup(self, factory, info):
        super().setup(factory, info)
        self.register_buffer("seen", torch.zeros(info.num_items))

    def losses(self, batches, step):
        self.seen[batches["train"].ids] += 1
        return super().losses(batches, step)


class PlugIn:
    name, value = "remembering", "theirs:Remembering"

    def load(self):
        return Remembering


def test_a_buffer_for_each_item_comes_back(tmp_path, monkeypatch):
    monkeypatch.setattr("coteach.methods.discovery.entry_points", lambda group: [PlugIn()])
    network = {"_target_": "torch.nn.Conv2d", "in_channels": 2, "out_channels": 2, "kernel_size": 1}
    last = train(toy_run(tmp_path, "remembering", make_network=lambda: torch.nn.Conv2d(2, 2, 1)))
    assert reached(tmp_path)["task"] == {"num_bands": None, "num_items": 12, "num_classes": 2}
    content = {"num_classes": 2, "method": {"name": "remembering"}, "model": network}
    config = parse_config(content | {"optimizer": {}, "train_dataset": {}}, "test")
    method = load_trained(config, TargetResolver(), last)
    assert method.seen.tolist() == [2] * 12  # each item once in each of two epochs


@pytest.mark.parametrize(
    ("weights", "expected"),
    [
        ({"a": torch.zeros(2), "b": torch.zeros(())}, None),
        ({"a": torch.zeros(2)}, "it has no b"),
        ({"a": torch.zeros(3, 1), "b": torch.zeros(())}, "a is 3 x 1, in the model 2"),
        (
            {"a": torch.zeros(2), "b": torch.zeros(()), "c": torch.zeros(1)},
            "it has c, the model has not",
        ),
    ],
)
def test_the_first_tensor_that_differs(weights, expected):
    assert first_difference(weights, {"a": torch.zeros(2), "b": torch.zeros(())}) == expected


FIGURES = MetricCollection(
    {"mIoU": MulticlassJaccardIndex(2), "wrong": MulticlassHammingDistance(2), "other": MeanMetric()}
)


@pytest.mark.parametrize(
    ("options", "mode"),
    [
        ({}, "min"),
        ({"monitor": "val/mIoU"}, "max"),
        ({"monitor": "val/wrong"}, "min"),
        ({"monitor": "val/other"}, "max"),
        ({"monitor": "val/mIoU", "monitor_mode": "min"}, "min"),
    ],
)
def test_the_best_goes_by_the_figure(options, mode):
    assert best_mode(TrainerOptions(**options), FIGURES) == mode


def test_a_figure_that_is_not_measured_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(ConfigError, match="did you mean val/mIoU"):
        train(toy_run(tmp_path / "run", options={"monitor": "mIoU"}))
    assert not (tmp_path / "run").exists()


def test_three_differences_are_named(tmp_path):
    train(toy_run(tmp_path, identity={"lr": 1, "data": {"a": 1, "b": 2, "c": 3}}))
    with pytest.raises(
        TrainingError, match=r"lr was 1, is 2, data\.a was 1, is 5, data\.b was 2, is not set and 2 more"
    ):
        train(toy_run(tmp_path, identity={"lr": 2, "data": {"a": 5, "c": 4, "d": 1}}))


def test_a_digest_of_data_is_not_shown(tmp_path):
    train(toy_run(tmp_path, identity={"train_dataset": {"content": "8ada0296bf38cdb7", "n": 1}}))
    words = "holds a run of another configuration: the images or labels of train_dataset are not those the run began with"
    with pytest.raises(
        TrainingError, match=rf"{words}, train_dataset\.n was 1, is 2; choose another output_dir"
    ) as told:
        train(toy_run(tmp_path, identity={"train_dataset": {"content": "58aebd26831b7387", "n": 2}}))
    assert "8ada" not in str(told.value)


def test_a_shorter_run_than_there_is_is_told(tmp_path):
    last = train(toy_run(tmp_path, options={"max_epochs": 3}))
    assert train(toy_run(tmp_path, options={"max_epochs": 3})) == last  # no warning: they would be errors
    with pytest.warns(CoteachWarning, match=r"has 3 epochs already; asked for 2, it stays as it is"):
        assert train(toy_run(tmp_path, options={"max_epochs": 2})) == last
    assert reached(tmp_path)["epochs"] == 3


def test_a_run_without_validation_has_no_best(tmp_path):
    with pytest.raises(TrainingError, match=r"best\.ckpt: no such checkpoint; train first"):
        checkpoint_path(tmp_path, "best")
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "last.ckpt").touch()
    words = r"has no best checkpoint \(best\.ckpt\), as of a run without validation; give --checkpoint last"
    with pytest.raises(TrainingError, match=words):
        checkpoint_path(tmp_path, "best")
    assert checkpoint_path(tmp_path, "last").name == "last.ckpt"
