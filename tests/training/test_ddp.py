"""Two processes on the CPU: what they train, measure and draw is what one process does on the whole batch."""

import csv
import json
import math
import subprocess
import sys
from itertools import chain
from pathlib import Path

import pytest
import torch
import yaml
from toy_images import ToyImages, image_network
from toys import PartlyLabelled, ToyMaps, toy_run

from coteach.data.keyed import EpochSampler
from coteach.methods.base import TaskInfo
from coteach.methods.discovery import create_method
from coteach.report.logs import read_log
from coteach.selection import label_judge
from coteach.training.checkpoints import load_checkpoint
from coteach.training.run import train
from coteach.training.streams import LoaderOptions

# forked processes start in no time; a user's are started anew by the strategy "ddp", as in the last test
TWO = {"devices": 2, "strategy": "ddp_fork"}
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning"),
    pytest.mark.usefixtures("one_thread"),
]


def linear():
    return torch.nn.Conv2d(2, 2, 1)


def pair(folder, method, two=TWO, batch=4, **changes):
    """The same run by one process on batches of ``batch`` items, and by two on half of each."""
    changes = {
        "make_network": linear,
        "datasets": {"train": ToyMaps(12), "val": ToyMaps(5, noise=0)},
    } | changes
    options = {"max_epochs": 2, "log_images": 0} | changes.pop("options", {})
    train(toy_run(folder / "one", method, loader=LoaderOptions(batch_size=batch), options=options, **changes))
    train(
        toy_run(
            folder / "two",
            method,
            loader=LoaderOptions(batch_size=batch // 2),
            options=options | two,
            **changes,
        )
    )
    return [load_checkpoint(folder / name / "checkpoints" / "last.ckpt") for name in ("one", "two")]


def assert_close(first, second):
    assert first["state_dict"].keys() == second["state_dict"].keys()
    for key, value in first["state_dict"].items():
        torch.testing.assert_close(second["state_dict"][key], value, rtol=1e-4, atol=1e-5, msg=key)


def figures(folder, column):
    [file] = folder.glob("logs/version_*/metrics.csv")
    with file.open() as lines:
        return [float(row[column]) for row in csv.DictReader(lines) if row.get(column)]


@pytest.mark.parametrize("world", [1, 2, 3])
def test_together_the_processes_draw_every_item_once(world):
    samplers = [EpochSampler(range(12), seed=1, rank=rank, world_size=world) for rank in range(world)]
    drawn = [key.item for key in chain(*samplers)]
    assert sorted(drawn) == list(range(12))


def test_two_processes_train_as_one_on_the_whole_batch(tmp_path):
    one, two = pair(tmp_path, "supervised")
    assert_close(one, two)
    assert one["coteach"]["batches_seen"] == two["coteach"]["batches_seen"] == 6
    # five validation samples: one process sees three and the other two, none counts twice
    for name in ("val/loss", "val/OA", "val/mIoU", "train/loss_epoch"):
        assert figures(tmp_path / "two", name) == pytest.approx(figures(tmp_path / "one", name), rel=1e-4)
    assert json.loads((tmp_path / "two" / "run.json").read_text())["finished"]


def test_synchronised_thresholds_are_those_of_the_whole_batch(tmp_path):
    # lambda_reg 0.1: the neighbourhood term is averaged over all pairs of both processes, too
    options = {"e_warm": 1, "forget_end": 0.4, "p_end": 0.8}
    one, two = pair(tmp_path / "sync", "co_teaching", method_options={**options, "sync": True})
    assert_close(one, two)
    one, two = pair(tmp_path / "own", "co_teaching", method_options=options)
    assert any(
        not torch.allclose(two["state_dict"][key], value, rtol=1e-4, atol=1e-5)
        for key, value in one["state_dict"].items()
        if "networks" in key
    )  # without it each process chooses for itself


def test_a_process_without_labels_steps_if_the_other_has_some(tmp_path):
    # of three batches of two for each process only the second one of the second process has labels
    drawn = [key.item for key in EpochSampler(range(12), seed=1, rank=1, world_size=2)]
    data = PartlyLabelled(ToyMaps(12), drawn[2:4])
    one, two = pair(
        tmp_path,
        "supervised",
        make_optimizer=lambda p: torch.optim.AdamW(
            p, lr=0.05, weight_decay=0.1
        ),  # by the gradient's direction
        datasets={"train": data, "val": ToyMaps(5, noise=0)},
        options={"max_epochs": 1},
    )
    assert_close(one, two)
    for run in (one, two):
        assert {int(weight["step"]) for weight in run["optimizer_states"][0]["state"].values()} == {1}


def test_two_processes_resume(tmp_path):
    whole = {"make_network": linear, "options": {"max_epochs": 3, **TWO}}
    train(toy_run(tmp_path / "whole", "supervised", **whole))
    for steps in (2, 3):  # at the end of the first epoch, and within the second
        short = {**whole, "options": {**whole["options"], "max_steps": steps}}
        train(toy_run(tmp_path / "parts", "supervised", **short))
    train(toy_run(tmp_path / "parts", "supervised", **whole))
    first, second = (
        load_checkpoint(tmp_path / name / "checkpoints" / "last.ckpt") for name in ("whole", "parts")
    )
    for key, value in first["state_dict"].items():
        assert torch.equal(second["state_dict"][key], value), key
    assert second["coteach"]["batches_seen"] == 6
    # the means over the epoch are those of both processes, before and after
    parts, whole = (read_log(tmp_path / name).figures["train/loss_epoch"] for name in ("parts", "whole"))
    assert parts == pytest.approx(whole, rel=1e-6)


def normalised():
    return torch.nn.Sequential(torch.nn.Conv2d(2, 4, 1), torch.nn.BatchNorm2d(4), torch.nn.Conv2d(4, 2, 1))


def test_two_processes_resume_within_a_group_of_batches(tmp_path):
    """The checkpoint is the first process's: its running statistics are those of both even there."""
    options = {"max_epochs": 1, "accumulate_grad_batches": 2, **TWO}
    whole = {"make_network": normalised, "options": options, "loader": LoaderOptions(batch_size=1)}
    whole["datasets"] = {"train": ToyMaps(8), "val": ToyMaps(2)}
    train(toy_run(tmp_path / "whole", "supervised", **whole))
    train(toy_run(tmp_path / "parts", "supervised", **whole | {"options": options | {"max_steps": 3}}))
    train(toy_run(tmp_path / "parts", "supervised", **whole))
    first, second = (
        load_checkpoint(tmp_path / name / "checkpoints" / "last.ckpt") for name in ("whole", "parts")
    )
    for key, value in first["state_dict"].items():
        assert torch.equal(second["state_dict"][key], value), key


def test_the_command_trains_with_two_processes_and_says_so_once(tmp_path):
    content = {
        "num_classes": 2,
        "method": {"name": "supervised"},
        "model": {"_target_": "torch.nn.Conv2d", "in_channels": 2, "out_channels": 2, "kernel_size": 1},
        "optimizer": {"_target_": "torch.optim.SGD", "lr": 0.1},
        "train_dataset": {"_target_": "toys.ToyMaps", "size": 4},
        "val_dataset": {"_target_": "toys.ToyMaps", "size": 1},  # less than one for each process
        "data_loader": {"batch_size": 2},
        "trainer": {"max_epochs": 1, "accelerator": "cpu", "devices": 2, "strategy": "ddp"},
        "output_dir": str(tmp_path / "run"),
    }
    (tmp_path / "conf.yaml").write_text(yaml.safe_dump(content))
    support = Path(__file__).parents[1] / "support"
    command = [sys.executable, "-m", "coteach.cli.main", "train", "conf.yaml", "--allow-target", "toys"]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={"PYTHONPATH": str(support), "PATH": "", "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("trained:") == 1
    assert "Warning" not in done.stderr, done.stderr
    assert load_checkpoint(tmp_path / "run" / "checkpoints" / "last.ckpt")["coteach"]["batches_seen"] == 1


class KnownImages(ToyImages):
    """Of the images it is known whose label is right."""

    @property
    def right_labels(self):
        return [int(index not in self.wrong) for index in range(self.size)]


def linear_of_images():
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(32, 2))


PEERS = {"warm_epochs": 1, "consistency": 1.0, "ramp_epochs": 0, "ema_decay": 0.5}


@pytest.mark.filterwarnings("ignore:forget_end. auto:coteach.errors.CoteachWarning")  # few labels
@pytest.mark.parametrize(
    ("method", "options"),
    [
        ("jocor", {"forget_end": 0.4, "e_warm": 1, "sync": True}),
        ("co_teaching_plus", {"forget_end": 0.4, "e_warm": 1, "agree_epochs": 1, "sync": True}),
        ("elr", {"ema_decay": 0.5}),
        ("peer_ensemble", PEERS | {"forget_end": "mixture"}),
        ("peer_ensemble", PEERS | {"forget_end": "auto"}),
        ("co_teaching", {"forget_end": "auto", "e_warm": 0, "lambda_reg": 0, "sync": True}),
        ("co_teaching", {"balance": "set", "e_warm": 0, "lambda_reg": 0, "p_end": 1.0, "sync": True}),
    ],
)
def test_methods_of_images_are_those_of_the_whole_batch(tmp_path, monkeypatch, method, options):
    """Networks, and the tables that the next epoch is decided by: of all items, not of a process's share."""
    monkeypatch.setattr(label_judge, "_BY_HEART", -math.inf)  # forked processes have it, too
    size = 260 if options.get("forget_end") == "auto" else 36  # some twenty labels are held out
    sets = {"train": ToyImages(size, wrong=tuple(range(1, size, 5))), "val": ToyImages(5, noise=0)}
    changes = {"make_network": linear_of_images, "datasets": sets, "method_options": options}
    one, two = pair(tmp_path, method, batch=4 if size == 36 else 52, options={"max_epochs": 3}, **changes)
    # in order of their arrival, along this axis
    arrived = {"said": 0, "labels": 0, "losses": 1, "noted": 1} if method == "co_teaching" else {}
    for key in list(one["state_dict"]):
        axis = arrived.get(key.rsplit(".")[-1])
        if axis is not None:
            torch.testing.assert_close(
                two["state_dict"].pop(key).sort(axis).values, one["state_dict"].pop(key).sort(axis).values,
                rtol=1e-4, atol=1e-5, equal_nan=True, msg=key,
            )  # fmt: skip
    assert_close(one, two)
    if options.get("forget_end") == "auto":
        name = "noise.overall" if method == "co_teaching" else "believed.judge.rate"
        assert one["state_dict"][f"method.{name}"] > 0


@pytest.mark.parametrize(
    ("method", "options", "average"), [("elr", {"ema_decay": 0.5}, "ema"), ("peer_ensemble", {}, "b_mean")]
)
def test_averages_count_the_images_of_all_processes(tmp_path, method, options, average):
    """One step: the running mean of batch normalisation goes a tenth of the way from 0 to the mean over all four images."""
    sets = {"train": ToyImages(4, noise=0), "val": ToyImages(2)}
    changes = {"make_network": image_network, "datasets": sets, "method_options": options}
    length = {"max_epochs": 1, "log_images": 0, **TWO}
    train(toy_run(tmp_path, method, options=length, loader=LoaderOptions(batch_size=2), **changes))
    state = load_checkpoint(tmp_path / "checkpoints" / "last.ckpt")["state_dict"]
    first = create_method(method, options)
    first.setup(image_network, TaskInfo(num_classes=2, num_items=4, seed=1))
    images = torch.stack([sets["train"].plain(i)["image"] for i in range(4)])
    expected = 0.1 * first.networks[average][0](images).mean((0, 2, 3))
    torch.testing.assert_close(state[f"method.networks.{average}.1.running_mean"], expected)


@pytest.mark.parametrize("every", [1, 2])
def test_checkpoints_within_an_epoch_leave_its_means(tmp_path, every):
    options = {"max_epochs": 1, **TWO}
    for name, more in (("without", {}), ("with", {"checkpoint_every_steps": every})):
        train(toy_run(tmp_path / name, "supervised", make_network=linear, options=options | more))
    one, two = (read_log(tmp_path / name).figures["train/loss_epoch"] for name in ("without", "with"))
    assert one == two


def test_two_processes_divide_the_training_set_as_one(tmp_path):
    sets = {"train": ToyImages(36, wrong=(1, 4, 11)), "val": ToyImages(5, noise=0)}
    changes = {"make_network": linear_of_images, "datasets": sets, "method_options": {"warm_epochs": 2}}
    one, two = pair(tmp_path, "divide_mix", options={"max_epochs": 3}, **changes)
    for name in ("clean", "kept", "divided"):
        key = f"method.{name}"
        torch.testing.assert_close(two["state_dict"][key], one["state_dict"][key], rtol=1e-3, atol=1e-4)
    assert not one["state_dict"]["method.kept"].all()


def test_two_processes_count_right_labels_over_an_interruption(tmp_path):
    """A checkpoint within an epoch holds what both have chosen by then."""
    sets = {"train": KnownImages(16, wrong=(1, 4, 11)), "val": ToyImages(2)}
    changes = {"make_network": linear_of_images, "method_options": {"e_warm": 0, "forget_end": 0.4}}
    changes |= {"datasets": sets, "loader": LoaderOptions(batch_size=2)}
    options = {"max_epochs": 1, "log_images": 0, **TWO}
    train(toy_run(tmp_path / "whole", "jocor", options=options, **changes))
    train(toy_run(tmp_path / "parts", "jocor", options=options | {"max_steps": 3}, **changes))
    train(toy_run(tmp_path / "parts", "jocor", options=options, **changes))
    for name in ("precision", "recall"):
        whole, parts = (
            read_log(tmp_path / run).figures[f"train/label_{name}/a"] for run in ("whole", "parts")
        )
        assert parts == whole


def test_two_processes_count_right_labels_together(tmp_path):
    """Each process sees one half of what is chosen."""
    one, two = (KnownImages(36, wrong=(1, 4, 11)) for _ in range(2))
    options = {"forget_end": 0.4, "e_warm": 1, "sync": True}
    changes = {"make_network": linear_of_images, "method_options": options}
    pair(tmp_path, "jocor", datasets={"train": one, "val": two}, **changes)
    for name in ("precision", "recall"):
        first, second = (figures(tmp_path / run, f"train/label_{name}/a") for run in ("one", "two"))
        assert len(first) == 2
        assert second == pytest.approx(first)
        assert min(first) > 0
