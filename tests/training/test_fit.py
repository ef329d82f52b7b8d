"""``coteach.fit``: the same machinery, from Python."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from torch import nn
from torch.utils.data import Dataset, TensorDataset

from coteach import ArrayDataset, CoTeaching, DivideMix, PeerEnsemble, Supervised, fit
from coteach.cli.config import load_config
from coteach.cli.runs import build_run
from coteach.cli.targets import TargetResolver
from coteach.errors import CoteachWarning, InputError, OptionError, TrainingError
from coteach.methods.co_teaching import CoTeachingConfig
from coteach.methods.peer_ensemble import PeerEnsembleConfig
from coteach.methods.supervised import SupervisedConfig
from coteach.models import SmallMobileNet
from coteach.training.checkpoints import load_checkpoint
from coteach.training.options import TrainerOptions
from coteach.training.run import train

RNG = np.random.default_rng(5)
LABELS = np.arange(40) % 2
IMAGES = (RNG.integers(0, 100, (40, 6, 6)) + 120 * LABELS[:, None, None]).astype(np.uint8)
FLOATS = IMAGES[:, None] / np.float32(255)
DOCS = Path(__file__).parents[2] / "docs" / "classification.md"


def linear() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(36, 2))


def quick(dataset=None, method=None, **changes):
    given = {"epochs": 2, "batch_size": 8, "lr": 0.02, "device": "cpu", "seed": 1} | changes
    return fit(linear, dataset or (IMAGES, LABELS), method=method or Supervised(), **given)


def test_the_documentation_runs_and_learns():
    [code] = re.findall(r"^```python\n(.*?)^```", DOCS.read_text(), flags=re.MULTILINE | re.DOTALL)
    names: dict = {}
    exec(compile(code, str(DOCS), "exec"), names)
    assert (names["predicted"] == names["labels"]).mean() > 0.9
    assert len([line for line in code.splitlines() if line and "import" not in line]) <= 10


def test_it_is_full_batch_gradient_descent_where_that_is_asked_for():
    """Against a loop written out: one batch an epoch, the same first weights, plain SGD."""
    result = quick(batch_size=40, epochs=3, optimizer=lambda p: torch.optim.SGD(p, lr=0.5))
    start = quick(batch_size=40, epochs=1, optimizer=lambda p: torch.optim.SGD(p, lr=1e-30))
    network = linear()
    network.load_state_dict(start.networks["a"].state_dict())
    inputs, target = torch.from_numpy(FLOATS), torch.from_numpy(LABELS)
    losses = []
    for _ in range(3):
        loss = nn.functional.cross_entropy(network(inputs), target)
        gradients = torch.autograd.grad(loss, list(network.parameters()))
        losses.append(loss.item())
        with torch.no_grad():
            for weight, gradient in zip(network.parameters(), gradients, strict=True):
                weight.sub_(0.5 * gradient)
    assert list(result.history["train/loss_epoch"].values()) == pytest.approx(losses, rel=1e-4)
    expected = network(inputs).softmax(1).detach().numpy()
    np.testing.assert_allclose(result.predict(FLOATS), expected, atol=1e-4)
    assert result.predict(FLOATS[:0]).shape == (0, 2)
    for kind in (np.uint8, np.int64):  # a Normalize or an image_scale of the training set would be forgotten
        with pytest.raises(
            OptionError, match=f"are {np.dtype(kind)}; give floats as the networks were shown them"
        ):
            result.predict(FLOATS.astype(kind))


class Pairs(Dataset):
    """What a user's own data set looks like."""

    classes = ("dark", "light")

    def __len__(self):
        return 40

    def __getitem__(self, index):
        return torch.from_numpy(FLOATS[index]), int(LABELS[index])


