"""Early stopping, warm-up by configuration, resuming with accumulation and a schedule by step."""

import csv
import errno
import os
import signal
from multiprocessing import active_children

import pytest
import torch
from toys import ToyMaps, toy_run

from coteach.cli.targets import TargetResolver
from coteach.errors import ConfigError, CoteachWarning, TrainingError
from coteach.fitting import fit
from coteach.methods.discovery import create_method
from coteach.training.checkpoints import load_checkpoint
from coteach.training.interrupts import heeding_interrupts
from coteach.training.loader_errors import RaisingLoader
from coteach.training.options import SchedulerOptions, TrainerOptions
from coteach.training.run import train
from coteach.training.state import read_state
from coteach.training.streams import LoaderOptions

WARM_UP = {
    "_target_": "torch.optim.lr_scheduler.SequentialLR",
    "milestones": [2],
    "schedulers": [
        {"_target_": "torch.optim.lr_scheduler.LinearLR", "start_factor": 0.5, "total_iters": 2},
        {"_target_": "torch.optim.lr_scheduler.StepLR", "step_size": 1, "gamma": 0.1},
    ],
}


def warm_up():
    return SchedulerOptions(
        make=lambda optimizer: TargetResolver().build(WARM_UP, "scheduler", "scheduler", optimizer),
        interval="step",
    )


def last(folder):
    return load_checkpoint(folder / "checkpoints" / "last.ckpt")


def still(parameters):
    return torch.optim.SGD(parameters, lr=0.0)


def linear():
    return torch.nn.Conv2d(2, 2, 1)


def test_a_warm_up_of_two_schedules_comes_from_the_configuration():
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    schedule = warm_up().make(optimizer)
    rates = []
    for _ in range(5):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    assert rates == pytest.approx(
        [0.5, 0.75, 1.0, 0.1, 0.01]
    )  # half, three quarters, full; then a tenth a step


def test_resume_with_accumulation_warm_up_and_clipping_is_the_uninterrupted_run(tmp_path):
    options = {"accumulate_grad_batches": 2, "gradient_clip_val": 0.5}

    def run(folder, epochs):
        train(toy_run(folder, scheduler=warm_up(), options={"max_epochs": epochs, **options}))

    run(tmp_path / "whole", 3)
    run(tmp_path / "parts", 1)
    run(tmp_path / "parts", 3)
    whole, parts = last(tmp_path / "whole"), last(tmp_path / "parts")
    for key, value in whole["state_dict"].items():
        assert torch.equal(parts["state_dict"][key], value), key
    assert str(parts["optimizer_states"]) == str(whole["optimizer_states"])
    assert str(parts["lr_schedulers"]) == str(whole["lr_schedulers"])
    # three batches an epoch in groups of two: two steps, six in all
    assert whole["lr_schedulers"][0]["last_epoch"] == 6


def test_a_run_whose_figure_stays_the_same_stops_and_is_finished(tmp_path):
    options = {"max_epochs": 20, "early_stop_patience": 2}
    changes = {"make_optimizer": still, "make_network": linear, "scheduler": None, "options": options}
    file = train(toy_run(tmp_path, "supervised", **changes))
    # the first validation sets the mark, the second and the third do not better it
    assert last(tmp_path)["coteach"] | {"seconds": 0} == last(tmp_path)["coteach"] | {
        "seconds": 0,
        "epochs": 3,
        "batches_seen": 9,
        "stopped_early": True,
    }
    written = file.stat().st_mtime_ns
    with pytest.warns(
        CoteachWarning, match="was ended by early_stop_patience after 3 epochs and stays as it is; to train"
    ):
        train(toy_run(tmp_path, "supervised", **changes))
    assert file.stat().st_mtime_ns == written


def test_a_run_that_gets_better_does_not_stop(tmp_path):
    changes = {"make_network": linear, "scheduler": None}
    options = {"max_epochs": 4, "early_stop_patience": 1}
    train(toy_run(tmp_path, "supervised", options=options, **changes))
    assert last(tmp_path)["coteach"]["epochs"] == 4
    assert not last(tmp_path)["coteach"]["stopped_early"]


def test_early_stopping_needs_a_validation(tmp_path):
    with pytest.raises(ConfigError, match=r"trainer\.early_stop_patience.*val_dataset"):
        train(toy_run(tmp_path, datasets={"train": ToyMaps()}, options={"early_stop_patience": 1}))
    assert not list(tmp_path.iterdir())


