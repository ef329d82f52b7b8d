"""Terms of JoCoR, ELR, mixup and MixMatch by hand and by loops."""

import math

import pytest
import torch
from torch.nn import functional as F

from coteach.losses.agreement import symmetric_divergence
from coteach.losses.early_learning import early_learning, remembered
from coteach.losses.mixmatch import confidence, prior_penalty, refined, sharpened, squared_error
from coteach.losses.mixup import draw_mixing


def scores(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_divergence_is_both_of_torch():
    a, b = scores(3, 4, 2, 5), scores(3, 4, 2, 5, seed=1)
    log_a, log_b = a.log_softmax(1), b.log_softmax(1)
    expected = (
        F.kl_div(log_b, log_a, log_target=True, reduction="none")
        + F.kl_div(log_a, log_b, log_target=True, reduction="none")
    ).sum(1)
    torch.testing.assert_close(symmetric_divergence(a, b), expected)
    assert (symmetric_divergence(a, a) == 0).all()


def test_memory_by_loops():
    before, probs = scores(3, 2).softmax(1), scores(3, 2, seed=1).softmax(1)
    expected = [
        [0.7 * t + 0.3 * p / sum(row) for t, p in zip(old, row, strict=True)]
        for old, row in zip(before.tolist(), probs.tolist(), strict=True)
    ]
    torch.testing.assert_close(remembered(before, probs, 0.7), torch.tensor(expected))
    certain = remembered(torch.zeros(1, 2), torch.tensor([[1.0, 0.0]]), 0.0)
    # clamped to 0.9999 and 0.0001, which sum up to 1
    assert certain.tolist()[0] == pytest.approx([0.9999, 0.0001], abs=1e-6)


def test_early_learning_by_hand_and_its_gradient():
    logits = torch.tensor([[math.log(3.0), 0.0]], requires_grad=True)  # p = 3/4, 1/4
    memory = torch.tensor([[0.8, 0.2]])
    value = early_learning(logits, memory)
    assert value.item() == pytest.approx(math.log(1 - (0.6 + 0.05)))
    value.sum().backward()
    assert logits.grad[0, 0] < 0 < logits.grad[0, 1]  # going down it, the remembered class gains


@pytest.mark.parametrize("temperature", [0.3, 0.5, 1.0, 2.0])
def test_sharpening_by_loops(temperature):
    probs = torch.tensor([[0.7, 0.2, 0.1], [1.0, 0.0, 0.0]])
    for row, got in zip(probs.tolist(), sharpened(probs, temperature).tolist(), strict=True):
        powers = [p ** (1 / temperature) for p in row]
        assert got == pytest.approx([p / sum(powers) for p in powers], abs=1e-6)


def test_refined_labels_by_hand():
    label, guess = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.25, 0.75]])
    assert refined(label, guess, torch.tensor([1.0]), 0.5).tolist() == [[1.0, 0.0]]
    got = refined(label, guess, torch.tensor([1 / 3]), 0.5)  # mixed: 1/2, 1/2
    assert got.tolist()[0] == pytest.approx([0.5, 0.5])
    assert refined(label, guess, torch.tensor([0.0]), 1.0).tolist()[0] == pytest.approx([0.25, 0.75])


def test_terms_of_mixmatch_by_loops():
    logits, target = scores(4, 3), scores(4, 3, seed=2).softmax(1)
    probs = logits.softmax(1).tolist()
    for i, row in enumerate(squared_error(logits, target).tolist()):
        assert row == pytest.approx(sum((probs[i][c] - target[i, c].item()) ** 2 for c in range(3)) / 3)
    mean = [sum(p[c] for p in probs) / 4 for c in range(3)]
    assert prior_penalty(logits).item() == pytest.approx(sum(math.log(1 / 3 / m) / 3 for m in mean))
    for i, row in enumerate(confidence(logits).tolist()):
        assert row == pytest.approx(sum(p * math.log(p) for p in probs[i]))


def test_mixing_pairs_all_and_none_with_itself():
    items = torch.arange(100, 150)
    mixing = draw_mixing(items, 4.0, seed=1, step=2)
    assert sorted(mixing.partner.tolist()) == list(range(50))
    assert (mixing.partner != torch.arange(50)).all()
    assert 0.5 <= mixing.share <= 1
    values = scores(50, 3)
    expected = [
        [mixing.share * values[i, k] + (1 - mixing.share) * values[mixing.partner[i], k] for k in range(3)]
        for i in range(50)
    ]
    torch.testing.assert_close(mixing.of(values), torch.tensor(expected))


def test_pairs_depend_on_the_items_not_on_their_order():
    items, order = torch.arange(20), torch.randperm(20, generator=torch.Generator().manual_seed(3))
    one = draw_mixing(items, 1.0, seed=1, step=2)
    two = draw_mixing(items[order], 1.0, seed=1, step=2)
    assert one.share == two.share
    assert torch.equal(one.partner[order], order[two.partner])


def test_mixing_differs_by_step_seed_and_stream_and_alpha_0_mixes_nothing():
    items = torch.arange(20)
    shares = {
        draw_mixing(items, 1.0, seed=seed, step=step, stream=stream).share
        for seed, step, stream in ((1, 2, ""), (1, 3, ""), (2, 2, ""), (1, 2, "b"))
    }
    assert len(shares) == 4
    values = scores(20, 2)
    assert torch.equal(draw_mixing(items, 0, seed=1, step=2).of(values), values)


def test_shares_follow_the_beta_distribution():
    """For alpha 1 the share is uniform on [0.5, 1]: mean 0.75, standard error 0.0046 of 1000 draws."""
    items = torch.arange(2)
    shares = [draw_mixing(items, 1.0, seed=0, step=step).share for step in range(1000)]
    assert sum(shares) / 1000 == pytest.approx(0.75, abs=0.02)
