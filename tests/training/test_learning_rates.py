"""Schedules of the learning rate: what does not fit the run is found before it, or told in it; longer runs follow longer ones."""

import warnings
from collections import Counter
from dataclasses import replace
from functools import partial
from itertools import cycle
from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import pytest
import torch
from eight_images import IMAGES, LABELS, linear
from torch import nn
from torch.optim.lr_scheduler import (
    ChainedScheduler,
    CosineAnnealingLR,
    LambdaLR,
    LinearLR,
    LRScheduler,
    MultiplicativeLR,
    MultiStepLR,
    OneCycleLR,
    ReduceLROnPlateau,
    SequentialLR,
    StepLR,
)

from coteach import CoTeaching, Supervised, fit
from coteach.errors import ConfigError, CoteachWarning, OptionError, TrainingError
from coteach.methods.co_teaching import CoTeachingConfig
from coteach.training.checkpoints import without_numpy
from coteach.training.options import TrainerOptions
from coteach.training.schedules import advance_schedules, remark_on_rates


class Noting(torch.optim.SGD):
    """Notes rate and momentum of each step."""

    noted: ClassVar[list[tuple[float, float]]] = []

    def step(self, closure=None):
        group = self.param_groups[0]
        self.noted.append((float(group["lr"]), float(group["momentum"])))
        return super().step(closure)


def trained(schedule, folder, epochs=4, optimizer=None, **changes):
    given = {
        "method": Supervised(),
        "val": (IMAGES, LABELS),
        "epochs": epochs,
        "batch_size": 8,
        "device": "cpu",
        "optimizer": optimizer or partial(Noting, lr=0.01, momentum=0.9),
        "scheduler": schedule,
        "output_dir": folder / "run",
    }
    Noting.noted = []
    return fit(linear, (IMAGES, LABELS), **given | changes)


@pytest.mark.parametrize(
    ("schedule", "words"),
    [
        (
            partial(OneCycleLR, max_lr=0.1, total_steps=2),
            r"OneCycleLR cannot be stepped \(ValueError: Tried to step 3 times\..*",
        ),
        (
            partial(LambdaLR, lr_lambda=lambda epoch: [1, 0.5, 0.2][epoch]),
            r"LambdaLR cannot be stepped \(IndexError: list index.*",
        ),
    ],
)
def test_a_schedule_that_ends_before_the_run_is_refused_before_it(schedule, words, tmp_path):
    words = rf"scheduler: {words}\) after epoch 3 of 4; it is stepped 4 times, once after each epoch"
    with pytest.raises(ConfigError, match=words):
        trained(schedule, tmp_path)
    assert not (tmp_path / "run").exists()


def test_a_run_that_ends_before_its_epochs_needs_no_rates_for_them(tmp_path):
    schedule = partial(OneCycleLR, max_lr=0.1, total_steps=2)
    result = trained(schedule, tmp_path, 10, options=TrainerOptions(max_steps=2, log_images=0))
    assert len(result.history["train/loss_epoch"]) == 2


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


def test_a_run_too_short_to_be_validated_is_told(tmp_path):
    options = TrainerOptions(check_val_every_n_epoch=5, monitor="val/loss", log_images=0)
    with pytest.warns(
        CoteachWarning, match="check_val_every_n_epoch is 5, epochs are 2, so nothing is validated; lower"
    ):
        result = trained(partial(StepLR, step_size=1), tmp_path, 2, options=options)
    assert not result.history.get("val/loss")
    with pytest.raises(OptionError, match="keep: 'best' needs a validation, and there is none: check_val"):
        trained(partial(StepLR, step_size=1), tmp_path / "best", 2, options=options, keep="best")
    assert not (tmp_path / "best").exists()
    limited = replace(options, max_steps=100)
    with pytest.raises(OptionError, match="keep: 'best' needs a validation, and there is none: check_val"):
        trained(partial(StepLR, step_size=1), tmp_path / "best", 2, options=limited, keep="best")
    ended = replace(options, max_steps=1)
    with pytest.raises(OptionError, match="keep: 'best' needs a validation, and max_steps ended the run bef"):
        trained(partial(StepLR, step_size=1), tmp_path / "best", 9, options=ended, keep="best")
    trained(partial(StepLR, step_size=1), tmp_path / "lost", 5, options=options, keep="best")
    (tmp_path / "lost" / "run" / "checkpoints" / "best.ckpt").unlink()
    with pytest.raises(OptionError, match=r"keep: there is no best\.ckpt in .*lost.*; give keep='last'"):
        trained(partial(StepLR, step_size=1), tmp_path / "lost", 5, options=options, keep="best")


