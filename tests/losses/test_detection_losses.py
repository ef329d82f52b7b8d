"""Losses of regions, against plain loops and torchvision's own."""

import math

import pytest
import torch
from torch import nn
from torchvision.models.detection.roi_heads import fastrcnn_loss

from coteach.losses.detection import (
    background_weights,
    box_regression,
    focal_classification,
    weighted_classification,
    zero_of,
)

GENERATOR = torch.Generator().manual_seed(0)
LOGITS = torch.randn(40, 4, generator=GENERATOR)
LABELS = torch.randint(0, 4, (40,), generator=GENERATOR)
BACKGROUND = torch.rand(40, generator=GENERATOR)


def cross_entropy(row):
    scores = LOGITS[row].tolist()
    return math.log(sum(math.exp(s) for s in scores)) - scores[int(LABELS[row])]


@pytest.mark.parametrize("scale", [1.0, 0.001])
def test_reliability_weighting_is_the_plain_loop(scale):
    total = weights = 0.0
    for row in range(40):
        weight = float(BACKGROUND[row]) if LABELS[row] == 0 else 1.0
        weight *= scale
        total += weight * cross_entropy(row)
        weights += weight
    assert (weights < 1) == (scale < 1)
    own = scale * background_weights(BACKGROUND, LABELS == 0)
    assert weighted_classification(LOGITS, LABELS, own).item() == pytest.approx(total / max(weights, 1))


def test_background_weights_carry_no_gradient():
    scores = BACKGROUND.clone().requires_grad_()
    assert not background_weights(scores, LABELS == 0).requires_grad


def test_weights_of_one_are_the_plain_mean():
    own = weighted_classification(LOGITS, LABELS, torch.ones(40))
    torch.testing.assert_close(own, nn.functional.cross_entropy(LOGITS, LABELS))


@pytest.mark.parametrize("gamma", [0.0, 1.5, 2.0])
def test_focal_is_the_plain_loop(gamma):
    expected = 0.0
    for row in range(40):
        loss = cross_entropy(row)
        expected += (1 - math.exp(-loss)) ** gamma * loss / 40
    assert focal_classification(LOGITS, LABELS, gamma).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.5])
def test_focal_gradient_is_finite_where_the_label_is_certain(gamma):
    logits = torch.tensor([[100.0, 0.0], [0.0, 100.0]], requires_grad=True)
    focal_classification(logits, torch.tensor([0, 1]), gamma).backward()
    assert logits.grad.isfinite().all()


def test_box_regression_is_torchvisions():
    deltas = torch.randn(40, 16, generator=torch.Generator().manual_seed(1), requires_grad=True)
    targets = torch.randn(40, 4, generator=torch.Generator().manual_seed(2))
    _, expected = fastrcnn_loss(LOGITS, deltas, [LABELS[:15], LABELS[15:]], [targets[:15], targets[15:]])
    torch.testing.assert_close(box_regression(deltas, LABELS, targets), expected)


def test_without_a_region_losses_are_zero_and_have_a_gradient():
    logits, deltas = torch.zeros(0, 4, requires_grad=True), torch.zeros(0, 16, requires_grad=True)
    labels = torch.zeros(0, dtype=torch.int64)
    loss = (
        focal_classification(logits, labels)
        + weighted_classification(logits, labels, torch.zeros(0))
        + box_regression(deltas, labels, torch.zeros(0, 4))
    )
    loss.backward()
    assert loss.item() == 0
    assert logits.grad is not None
    assert deltas.grad is not None


def test_zero_touches_every_weight_that_learns():
    network = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.Linear(3, 1))
    network[0].bias.requires_grad_(False)
    loss = zero_of(network)
    loss.backward()
    assert loss.item() == 0
    assert network[0].bias.grad is None
    assert all((p.grad == 0).all() for p in network.parameters() if p.requires_grad)