@pytest.mark.parametrize(
    ("given", "more"),
    [
        ((FLOATS, LABELS), {}),
        ((torch.from_numpy(FLOATS), torch.from_numpy(LABELS)), {}),
        (ArrayDataset(IMAGES, LABELS), {}),
        (Pairs(), {}),
        (TensorDataset(torch.from_numpy(FLOATS), torch.from_numpy(LABELS)), {"num_classes": 2}),
    ],
    ids=["floats", "tensors", "ArrayDataset", "pairs", "TensorDataset"],
)
def test_the_same_data_in_any_form_trains_to_the_same_weights(given, more):
    expected, found = quick(), quick(given, **more)
    for one, other in zip(expected.networks["a"].parameters(), found.networks["a"].parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)


def test_it_is_the_run_that_a_configuration_describes(tmp_path):
    np.savez(tmp_path / "set.npz", images=IMAGES, labels=LABELS)
    content = {
        "method": {"name": "supervised"},
        "num_classes": 2,
        "model": {"_target_": "coteach.models.SmallMobileNet"},
        "optimizer": {"_target_": "torch.optim.AdamW", "lr": 0.02, "fused": True},
        "scheduler": {"_target_": "torch.optim.lr_scheduler.CosineAnnealingLR", "T_max": 2},
        "train_dataset": {"_target_": "coteach.ArrayDataset", "images": str(tmp_path / "set.npz")},
        "data_loader": {"batch_size": 8},
        "trainer": {"max_epochs": 2, "accelerator": "cpu"},
        "output_dir": str(tmp_path / "run"),
        "seed": 1,
    }
    (tmp_path / "conf.yaml").write_text(yaml.safe_dump(content))
    last = train(build_run(load_config(tmp_path / "conf.yaml"), TargetResolver(), progress=False))
    weights = load_checkpoint(last)["state_dict"]
    result = fit(
        SmallMobileNet,
        (IMAGES, LABELS),
        method=Supervised(),
        epochs=2,
        batch_size=8,
        lr=0.02,
        device="cpu",
        seed=1,
    )
    for name, value in result.method.state_dict().items():
        assert torch.equal(weights[f"method.{name}"], value), name


def test_two_networks_what_they_selected_and_the_best_epoch():
    noisy = LABELS.copy()
    noisy[:8] = 1 - noisy[:8]
    method = CoTeaching(CoTeachingConfig(e_warm=1, p_start=1.0, p_end=1.0, forget_end=0.25))
    result = quick((IMAGES, noisy), method, val=(IMAGES, LABELS), epochs=4, keep="best")
    assert list(result.networks) == ["a", "b"]
    assert result.output_dir is None
    selected = result.history["train/selected_share"]
    assert selected[0] == 1
    assert selected[3] == pytest.approx(0.75, abs=0.1)
    balanced = result.history["val/BA"]
    right = result.predict(FLOATS).argmax(1) == LABELS
    assert np.mean([right[c == LABELS].mean() for c in (0, 1)]) == pytest.approx(max(balanced.values()))


def test_options_of_training_leave_balanced_accuracy_to_decide(tmp_path):
    given = {"val": (IMAGES, LABELS), "epochs": 3, "keep": "best"}
    for name, options in {"clipped": TrainerOptions(gradient_clip_val=9.0), "usual": None}.items():
        result = quick(output_dir=tmp_path / name, options=options, **given)
        kept = load_checkpoint(tmp_path / name / "checkpoints" / "best.ckpt")["callbacks"].values()
        [score] = [float(one["best_model_score"]) for one in kept if one.get("monitor") == "val/BA"]
        assert score == pytest.approx(max(result.history["val/BA"].values()))
    told = quick(output_dir=tmp_path / "loss", options=TrainerOptions(monitor="val/loss"), **given)
    kept = load_checkpoint(tmp_path / "loss" / "checkpoints" / "best.ckpt")["callbacks"].values()
    [score] = [float(one["best_model_score"]) for one in kept if one.get("monitor") == "val/loss"]
    assert score == pytest.approx(min(told.history["val/loss"].values()))