@pytest.mark.filterwarnings("ignore::coteach.errors.CoteachWarning")
def test_a_longer_run_that_was_validated_has_its_best(tmp_path):
    options = TrainerOptions(check_val_every_n_epoch=3, monitor="val/loss", log_images=0)
    first, again = (
        trained(partial(StepLR, step_size=1), tmp_path, epochs, options=options, keep="best")
        for epochs in (3, 2)
    )
    np.testing.assert_array_equal(first.predict(IMAGES), again.predict(IMAGES))


def test_a_plateau_counts_validations(tmp_path):
    """Those of every other epoch, of which none is good enough."""
    options = TrainerOptions(check_val_every_n_epoch=2, monitor="val/loss", log_images=0)
    plateau = partial(ReduceLROnPlateau, patience=0, threshold=1e9)
    trained(plateau, tmp_path, 6, options=options)
    assert [rate for rate, _ in Noting.noted] == pytest.approx([1e-2, 1e-2, 1e-3, 1e-3, 1e-4, 1e-4])


def test_a_rate_that_is_a_tensor_is_every_networks_own(tmp_path):
    """Schedules of torch set it in place."""
    method = CoTeaching(CoTeachingConfig(e_warm=1, p_start=1, p_end=1))

    def rates(rate):
        trained(
            partial(StepLR, step_size=1, gamma=0.5),
            tmp_path / str(type(rate)),
            3,
            partial(Noting, lr=rate),
            method=method,
        )
        return [rate for rate, _ in Noting.noted]

    rate = torch.tensor(0.01)
    for given in (rate, 0.01):
        assert rates(given) == pytest.approx([0.01, 0.01, 0.005, 0.005, 0.0025, 0.0025])
    assert rate == torch.tensor(0.01)


def test_both_schedules_are_spoken_of(tmp_path):
    method = CoTeaching(CoTeachingConfig(e_warm=9, p_start=1, p_end=1))
    with pytest.warns(CoteachWarning) as told:
        trained(partial(CosineAnnealingLR, T_max=2), tmp_path, method=method)
    said = "; ".join(str(one.message) for one in told)
    assert "T_max 2 is less than" in said
    assert "e_warm 9 is longer than" in said


