"""The history of labels: against a plain loop, over an interruption, and where there is none."""

import math

import numpy as np
import pytest
import torch
from same_run import assert_same_weights
from torch import nn
from toys import ToyMaps, toy_run

from coteach.errors import ConfigError, TrainingError
from coteach.training.history import LabelHistory
from coteach.training.history_recording import HISTORY_FILE, read_history
from coteach.training.run import train
from coteach.types import Batch


class ToyImages(torch.utils.data.Dataset):
    """Ten images of two bands; the class is the brighter band. Two have no label."""

    num_classes = 2
    drawn = 0

    def __init__(self, dies_after=None):
        self.dies_after = dies_after

    def __len__(self):
        return 10

    def plain(self, index):
        image = torch.rand(2, 4, 4, generator=torch.Generator().manual_seed(index))
        label = int(image.mean((1, 2)).argmax()) if index % 5 else -1
        return {"image": image, "mask": torch.tensor(label)}

    def __getitem__(self, index):
        self.drawn += 1
        if self.drawn == self.dies_after:
            raise RuntimeError("killed")
        sample = self.plain(index)
        return {**sample, "image": sample["image"] + 0.1 * torch.randn(2, 4, 4)}


def network():
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.2), nn.Linear(2, 2))


def image_run(folder, method="co_teaching", dies_after=None, **options):
    own = {"method_options": {"lambda_reg": 0}} if method == "co_teaching" else {}
    return toy_run(
        folder,
        method,
        datasets={"train": ToyImages(dies_after)},
        make_network=network,
        options={"max_epochs": 3, **options},
        **own,
    )


@pytest.mark.parametrize("rising", [False, True])
def test_sums_are_those_of_a_plain_loop(rising):
    generator = torch.Generator().manual_seed(0)
    labels = torch.tensor([0, 2, -1, 1, 1])
    history = LabelHistory(("a", "b"), 5, 3, rising=rising)
    kept = {name: np.zeros((2, 5)) for name in ("seen", "weight", "loss", "margin", "forgotten")}
    probs, agreed = np.zeros((2, 5, 3)), np.zeros(5)
    last = {}
    for epoch in range(6):
        said = {}
        for ids in (torch.tensor([3, 0]), torch.tensor([4, 2, 1])):
            batch = Batch(ids=ids, views=(None,), targets=(labels[ids],))
            for k, name in enumerate("ab"):
                scores = 2 * torch.randn(len(ids), 3, generator=generator)
                history.see(name, batch, scores, epoch)
                for i, row in zip(ids.tolist(), scores.tolist(), strict=True):
                    total = sum(map(math.exp, row))
                    choice, label = row.index(max(row)), int(labels[i])
                    weight = (1, 2, 3, 4, 5, 6)[epoch] if rising else 1
                    kept["seen"][k, i] += 1
                    kept["weight"][k, i] += weight
                    probs[k, i] += [weight * math.exp(s) / total for s in row]
                    if label >= 0:
                        kept["loss"][k, i] -= weight * math.log(math.exp(row[label]) / total)
                        other = max(s for c, s in enumerate(row) if c != label)
                        kept["margin"][k, i] += weight * (row[label] - other)
                        kept["forgotten"][k, i] += last.get((k, i)) == label != choice
                    last[k, i] = said[k, i] = choice
        agreed += [said[0, i] == said[1, i] for i in range(5)]
    assert kept["forgotten"].sum() > 2
    for name, expected in {**kept, "probs": probs}.items():
        np.testing.assert_allclose(history.values[name], expected, rtol=1e-5, atol=1e-5, err_msg=name)
    np.testing.assert_array_equal(history.values["agreed"], agreed)
    assert history.values["compared"].tolist() == [6] * 5
    assert history.values["label"].tolist() == labels.tolist()


@pytest.mark.parametrize("dies_after", [1, 13, 17, 26])
def test_an_interrupted_run_has_the_history_of_an_uninterrupted_one(tmp_path, dies_after):
    train(image_run(tmp_path / "whole", checkpoint_every_steps=1))
    with pytest.raises(RuntimeError, match="killed"):
        train(image_run(tmp_path / "parts", dies_after=dies_after, checkpoint_every_steps=1))
    assert not (tmp_path / "parts" / HISTORY_FILE).exists()
    train(image_run(tmp_path / "parts", checkpoint_every_steps=1))
    whole, parts = read_history(tmp_path / "whole"), read_history(tmp_path / "parts")
    assert whole.keys() == parts.keys()
    for name, value in whole.items():
        np.testing.assert_array_equal(parts[name], value, err_msg=name)
    assert whole["seen"].tolist() == [[3] * 10] * 2
    assert (whole["label"] == -1).nonzero()[0].tolist() == [0, 5]
    assert not whole["loss"][:, [0, 5]].any()
    np.testing.assert_allclose(whole["probs"].sum(2), whole["seen"], rtol=1e-5)