def test_batch_normalisation_of_several_processes_needs_gpus(tmp_path):
    with pytest.raises(ConfigError, match=r"trainer\.sync_batchnorm: torch has it for GPUs only"):
        train(toy_run(tmp_path / "run", options={"sync_batchnorm": True}))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "bad",
    [
        {"early_stop_patience": 0},
        {"early_stop_min_delta": -1.0},
        {"log_images": -1},
        {"checkpoint_every_steps": 0},
    ],
)
def test_options_out_of_range(bad):
    with pytest.raises(ConfigError, match=f"trainer.{next(iter(bad))}"):
        TrainerOptions(**bad)


def test_max_steps_alone_ends_after_so_many_batches_and_goes_on_when_raised(tmp_path):
    train(toy_run(tmp_path, "supervised", options={"max_epochs": None, "max_steps": 4}))
    assert last(tmp_path)["coteach"]["batches_seen"] == 4
    train(toy_run(tmp_path, "supervised", options={"max_epochs": None, "max_steps": 8}))
    assert last(tmp_path)["coteach"]["batches_seen"] == 8


def test_another_logger_gets_the_figures_too(tmp_path):
    node = {
        "_target_": "lightning.pytorch.loggers.CSVLogger",
        "save_dir": str(tmp_path / "more"),
        "name": "x",
    }
    logger = TargetResolver().build(node, "logger", "loggers[0]")
    train(toy_run(tmp_path / "run", "supervised", loggers=[logger]))
    own, other = (
        list(csv.DictReader(next(folder.rglob("metrics.csv")).read_text().splitlines()))
        for folder in (tmp_path / "run", tmp_path / "more")
    )
    assert own == other
    assert [row["val/mIoU"] for row in other if row["val/mIoU"]]


def test_a_place_for_loggers_takes_loggers_only():
    with pytest.raises(ConfigError, match=r"loggers\[0\].*is not a logger"):
        TargetResolver().build({"_target_": "torch.nn.Linear"}, "logger", "loggers[0]")


class PressedKeys(ToyMaps):
    """Ctrl-C comes while the fifth sample is drawn."""

    def __getitem__(self, index):
        if index == 4:
            raise KeyboardInterrupt
        return super().__getitem__(index)


def test_ctrl_c_is_told_and_heeded_a_second_time(tmp_path):
    handler = signal.getsignal(signal.SIGINT)
    run = toy_run(tmp_path, datasets={"train": PressedKeys(8)}, options={"max_epochs": 2})
    with pytest.raises(KeyboardInterrupt):
        train(run)
    assert signal.getsignal(signal.SIGINT) is handler
    assert not read_state(tmp_path)["finished"]


class Terminated(ToyMaps):
    """SIGTERM comes while the fifth sample is drawn."""

    def __getitem__(self, index):
        if index == 4:
            os.kill(os.getpid(), signal.SIGTERM)
        return super().__getitem__(index)


TOLD = "Error: {}: stopped by SIGTERM; the same command goes on from its last checkpoint"


class TerminatedImages:
    """SIGTERM comes while the fifth image is drawn."""

    targets = (0, 1) * 4  # listed: no image is drawn before training for its label's sake

    def __len__(self):
        return 8

    def __getitem__(self, index):
        if index == 4:
            os.kill(os.getpid(), signal.SIGTERM)
        return torch.ones(1, 8, 8), index % 2


def test_sigterm_is_told_and_is_no_success(tmp_path):
    run = toy_run(tmp_path, datasets={"train": Terminated(8)}, options={"max_epochs": 2})
    with pytest.raises(SystemExit) as left:
        train(run)
    assert left.value.code == TOLD.format(tmp_path)
    assert not read_state(tmp_path)["finished"]


ENDED = RuntimeError("DataLoader worker (pid 7) is killed by signal: Terminated. ")
MISSED = RuntimeError("DataLoader worker (pid(s) 7) exited unexpectedly")


@pytest.fixture
def handlers():
    """A handler of the user's own for SIGCHLD, which is to stay, as is that of SIGTERM."""
    alarm, child = signal.getsignal(signal.SIGALRM), signal.signal(signal.SIGCHLD, children)
    own = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGALRM, alarm)
    assert (signal.signal(signal.SIGCHLD, child), signal.getsignal(signal.SIGTERM)) == (children, own)


def children(*_):
    """What the user does when a process ends."""