@pytest.mark.parametrize(
    ("made", "number"),
    [
        (lambda length: partial(CosineAnnealingLR, T_max=length), "T_max was 3, is 6"),
        (lambda length: partial(OneCycleLR, max_lr=0.02, total_steps=length), "total_steps was 3, is 6"),
        (lambda length: partial(StepLR, step_size=length // 3), "step_size was 1, is 2"),
    ],
)
def test_a_longer_run_goes_on_at_the_rates_of_the_longer_schedule(made, number, tmp_path):
    """And not with those of the shorter one, which a cosine would rise again by."""
    trained(made(6), tmp_path / "whole", 6, val=None)
    expected = Noting.noted
    trained(made(3), tmp_path, 3, val=None)
    with pytest.warns(
        CoteachWarning, match=rf"scheduler: .*{number}; the rates from epoch 4 on are those of"
    ):
        trained(made(6), tmp_path, 6, val=None)
    assert Noting.noted == expected[3:]


def test_so_does_one_of_a_version_that_did_not_say_what_its_schedule_was(tmp_path):
    def made(length):
        return partial(CosineAnnealingLR, T_max=length)

    trained(made(6), tmp_path / "whole", 6, val=None)
    expected = Noting.noted
    trained(made(3), tmp_path, 3, val=None)
    kept = tmp_path / "run" / "checkpoints" / "last.ckpt"
    content = torch.load(kept, weights_only=True)
    del content["coteach"]["rates"]
    torch.save(content, kept)
    with pytest.warns(
        CoteachWarning, match=r"scheduler: the rate was 0, is 0\.005; the rates from epoch 4 on are"
    ):
        trained(made(6), tmp_path, 6, val=None)
    np.testing.assert_allclose(Noting.noted, expected[3:])


@pytest.mark.parametrize("schedule", [partial(ReduceLROnPlateau, patience=1), partial(StepLR, step_size=9)])
def test_its_own_schedule_goes_on_without_a_word(schedule, tmp_path):
    trained(schedule, tmp_path, 1)
    kept = tmp_path / "run" / "checkpoints" / "last.ckpt"
    content = torch.load(kept, weights_only=True)
    del content["coteach"]["rates"]
    torch.save(content, kept)
    with warnings.catch_warnings():
        warnings.simplefilter("error", CoteachWarning)
        trained(schedule, tmp_path, 2)
    assert Noting.noted == [(0.01, 0.9)]


class Falling:
    """Factors from 1 to 0, as an object."""

    def __init__(self, length):
        self.length = length

    def __call__(self, epoch):
        return max(0.0, 1 - epoch / self.length)


class Table(LRScheduler):
    """Factors of an array that it keeps."""

    def __init__(self, optimizer, length):
        self.factors = np.linspace(1, 0.1, length)
        super().__init__(optimizer)

    def get_lr(self):
        return [float((self.factors * base)[self.last_epoch]) for base in self.base_lrs]


@pytest.mark.parametrize(
    "made",
    [
        lambda length: partial(LambdaLR, lr_lambda=lambda epoch: max(0.0, 1 - epoch / length)),
        lambda length: partial(LambdaLR, lr_lambda=partial(Falling.__call__, Falling(length))),
        lambda length: partial(LambdaLR, lr_lambda=Falling(length)),
        lambda length: partial(MultiplicativeLR, lr_lambda=lambda epoch: 1 - 1 / (length + epoch)),
        lambda length: (
            lambda o: SequentialLR(
                o, [LinearLR(o, 0.5, 1, 1), LambdaLR(o, lambda epoch: max(0.0, 1 - epoch / length))], [1]
            )
        ),
        lambda length: lambda o: ChainedScheduler([StepLR(o, 1, 0.9), LambdaLR(o, Falling(length))]),
        lambda length: lambda o: ChainedScheduler([StepLR(o, 1, 0.9), StepLR(o, length // 3)]),
    ],
)
def test_factors_of_functions_are_those_of_the_longer_run_at_once(made, tmp_path):
    """No state tells them: the first epoch had the rate that the shorter run ended at."""
    trained(made(6), tmp_path / "whole", 6, val=None)
    expected = Noting.noted
    trained(made(3), tmp_path, 3, val=None)
    with pytest.warns(CoteachWarning, match=r"scheduler: .* was .*, is .*; the rates from epoch 4 on are"):
        trained(made(6), tmp_path, 6, val=None)
    assert [rate for rate, _ in Noting.noted] == pytest.approx([rate for rate, _ in expected[3:]])
    # as the same run, it goes on without a word
    trained(made(6), tmp_path, 7, val=None)
    assert len(Noting.noted) == 1


def test_an_array_of_a_schedule_is_one_again(tmp_path):
    trained(partial(Table, length=7), tmp_path, 2, val=None)
    trained(partial(Table, length=7), tmp_path, 4, val=None)
    assert [rate for rate, _ in Noting.noted] == pytest.approx([0.007, 0.0055])


class Counting(Noting):
    """Keeps a number of its own beside the rate, as optimizers that find their rate do."""

    def __init__(self, params, lr):
        super().__init__(params, lr=lr)
        for group in self.param_groups:
            group["steps"] = 0

    def step(self, closure=None):
        for group in self.param_groups:
            group["steps"] += 1
        Counting.last = self.param_groups[0]["steps"]
        return super().step(closure)


def test_what_an_optimizer_counts_is_not_set_back_with_its_rate(tmp_path):
    trained(partial(CosineAnnealingLR, T_max=3), tmp_path, 3, partial(Counting, lr=0.01), val=None)
    with pytest.warns(CoteachWarning, match="T_max was 3, is 6"):
        trained(partial(CosineAnnealingLR, T_max=6), tmp_path, 6, partial(Counting, lr=0.01), val=None)
    assert Counting.last == 6


def test_a_change_of_the_second_schedule_alone_is_followed(tmp_path):
    def schedules(*lengths):
        found = cycle(lengths)
        return lambda optimizer: CosineAnnealingLR(optimizer, next(found))

    method = partial(CoTeaching, CoTeachingConfig(e_warm=1, p_start=1, p_end=1))
    trained(schedules(6, 3), tmp_path, 3, method=method(), val=None)
    with pytest.warns(CoteachWarning, match="scheduler: T_max was 3, is 6"):
        trained(schedules(6, 6), tmp_path, 6, method=method(), val=None)
    rates = [rate for rate, _ in Noting.noted]
    assert rates[::2] == pytest.approx(rates[1::2])
    assert rates[0] == pytest.approx(0.005)


@pytest.mark.parametrize("schedule", [partial(ReduceLROnPlateau, patience=1), partial(StepLR, step_size=9)])
def test_entries_of_another_version_of_torch_change_nothing(schedule, tmp_path):
    trained(schedule, tmp_path, 1)
    kept = tmp_path / "run" / "checkpoints" / "last.ckpt"
    content = torch.load(kept, weights_only=True)
    content["coteach"]["rates"][0]["verbose"] = False
    torch.save(content, kept)
    with warnings.catch_warnings():
        warnings.simplefilter("error", CoteachWarning)
        trained(schedule, tmp_path, 2)
    assert Noting.noted == [(0.01, 0.9)]


class Before(LRScheduler):
    """Keeps the schedule that is to follow on it."""

    def __init__(self, optimizer, after):
        self.after = after
        super().__init__(optimizer)

    def get_lr(self):
        return self.base_lrs


def test_a_schedule_that_no_checkpoint_can_hold_is_refused_before_the_run(tmp_path):
    with pytest.raises(ConfigError, match=r"scheduler: Before keeps a StepLR \(after\), which no checkpoint"):
        trained(lambda o: Before(o, StepLR(o, 1)), tmp_path)
    assert not (tmp_path / "run").exists()


def test_an_optimizer_that_asks_for_the_loss_again_is_refused_before_the_run(tmp_path):
    with pytest.raises(OptionError, match="optimizer: LBFGS computes the loss several times a step"):
        trained(None, tmp_path, optimizer=torch.optim.LBFGS)
    assert not (tmp_path / "run").exists()


def test_options_that_rates_do_not_follow_from_make_another_run(tmp_path):
    trained(partial(ReduceLROnPlateau, patience=1), tmp_path, 1)
    assert len(trained(partial(ReduceLROnPlateau, patience=1), tmp_path, 2).history["train/loss_epoch"]) == 2
    with pytest.raises(
        TrainingError, match="ReduceLROnPlateau has other options than when the run began; choose"
    ):
        trained(partial(ReduceLROnPlateau, patience=3), tmp_path, 3)


@pytest.mark.parametrize(
    ("schedule", "message"),
    [
        (ReduceLROnPlateau, "scheduler: ReduceLROnPlateau looks at val/loss of a validation; give val"),
        (lambda optimizer: SimpleNamespace(step=print), "scheduler: gives a SimpleNamespace; let it return"),
    ],
)
def test_what_no_rate_comes_of_is_refused_before_the_run(schedule, message, tmp_path):
    with pytest.raises(OptionError, match=message):
        trained(schedule, tmp_path, val=None)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("optimizer", "schedule"),
    [
        (
            partial(Noting, lr=0.1, momentum=0.9),
            partial(LambdaLR, lr_lambda=lambda e: 0.5 * (1 + np.cos(np.pi * e / 4))),
        ),
        (partial(Noting, lr=np.float32(0.1), momentum=np.float64(0.9)), None),
        (
            partial(torch.optim.AdamW, betas=(np.float64(0.9), 0.999)),
            partial(StepLR, step_size=np.int64(1), gamma=np.float64(0.5)),
        ),
        (partial(Noting, lr=0.1), lambda o: MultiStepLR(o, list(np.array([1, 2])))),
    ],
)
def test_numbers_of_numpy_are_kept_as_those_of_python(optimizer, schedule, tmp_path):
    """No checkpoint that held one could be read, and the training would be lost at its end."""
    whole = trained(schedule, tmp_path / "whole", 4, optimizer)
    rates = Noting.noted
    trained(schedule, tmp_path, 2, optimizer)
    half = trained(schedule, tmp_path, 4, optimizer)
    assert Noting.noted == rates[2:]
    np.testing.assert_array_equal(whole.predict(IMAGES), half.predict(IMAGES))


def test_counters_stay_what_they_are():
    kept = without_numpy({"milestones": Counter({np.int64(2): 1}), "rates": [(np.float32(0.5), np.ones(2))]})
    assert kept == {"milestones": {2: 1}, "rates": [(0.5, [1.0, 1.0])]}
    assert type(kept["milestones"]) is Counter
    assert type(next(iter(kept["milestones"]))) is int


def test_one_that_counts_steps_ends_in_words():
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.1, momentum=0.9)
    schedule = OneCycleLR(optimizer, max_lr=0.1, total_steps=2)
    optimizer.step()
    for _ in range(2):
        advance_schedules([schedule], {}, "val/loss")
    with pytest.raises(
        TrainingError, match=r"scheduler: OneCycleLR cannot be stepped .*; make it as long as the run"
    ):
        advance_schedules([schedule], {}, "val/loss")
    assert remark_on_rates(StepLR(optimizer, 1), 3) == ""
