"""Soft Dice against a plain loop, and its properties."""

import math

import pytest
import torch

from coteach.errors import InputError
from coteach.losses.soft_dice import soft_dice


def example(hard=False, seed=0):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(2, 3, 4, 5, generator=generator)
    probs = torch.randn(2, 3, 4, 5, generator=generator).softmax(1)
    if hard:
        probs = torch.nn.functional.one_hot(probs.argmax(1), 3).movedim(-1, 1).float()
    mask = torch.rand(2, 4, 5, generator=generator) > 0.3
    return logits, probs, mask, torch.rand(2, 4, 5, generator=generator)


def looped(logits, probs, mask, weight):
    """The formula, one number at a time."""
    scores = []
    for c in range(3):
        overlap = predicted = label = 0.0
        for b in range(2):
            for y in range(4):
                for x in range(5):
                    if not mask[b, y, x]:
                        continue
                    w = weight[b, y, x].item()
                    z = logits[b, :, y, x].tolist()
                    p = math.exp(z[c]) / sum(math.exp(value) for value in z)
                    q = probs[b, c, y, x].item()
                    overlap += w * (p + q - abs(p - q))
                    predicted += w * p
                    label += w * q
        if label > 0:
            scores.append(overlap / (predicted + label))
    return 1 - sum(scores) / len(scores)


@pytest.mark.parametrize("hard", [False, True])
def test_it_is_the_formula(hard):
    logits, probs, mask, weight = example(hard)
    assert soft_dice(logits, probs, mask, weight).item() == pytest.approx(
        looped(logits, probs, mask, weight), rel=1e-5
    )


def test_by_hand():
    # two items, two classes; p = (3/4, 1/4) and (1/2, 1/2), labels class 0 and class 1
    logits = torch.tensor([[math.log(3), 0.0], [0.0, 0.0]])
    labels = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    # class 0: 2·0.75 / (1.25 + 1); class 1: 2·0.5 / (0.75 + 1)
    expected = 1 - (1.5 / 2.25 + 1 / 1.75) / 2
    assert soft_dice(logits, labels, torch.tensor([True, True])).item() == pytest.approx(expected)


def test_it_is_smallest_where_the_prediction_equals_a_soft_label():
    probs = torch.tensor([[0.6, 0.4], [0.3, 0.7]])
    mask = torch.ones(2, dtype=torch.bool)
    assert soft_dice(probs.log(), probs, mask).item() == pytest.approx(0, abs=1e-6)
    for other in ([[0.9, 0.1], [0.1, 0.9]], [[0.5, 0.5], [0.3, 0.7]]):
        assert soft_dice(torch.tensor(other).log(), probs, mask).item() > 0.01


def test_a_class_that_no_label_holds_is_left_out():
    logits = torch.randn(4, 3)
    two = torch.tensor([[1.0, 0, 0], [0, 1.0, 0], [1.0, 0, 0], [0, 1.0, 0]])
    p = logits.softmax(1)
    by_class = [
        2 * sum(min(p[i, c].item(), two[i, c].item()) for i in range(4)) / (p[:, c].sum() + 2).item()
        for c in range(2)
    ]
    found = soft_dice(logits, two, torch.ones(4, dtype=torch.bool)).item()
    assert found == pytest.approx(1 - sum(by_class) / 2, rel=1e-5)


def test_nothing_to_learn_from_is_zero_with_a_zero_gradient():
    logits = torch.randn(2, 3, requires_grad=True)
    loss = soft_dice(logits, torch.full((2, 3), float("nan")), torch.zeros(2, dtype=torch.bool))
    loss.backward()
    assert loss.item() == 0
    assert torch.equal(logits.grad, torch.zeros(2, 3))


def test_items_left_out_get_no_gradient_and_training_lowers_it():
    logits, probs, mask, weight = example()
    logits = logits.requires_grad_()
    loss = soft_dice(logits, probs, mask, weight)
    loss.backward()
    assert (logits.grad.movedim(1, -1)[~mask] == 0).all()
    assert (logits.grad.movedim(1, -1)[mask] != 0).any()
    with torch.no_grad():
        assert soft_dice(logits - 0.5 * logits.grad, probs, mask, weight) < loss


def test_other_shapes_are_refused(unchecked):
    with pytest.raises(InputError, match="shape"):
        soft_dice(torch.zeros(2, 3), torch.zeros(2, 4), torch.zeros(2, dtype=torch.bool))
