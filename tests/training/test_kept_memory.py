"""Training on a CPU keeps the memory that it frees, and gives it back at its end."""

import lightning as L
import pytest
import torch
from toys import toy_run

from coteach.training import kept_memory
from coteach.training.kept_memory import KeepMemory
from coteach.training.run import train


@pytest.fixture
def told(monkeypatch):
    calls = []
    for name in ("keep_freed_memory", "give_back_freed_memory"):
        monkeypatch.setattr(kept_memory, name, lambda name=name: calls.append(name.split("_")[0]))
    return calls


def test_a_run_keeps_it_from_beginning_to_end(tmp_path, told):
    train(toy_run(tmp_path))
    assert told == ["keep", "give"]


def test_it_is_given_back_after_an_error_too(told):
    callback, trainer = KeepMemory(), L.Trainer(accelerator="cpu", logger=False, enable_checkpointing=False)
    callback.setup(trainer, L.LightningModule(), "fit")
    callback.on_exception(trainer, L.LightningModule(), ValueError())
    callback.teardown(trainer, L.LightningModule(), "fit")
    assert told == ["keep", "give"]


def test_on_an_accelerator_nothing_is_done(told, monkeypatch):
    trainer = L.Trainer(accelerator="cpu", logger=False, enable_checkpointing=False)
    monkeypatch.setattr(type(trainer.strategy), "root_device", torch.device("cuda:0"))
    callback = KeepMemory()
    callback.setup(trainer, L.LightningModule(), "fit")
    callback.teardown(trainer, L.LightningModule(), "fit")
    assert told == []
