"""Means over an epoch: by a plain loop, in whatever company figures come, over processes and checkpoints."""

import pytest
import torch

from coteach.training.epoch_means import EpochMeans
from coteach.types import Share

BATCHES = [
    ({"loss": torch.tensor(1.1), "rate": 0.3, "found": Share(1, 2)}, 3),
    ({"loss": torch.tensor(0.7), "rate": 0.4, "found": Share(0, 0)}, 2),
    ({"loss": torch.tensor(0.3), "other": torch.tensor(5.0)}, 1),
    ({"other": torch.tensor(2.0), "loss": torch.tensor(0.9), "rate": 0.1}, torch.tensor(4)),
]
EXPECTED = {
    "loss": (1.1 * 3 + 0.7 * 2 + 0.3 + 0.9 * 4) / 10,
    "rate": (0.3 * 3 + 0.4 * 2 + 0.1 * 4) / 9,
    "found": 0.5,
    "other": (5.0 + 2.0 * 4) / 5,
}


def alone(value):
    return value


def added(batches, means=None):
    means = means or EpochMeans()
    for figures, weight in batches:
        means.add(figures, weight)
    return means


def test_a_plain_loop_gives_the_same():
    result = added(BATCHES).result(alone)
    assert {name: value.item() for name, value in result.items()} == pytest.approx(EXPECTED)


@pytest.mark.parametrize("stop", range(5))
def test_a_checkpoint_anywhere_changes_not_a_bit(stop):
    before, after = added(BATCHES[:stop]), EpochMeans()
    after.restart(before.sums(alone))
    whole, parts = added(BATCHES).result(alone), added(BATCHES[stop:], after).result(alone)
    assert parts == whole


def test_looking_at_the_sums_of_several_processes_leaves_ones_own():
    """Sums over processes are made in place; a checkpoint within an epoch takes them, and the epoch goes on."""
    means = added(BATCHES[:2])
    doubled = means.sums(lambda value: value.mul_(2))
    assert doubled["found"].tolist() == [2, 4]
    assert added(BATCHES[2:], means).result(alone) == added(BATCHES).result(alone)


def test_processes_add_up_the_same_figures_whatever_they_met():
    """One goes on from a checkpoint, the other with nothing but its names."""
    kept = added(BATCHES).sums(alone)
    first, second = EpochMeans(), EpochMeans()
    first.restart(kept)
    second.restart({name: torch.zeros_like(pair) for name, pair in kept.items()})
    added(BATCHES[3:], second)
    shapes = []
    for means in (first, second):
        means.sums(lambda value: shapes.append(value.shape) or value)
    assert shapes == [(4, 2), (4, 2)]
    assert list(first.sums(alone)) == list(second.sums(alone))
