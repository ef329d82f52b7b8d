"""The progress bar shows the loss that was looked at last."""

import csv

import pytest
from toys import toy_run

from coteach.training import trainer as trainer_module
from coteach.training.loss_bar import LossBar
from coteach.training.loss_guard import LossGuard
from coteach.training.run import train


def shown(folder, monkeypatch):
    """What the bar showed, and the losses of the steps."""
    seen = []

    class Bar(LossBar):
        def get_metrics(self, trainer, pl_module):
            found = super().get_metrics(trainer, pl_module)
            if "train/loss_step" in found and found["train/loss_step"] not in seen:
                seen.append(found["train/loss_step"])
            return found

    monkeypatch.setattr(trainer_module, "LossBar", Bar)
    train(toy_run(folder, progress=True, options={"log_every_n_steps": 1}))
    with next(folder.rglob("metrics.csv")).open() as file:
        logged = [float(row["train/loss_step"]) for row in csv.DictReader(file) if row.get("train/loss_step")]
    return seen, logged


def test_on_a_cpu_that_is_each(tmp_path, monkeypatch):
    seen, logged = shown(tmp_path, monkeypatch)
    assert len(logged) == 6
    assert seen == pytest.approx(logged, rel=1e-6)


def test_where_several_are_looked_at_together_it_is_the_last_of_them(tmp_path, monkeypatch):
    init = LossGuard.__init__

    def of_two(self, file):
        init(self, file)
        self.every = 2

    monkeypatch.setattr(LossGuard, "__init__", of_two)
    seen, logged = shown(tmp_path, monkeypatch)
    assert seen == pytest.approx([logged[i] for i in (1, 2, 4, 5)], rel=1e-6)  # and of each epoch the last
