"""Training on a CPU keeps the memory that it frees, and gives it back at its end."""

from contextlib import contextmanager

import pytest
import torch
from lightning.pytorch.strategies import SingleDeviceStrategy
from toys import toy_run

from coteach.training import run as run_module
from coteach.training.run import train


@pytest.fixture
def told(monkeypatch):
    calls = []

    @contextmanager
    def kept(*, wanted):
        calls.extend(["keep"] * wanted)
        try:
            yield
        finally:
            calls.extend(["give"] * wanted)

    monkeypatch.setattr(run_module, "freed_memory_kept", kept)
    return calls


def test_a_run_keeps_it_from_beginning_to_end(tmp_path, told):
    train(toy_run(tmp_path))
    assert told == ["keep", "give"]


def test_it_is_given_back_after_an_error_too(tmp_path, told):
    def no_optimizer(parameters):
        raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        train(toy_run(tmp_path, make_optimizer=no_optimizer))
    assert told == ["keep", "give"]


def test_on_an_accelerator_nothing_is_done(tmp_path, told, monkeypatch):
    def of_a_gpu(*given, **named):
        trainer = make(*given, **named)
        monkeypatch.setattr(SingleDeviceStrategy, "root_device", torch.device("cuda:0"))
        monkeypatch.setattr(trainer, "fit", lambda *given, **named: None)
        return trainer

    make = run_module.make_trainer
    monkeypatch.setattr(run_module, "make_trainer", of_a_gpu)
    train(toy_run(tmp_path))
    assert told == []
