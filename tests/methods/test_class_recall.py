from __future__ import annotations

import math

import torch

from coteach.methods.class_recall import MeanClassRecall


def test_a_hand_worked_case_over_two_batches():
    metric = MeanClassRecall(4, ignore_index=-1)
    metric.update(torch.tensor([0, 1, 2, 3]), torch.tensor([0, 0, 0, -1]))
    metric.update(torch.tensor([2, 0]), torch.tensor([2, 2]))
    # class 0: 1 of 3, class 2: 1 of 2; class 1 is predicted but does not occur; class 3 nowhere
    assert metric.compute().item() == torch.tensor((1 / 3 + 1 / 2) / 2).item()
    assert metric.higher_is_better


def test_nothing_counted_is_no_number():
    metric = MeanClassRecall(2, ignore_index=-1)
    metric.update(torch.tensor([0, 1]), torch.tensor([-1, -1]))
    assert math.isnan(metric.compute())
