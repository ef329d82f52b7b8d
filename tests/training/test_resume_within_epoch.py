"""Stopped at any batch and gone on = never stopped: weights, optimizers, schedules, scaler and figures."""

import math
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from same_run import assert_same_run, result
from toy_images import ToyImages, image_network
from toys import ToyMaps, toy_run

from coteach.errors import TrainingError
from coteach.methods.base import Stream
from coteach.methods.discovery import discover_methods
from coteach.methods.label_method import LabelMethod
from coteach.methods.supervised import Supervised
from coteach.selection import label_judge
from coteach.training.options import SchedulerOptions
from coteach.training.run import train
from coteach.training.state import read_state
from coteach.training.streams import LoaderOptions, StreamLoader, make_loader

# 12 samples in batches of 4: three batches an epoch
EPOCHS = {"max_epochs": 3, "log_every_n_steps": 1, "log_images": 0}


def by_step(optimizer):
    return torch.optim.lr_scheduler.StepLR(optimizer, 2, gamma=0.5)


ACCUMULATED = {
    "loader": LoaderOptions(batch_size=2),  # six batches an epoch, in groups of four
    "scheduler": SchedulerOptions(make=by_step, interval="step"),
    "options": {"accumulate_grad_batches": 4, "gradient_clip_val": 0.5},
}
PLATEAU = {
    "scheduler": SchedulerOptions(make=lambda o: torch.optim.lr_scheduler.ReduceLROnPlateau(o, patience=0))
}


def asked(folder, method, changes, **length):
    changes = {**changes, "options": {**EPOCHS, **changes.get("options", {}), **length}}
    if isinstance(method, str):
        return toy_run(folder, method, **changes)
    return replace(toy_run(folder, "supervised", **changes), method=method())


@pytest.mark.parametrize(
    ("method", "changes", "stops"),
    [
        ("co_teaching", {}, [4]),  # two networks, dropout, batch normalisation, a schedule by epoch
        ("co_teaching", PLATEAU, [2, 6]),  # within the first epoch, and at the end of the second
        ("supervised", {"options": {"check_val_every_n_epoch": 2}}, [1, 5]),
        ("supervised", ACCUMULATED, [8]),  # two batches of a group
        ("co_teaching", ACCUMULATED, [11, 17]),  # within the last, short group; after it but for one batch
        (
            "supervised",
            {**ACCUMULATED, "options": {"accumulate_grad_batches": 4, "precision": "16-mixed"}},
            [7],
        ),
    ],
)
@pytest.mark.filterwarnings("ignore:16-mixed:coteach.errors.CoteachWarning")
def test_stopped_by_max_steps_and_gone_on(tmp_path, method, changes, stops):
    train(asked(tmp_path / "whole", method, changes))
    for stop in stops:
        train(asked(tmp_path / "parts", method, changes, max_steps=stop))
        assert result(tmp_path / "parts")["coteach"]["batches_seen"] == stop
        assert read_state(tmp_path / "parts")["finished"]
    train(asked(tmp_path / "parts", method, changes))
    assert_same_run(tmp_path / "parts", tmp_path / "whole")


# Options under which three epochs show all that a method does.
SHORT = {
    "co_teaching": {"lambda_reg": 0.0, "balance": "set"},
    "co_teaching_plus": {"agree_epochs": 1, "balance": "set"},
    "jocor": {"balance": "set", "e_warm": 1},
    "elr": {"ema_decay": 0.9},
    "divide_mix": {"warm_epochs": 1},
    "peer_ensemble": {"warm_epochs": 1, "forget_end": "mixture", "mixup_alpha": 1.0, "consistency": 1.0},
}


LABEL_METHODS = sorted(name for name, one in discover_methods().items() if issubclass(one, LabelMethod))


@pytest.mark.parametrize("name", LABEL_METHODS)
def test_every_method_goes_on_within_an_epoch(tmp_path, name):
    def run(folder, **length):
        changes = {
            "method_options": SHORT.get(name, {}),
            "make_network": image_network,
            "datasets": {"train": ToyImages(), "val": ToyImages(4)},
        }
        train(asked(folder, name, changes, **length))

    run(tmp_path / "whole")
    run(tmp_path / "parts", max_steps=4)
    run(tmp_path / "parts")
    assert_same_run(tmp_path / "parts", tmp_path / "whole")


@pytest.mark.filterwarnings("ignore:forget_end. auto:coteach.errors.CoteachWarning")  # few labels
@pytest.mark.parametrize("bound", [-math.inf, 0.0])
def test_what_is_learned_by_heart_is_the_same_when_gone_on(tmp_path, monkeypatch, bound):
    """Labels are judged before epochs 2 and 4; or are looked at before each, and are not."""
    monkeypatch.setattr(label_judge, "_BY_HEART", bound)

    def run(folder, **length):
        sets = {"train": ToyImages(240, wrong=tuple(range(0, 240, 5))), "val": ToyImages(4)}
        changes = {"method_options": {"warm_epochs": 2}, "make_network": image_network, "datasets": sets}
        changes |= {"loader": LoaderOptions(batch_size=60), "options": {"max_epochs": 5}}
        train(asked(folder, "peer_ensemble", changes, **length))

    run(tmp_path / "whole")
    for stop in (9, 12, 17):
        run(tmp_path / "parts", max_steps=stop)
    run(tmp_path / "parts")
    assert_same_run(tmp_path / "parts", tmp_path / "whole")
    divided = result(tmp_path / "parts")["state_dict"]["method.believed.divided"]
    assert divided.item() == (4 if bound < 0 else -1)