def test_an_unfinished_run_is_read_from_its_checkpoint(tmp_path):
    with pytest.raises(RuntimeError, match="killed"):
        train(image_run(tmp_path, dies_after=25))
    found = read_history(tmp_path)
    assert found["seen"].tolist() == [[2] * 10] * 2
    assert found["networks"].tolist() == ["a", "b"]


def test_recording_changes_nothing_that_is_trained(tmp_path):
    train(image_run(tmp_path / "with"))
    train(image_run(tmp_path / "without", record_history=False))
    assert_same_weights(tmp_path / "with", tmp_path / "without")
    with pytest.raises(TrainingError, match="record_history: true"):
        read_history(tmp_path / "without")


@pytest.mark.parametrize(
    "method",
    ["supervised", "soft_label", "jocor", "co_teaching_plus", "elr", "divide_mix", "peer_ensemble"],
)
def test_every_method_of_images_is_recorded(tmp_path, method):
    run = image_run(tmp_path, method)
    train(run)
    found = read_history(tmp_path)
    assert found["networks"].tolist() == list(run.method.trained)
    assert (found["seen"] == 3).all()
    # the averages of peer_ensemble know most at the end
    assert (found["weight"] == (1 + 2 + 3 if method == "peer_ensemble" else 3)).all()
    assert run.method.recorder is None


def test_mixed_images_are_not_what_is_recorded(tmp_path):
    run = image_run(tmp_path, "elr")
    run.method.config = type(run.method.config)(mixup_alpha=1.0)
    seen = []
    run.method.setup(run.make_network, run.task)
    run.method.recorder = lambda network, batch, scores, epoch: seen.append((batch, scores))
    batch = Batch(ids=torch.arange(4), views=(torch.rand(4, 2, 4, 4),), targets=(torch.tensor([0, 1, 0, 1]),))
    run.method.eval()
    expected = run.method.networks["a"](batch.inputs).log_softmax(1)
    from coteach.methods.base import Step

    run.method.losses({"train": batch}, Step(epoch=0, index=0, update=0, seed=1))
    torch.testing.assert_close(seen[0][1].log_softmax(1), expected)


def test_a_history_of_before_there_were_weights_is_read(tmp_path):
    train(image_run(tmp_path))
    whole = read_history(tmp_path)
    old = {name: value for name, value in whole.items() if name != "weight"}
    np.savez(tmp_path / HISTORY_FILE, **old)
    found = read_history(tmp_path)
    np.testing.assert_array_equal(found["weight"], old["seen"])
    assert found.keys() == whole.keys()
    (tmp_path / HISTORY_FILE).unlink()
    assert read_history(tmp_path)["weight"].tolist() == [[3] * 10] * 2


def test_maps_of_pixels_leave_no_history(tmp_path):
    train(toy_run(tmp_path, datasets={"train": ToyMaps()}))
    assert not (tmp_path / HISTORY_FILE).exists()


def test_too_many_items_are_recorded_only_if_that_is_wanted(tmp_path, monkeypatch):
    monkeypatch.setattr("coteach.training.history_recording._LARGEST", 39)
    train(image_run(tmp_path / "asked", record_history=True))
    train(image_run(tmp_path / "default"))
    assert (tmp_path / "asked" / HISTORY_FILE).exists()
    assert not (tmp_path / "default" / HISTORY_FILE).exists()


def test_several_processes_cannot_record(tmp_path, monkeypatch):
    from lightning import Trainer

    monkeypatch.setattr(Trainer, "world_size", property(lambda _: 2))
    with pytest.raises(ConfigError, match=r"trainer\.record_history"):
        train(image_run(tmp_path, record_history=True))


def test_a_damaged_file_is_named(tmp_path):
    (tmp_path / HISTORY_FILE).write_bytes(b"PK\x03\x04 no archive")
    with pytest.raises(TrainingError, match=HISTORY_FILE):
        read_history(tmp_path)