def test_a_folder_is_gone_on_with_and_other_data_is_refused(tmp_path):
    whole = quick(output_dir=tmp_path / "whole", epochs=3, optimizer=torch.optim.Adam)
    quick(output_dir=tmp_path / "run", epochs=1, optimizer=torch.optim.Adam)
    rest = quick(output_dir=tmp_path / "run", epochs=3, optimizer=torch.optim.Adam)
    again = quick(output_dir=tmp_path / "run", epochs=3, optimizer=torch.optim.Adam)
    for one in (rest, again):
        assert one.history["train/loss_epoch"] == whole.history["train/loss_epoch"]
        np.testing.assert_array_equal(one.predict(FLOATS), whole.predict(FLOATS))
    for changed in (
        {"dataset": (IMAGES, 1 - LABELS)},
        {"method": Supervised(SupervisedConfig(label_smoothing=0.1))},
        {"batch_size": 10},
    ):
        with pytest.raises(TrainingError):
            quick(output_dir=tmp_path / "run", epochs=4, optimizer=torch.optim.Adam, **changed)


def test_nothing_is_left_behind(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.chdir(tmp_path)
    quick(epochs=1)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("dataset", "changes", "error", "message"),
    [
        (None, {"keep": "best"}, OptionError, "keep: needs val"),
        (None, {"epochs": 0}, OptionError, "epochs: 0 is below 1; give 1 or more"),
        (None, {"num_classes": 1}, OptionError, "num_classes: 1 is below 2"),
        (None, {"num_classes": 3}, OptionError, "its network gives 2 classes, num_classes is 3"),
        ((IMAGES[:, :5], LABELS), {}, OptionError, "model_factory: its network cannot take 5 x 6 pixels"),
        ((IMAGES, LABELS + 7), {"num_classes": 2}, InputError, "item 0: its label 7 is not one of 0 to 1"),
        (
            (IMAGES, 0 * LABELS + 1),
            {},
            InputError,
            "dataset: its labels hold only class 1; give labels of at least two",
        ),
        ((IMAGES, 0 * LABELS - 1), {}, InputError, "its labels hold no class at all"),
        (None, {"val": (IMAGES, 0 * LABELS - 1)}, InputError, "val: none of its images has a label"),
        (
            TensorDataset(torch.zeros(4, 1, 6, 6), torch.tensor([1, 2, 1, 2])),
            {"num_classes": 2},
            InputError,
            "TensorDataset, item 1: its label 2 is not one of 0 to 1",
        ),
        (
            TensorDataset(torch.zeros(3, 1, 6, 6), torch.zeros(3)),
            {},
            OptionError,
            "TensorDataset does not tell",
        ),
    ],
)
def test_what_does_not_fit_is_said_before_anything_is_written(tmp_path, dataset, changes, error, message):
    with pytest.raises(error, match=re.escape(message)):
        quick(dataset, output_dir=tmp_path / "run", **changes)
    assert not (tmp_path / "run").exists()


def test_a_schedule_longer_than_the_run_is_warned_of():
    with pytest.warns(UserWarning, match="co_teaching: e_warm 20 is longer than the run of 1 epochs"):
        quick(method=CoTeaching(), epochs=1)
    with pytest.warns(UserWarning, match="divide_mix: warm_epochs 10 is longer than the run of 1 epochs"):
        quick(method=DivideMix(), epochs=1)


def test_a_first_phase_as_long_as_the_run_is_warned_of():
    """Labels would be held out, and none ever judged."""
    method = PeerEnsemble(PeerEnsembleConfig(warm_epochs=2))
    with pytest.warns(
        CoteachWarning, match="peer_ensemble: warm_epochs 2 is as long as the run.*lower warm_epochs"
    ):
        quick(method=method, epochs=2)
    quick(method=PeerEnsemble(PeerEnsembleConfig(warm_epochs=1, forget_end=0.2)), epochs=2)
    quick(
        method=CoTeaching(CoTeachingConfig(e_warm=1, lambda_reg=0)), epochs=1
    )  # its rates have risen by then
