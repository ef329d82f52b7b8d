"""Schedules of the learning rate that are shorter than the run are found before it, or told in it."""

from functools import partial

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim.lr_scheduler import CosineAnnealingLR, LambdaLR, OneCycleLR, ReduceLROnPlateau, StepLR

from coteach import Supervised, fit
from coteach.errors import ConfigError, CoteachWarning, TrainingError
from coteach.training.schedules import advance_schedules, remark_on_rates

IMAGES, LABELS = np.random.default_rng(0).random((8, 4, 4), np.float32), np.arange(8) % 2


def trained(schedule, tmp_path, epochs=4):
    return fit(
        lambda: nn.Sequential(nn.Flatten(), nn.Linear(16, 2)),
        (IMAGES, LABELS),
        method=Supervised(),
        val=(IMAGES, LABELS),
        epochs=epochs,
        batch_size=4,
        optimizer=partial(torch.optim.SGD, lr=0.1, momentum=0.9),
        scheduler=schedule,
        output_dir=tmp_path / "run",
        device="cpu",
    )


@pytest.mark.parametrize(
    ("schedule", "words"),
    [
        (
            partial(OneCycleLR, max_lr=0.1, total_steps=2),
            r"OneCycleLR is at its end \(Tried to step 3 times\..*",
        ),
        (
            partial(LambdaLR, lr_lambda=lambda epoch: [1, 0.5, 0.2][epoch]),
            r"LambdaLR is at its end \(list index.*",
        ),
    ],
)
def test_a_schedule_that_ends_before_the_run_is_refused_before_it(schedule, words, tmp_path):
    with pytest.raises(
        ConfigError, match=rf"scheduler: {words}\): after 2 of 4 epochs; make it 4 epochs long"
    ):
        trained(schedule, tmp_path)
    assert not (tmp_path / "run").exists()


def test_a_cosine_that_rises_again_is_told(tmp_path):
    with pytest.warns(CoteachWarning, match="T_max 2 is less than the 4 epochs, so the rate rises again"):
        trained(partial(CosineAnnealingLR, T_max=2), tmp_path)


@pytest.mark.parametrize(
    "schedule",
    [
        partial(OneCycleLR, max_lr=0.1, total_steps=4),
        partial(CosineAnnealingLR, T_max=4),
        partial(StepLR, step_size=1),
        ReduceLROnPlateau,
    ],
)
def test_one_that_is_long_enough_is_not(schedule, tmp_path):
    assert len(trained(schedule, tmp_path).history["train/loss_epoch"]) == 4


def test_one_that_counts_steps_ends_in_words():
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.1, momentum=0.9)
    schedule = OneCycleLR(optimizer, max_lr=0.1, total_steps=2)
    optimizer.step()
    for _ in range(2):
        advance_schedules([schedule], {}, "val/loss")
    with pytest.raises(
        TrainingError, match=r"scheduler: OneCycleLR is at its end .*; make it as long as the run"
    ):
        advance_schedules([schedule], {}, "val/loss")
    assert remark_on_rates(StepLR(optimizer, 1), 3) == ""
