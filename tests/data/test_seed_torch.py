"""Seeding at every step: the numbers of `torch.manual_seed`, on the devices that are in use, at no cost for the others."""

import traceback

import pytest
import torch

from coteach.data.keyed import seed_torch


@pytest.mark.parametrize("seed", [0, 3, 2**63 - 1])
def test_the_numbers_are_those_of_manual_seed(seed):
    torch.manual_seed(seed)
    wanted = torch.rand(5)
    torch.rand(1)
    seed_torch(seed)
    assert torch.equal(torch.rand(5), wanted)


def test_accelerators_in_use_are_seeded(monkeypatch):
    seeds = []
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "manual_seed_all", seeds.append)
    seed_torch(7)
    assert seeds == [7]


def test_those_never_started_are_left_alone(monkeypatch):
    def asked(*_):
        pytest.fail("a backend that was never started was asked to remember a seed")

    monkeypatch.setattr(traceback, "format_stack", asked)  # what a remembered seed comes with
    seed_torch(7)