class Scanning(Supervised):
    """Learns from the items that its network finds easy when the epoch begins, as DivideMix does."""

    name = "scanning"
    scans = 0

    def setup(self, factory, info):
        super().setup(factory, info)
        self.register_buffer("losses_of", torch.zeros(info.num_items))

    def prepare_epoch(self, epoch, scan):
        type(self).scans += 1
        for batch in scan(Stream(shuffle=False, augment=False)):
            with torch.no_grad():
                scores = self.networks["a"].eval()(batch.inputs).log_softmax(1)
            self.losses_of[batch.ids] = -(batch.target["mask"] * scores).sum(1).mean((1, 2))
            self.networks["a"].train()

    def streams(self, epoch):
        order = self.losses_of.argsort()[: 11 - epoch].tolist()
        return (Stream(ids=tuple(order)), Stream(name="other", ids=tuple(order[:5]), endless=True))


@pytest.mark.parametrize("stops", [[4], [3, 5, 6]])
def test_what_an_epoch_was_prepared_with_is_not_computed_again(tmp_path, stops):
    Scanning.scans = 0
    train(asked(tmp_path / "whole", Scanning, {}))
    assert Scanning.scans == 3
    for stop in stops:
        train(asked(tmp_path / "parts", Scanning, {}, max_steps=stop))
    train(asked(tmp_path / "parts", Scanning, {}))
    assert Scanning.scans == 6  # once an epoch, however often it was interrupted
    assert_same_run(tmp_path / "parts", tmp_path / "whole")


class Forgetful(Scanning):
    """Keeps what it decides out of its state."""

    name = "forgetful"

    def setup(self, factory, info):
        Supervised.setup(self, factory, info)
        self.losses_of = torch.arange(info.num_items).float()


def test_a_method_whose_state_misses_what_it_decided_is_refused(tmp_path):
    train(asked(tmp_path, Forgetful, {}, max_steps=4))
    with pytest.raises(TrainingError, match=r"epoch 1: .*forgetful asks for other streams.*buffers"):
        train(asked(tmp_path, Forgetful, {}))


class Fails(ToyMaps):
    """Ends the process, or fails, when so many samples have been drawn."""

    def __init__(self, after, kill=False):
        super().__init__()
        self.left, self.kill = after, kill

    def __getitem__(self, index):
        self.left -= 1
        if self.left < 0 and self.kill:
            os.kill(os.getpid(), signal.SIGKILL)
        if self.left < 0:
            raise RuntimeError("killed")
        return super().__getitem__(index)


def failing(after, kill=False):
    return {"datasets": {"train": Fails(after, kill), "val": ToyMaps(4, noise=0)}}


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    train(asked(folder, "supervised", {}))
    return folder


@pytest.mark.parametrize(("every", "kept"), [(2, 4), (5, 3), (None, 3)])
def test_a_run_that_fails_goes_on_from_the_last_checkpoint(tmp_path, uninterrupted, every, kept):
    options = {"options": {"checkpoint_every_steps": every}}
    with pytest.raises(RuntimeError, match="killed"):
        train(asked(tmp_path / "parts", "supervised", options | failing(18)))  # in the fifth batch
    assert result(tmp_path / "parts")["coteach"]["batches_seen"] == kept
    train(asked(tmp_path / "parts", "supervised", options))
    assert_same_run(tmp_path / "parts", uninterrupted)


def test_batches_that_were_seen_are_not_loaded_again(tmp_path):
    train(asked(tmp_path, "supervised", {}, max_steps=5))
    rest = asked(tmp_path, "supervised", failing(16))  # four batches of four samples are left
    train(rest)
    assert rest.datasets["train"].left == 0


def killed_run(folder):
    """What the process of the next test does."""
    options = {"options": {"checkpoint_every_steps": 1}}
    train(asked(Path(folder), "co_teaching", options | failing(18, kill=True)))


def test_a_killed_process_loses_nothing_but_its_last_batch(tmp_path):
    code = f"import test_resume_within_epoch as t; t.killed_run({str(tmp_path / 'parts')!r})"
    here = Path(__file__).parent
    path = os.pathsep.join([str(here), str(here.parent / "support")])
    done = subprocess.run(
        [sys.executable, "-c", code],
        check=False,
        env={"PYTHONPATH": path, "OMP_NUM_THREADS": str(torch.get_num_threads())},
    )
    assert done.returncode == -signal.SIGKILL
    assert result(tmp_path / "parts")["coteach"]["batches_seen"] == 4
    train(asked(tmp_path / "parts", "co_teaching", {}))
    train(asked(tmp_path / "whole", "co_teaching", {}))
    assert_same_run(tmp_path / "parts", tmp_path / "whole")


@pytest.mark.parametrize("rank", [0, 1])
def test_streams_of_several_lengths_go_on_at_any_batch(rank):
    streams = [Stream(), Stream(name="short", ids=(5, 7, 8), batch_size=1, endless=True)]

    def loader():
        loaders = {
            s.name: make_loader(ToyMaps(), s, LoaderOptions(batch_size=1), seed=1, rank=rank, world_size=2)
            for s in streams
        }
        made = StreamLoader(loaders, streams)
        made.set_epoch(2)
        return made

    def drawn(batches):
        return [{name: batch.ids.tolist() for name, batch in one.items()} for one in batches]

    whole = drawn(loader())
    assert len(whole) == 6
    for first in range(6):
        stopped, rest = loader(), loader()
        seen = iter(stopped)
        begun = drawn(next(seen) for _ in range(first))
        rest.load_state_dict(stopped.state_dict())
        assert len(rest) == 6
        assert begun + drawn(rest) == whole
        assert drawn(rest) == whole  # the next time it is the whole epoch