@pytest.mark.usefixtures("handlers")
@pytest.mark.parametrize(
    ("error", "cause", "delay"),
    [
        (ENDED, None, 0.2),
        (MISSED, ENDED, 0.2),
        (MISSED, None, 0),
        (ConnectionResetError(104, "Connection reset by peer"), None, 0),
    ],
)
def test_sigterm_may_reach_a_worker_first(tmp_path, error, cause, delay):
    """As torch words it, before or after this process has got the signal itself."""

    def signalled_and_failed():
        if delay:
            signal.signal(signal.SIGALRM, lambda *_: signal.raise_signal(signal.SIGTERM))
            signal.setitimer(signal.ITIMER_REAL, delay)
        else:
            signal.raise_signal(signal.SIGTERM)
        raise error from cause

    with pytest.raises(SystemExit) as left, heeding_interrupts(str(tmp_path), "go on"):
        signalled_and_failed()
    assert left.value.code == f"Error: {tmp_path}: stopped by SIGTERM; go on"


@pytest.mark.usefixtures("handlers")
@pytest.mark.parametrize(
    ("cause", "told"),
    [(ENDED, r"killed by signal: Terminated; if"), (None, r"\(pid\(s\) 7\) exited unexpectedly; if")],
)
def test_a_worker_that_alone_is_terminated_is_an_error(tmp_path, monkeypatch, cause, told):
    """On a busy machine torch may see that it has ended before it hears how."""
    monkeypatch.setattr(RaisingLoader, "delivered", True)
    with (
        pytest.raises(TrainingError, match=f"a loader worker was lost: .*{told}"),
        heeding_interrupts(str(tmp_path), "go on"),
    ):
        raise MISSED from cause


@pytest.mark.usefixtures("handlers")
def test_workers_that_never_gave_a_batch_may_be_a_matter_of_the_script(tmp_path, monkeypatch):
    monkeypatch.setattr(RaisingLoader, "delivered", False)
    words = r'exited unexpectedly; in a script .* under if __name__ == "__main__":, or use num_workers=0; if memory'
    with pytest.raises(TrainingError, match=words), heeding_interrupts(str(tmp_path), "go on"):
        raise MISSED
    with (
        pytest.raises(TrainingError, match="Terminated; if memory"),
        heeding_interrupts(str(tmp_path), "go on"),
    ):
        raise MISSED from ENDED  # that says why


class Orphaned(ToyMaps):
    """The worker that draws the fifth sample is terminated by somebody."""

    def __getitem__(self, index):
        if index == 4:
            os.kill(os.getpid(), signal.SIGTERM)
        return super().__getitem__(index)


@pytest.mark.usefixtures("handlers")
def test_a_real_worker_that_is_terminated(tmp_path):
    loader = LoaderOptions(batch_size=4, num_workers=1)
    run = toy_run(tmp_path, datasets={"train": Orphaned(8)}, loader=loader, options={"max_epochs": 1})
    with pytest.raises(TrainingError, match="a loader worker was lost"):
        train(run)
    assert not active_children()


@pytest.mark.parametrize("kept", [False, True])
def test_what_fit_says_of_going_on_is_true_of_temporary_folders(tmp_path, kept):
    method = create_method("supervised", {})
    with pytest.raises(SystemExit) as left:
        fit(
            lambda: torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 2)),
            TerminatedImages(),
            method=method,
            num_classes=2,
            epochs=1,
            batch_size=2,
            output_dir=tmp_path / "run" if kept else None,
        )
    assert "stopped by SIGTERM; a call with an output_dir, which stays, goes on" in left.value.code


def test_a_handler_of_the_users_own_may_end_training_by_an_error(tmp_path):
    def preempted(*_):
        raise TimeoutError("the queue wants the machine back")

    before = signal.signal(signal.SIGTERM, preempted)
    run = toy_run(tmp_path, datasets={"train": Terminated(8)}, options={"max_epochs": 2})
    try:
        with pytest.raises(TimeoutError, match="the queue wants"):
            train(run)
        assert signal.getsignal(signal.SIGTERM) is preempted
    finally:
        signal.signal(signal.SIGTERM, before)


class Breaks(ToyMaps):
    """A data set with an error of its own."""

    def __getitem__(self, index):
        raise RuntimeError("it is broken")


def test_another_error_stays_itself(tmp_path):
    with pytest.raises(RuntimeError, match="it is broken"):
        train(toy_run(tmp_path, datasets={"train": Breaks(8)}, options={"max_epochs": 1}))


def test_a_full_disk_is_no_sigterm(tmp_path):
    with (
        pytest.raises(OSError, match="No space left"),
        heeding_interrupts(str(tmp_path), "go on"),
    ):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class Leaves(ToyMaps):
    """A data set that ends the program by itself."""

    def __getitem__(self, index):
        raise SystemExit(3)


def test_an_exit_that_is_not_ctrl_c_stays_one(tmp_path):
    with pytest.raises(SystemExit) as left:
        train(toy_run(tmp_path, datasets={"train": Leaves(8)}, options={"max_epochs": 1}))
    assert left.value.code == 3
