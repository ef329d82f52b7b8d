"""Agreement and disagreement of two networks (Co-teaching+, JoCoR)."""

import torch

from coteach import select_small_loss
from coteach.selection.agreement import restrict_to

A, B = torch.tensor([0, 1, 2, 0, 1]), torch.tensor([0, 2, 2, 1, 0])


def test_each_way():
    assert restrict_to("agree", A, B).tolist() == [True, False, True, False, False]
    assert restrict_to("disagree", A, B).tolist() == [False, True, False, True, True]


def test_only_among_the_eligible():
    eligible = torch.tensor([True, True, False, False, True])
    assert restrict_to("disagree", A, B, eligible).tolist() == [False, True, False, False, True]


def test_all_are_candidates_where_the_networks_say_the_same():
    eligible = torch.tensor([True, False, True, True, True])
    assert torch.equal(restrict_to("disagree", A, A, eligible), eligible)


def test_small_losses_are_chosen_within_it():
    # Co-teaching+ by hand: of the disagreed items 1, 3, 4 the half (rounded down) with the smallest loss: item 3.
    losses = torch.tensor([0.0, 0.9, 0.1, 0.2, 0.5])
    chosen = select_small_loss(losses, 0.5, eligible=restrict_to("disagree", A, B))
    assert chosen.mask.tolist() == [False, False, False, True, False]
