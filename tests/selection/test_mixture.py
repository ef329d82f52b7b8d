"""The two-component mixture against expectation maximisation by loops and against data of known origin."""

import math

import pytest
import torch

from coteach.errors import OptionError
from coteach.selection.mixture import clean_probability, select_by_mixture


def plain_em(values):
    """DivideMix's fit by loops: 10 iterations, tolerance 1e-2 on the mean log-likelihood, 5e-4 on the variances."""
    low, high = sorted(values)[1], sorted(values)[-2]  # all but one at each end
    x = [min(1, max(0, (v - low) / (high - low))) for v in values]
    share = [[float(v <= 0.5), float(v > 0.5)] for v in x]
    before = -math.inf
    for _ in range(10):
        parameters = []
        for k in (0, 1):
            mass = sum(s[k] for s in share)
            mean = sum(s[k] * v for s, v in zip(share, x, strict=True)) / mass
            variance = sum(s[k] * (v - mean) ** 2 for s, v in zip(share, x, strict=True)) / mass + 5e-4
            parameters.append((mass / len(x), mean, variance))
        total = 0.0
        for i, v in enumerate(x):
            density = [
                w * math.exp(-((v - m) ** 2) / (2 * s)) / math.sqrt(2 * math.pi * s) for w, m, s in parameters
            ]
            share[i] = [d / sum(density) for d in density]
            total += math.log(sum(density))
        if total / len(x) - before < 1e-2:
            break
        before = total / len(x)
    clean = 0 if parameters[0][1] < parameters[1][1] else 1
    return [s[clean] for s in share]


@pytest.fixture
def losses():
    generator = torch.Generator().manual_seed(4)
    right = 0.3 + 0.15 * torch.randn(300, generator=generator).abs()
    wrong = 2.0 + 0.6 * torch.randn(200, generator=generator)
    return torch.cat([right, wrong]).double()


def test_equals_the_loops(losses):
    got = clean_probability(losses)
    torch.testing.assert_close(
        got, torch.tensor(plain_em(losses.tolist()), dtype=torch.float64), rtol=0, atol=1e-9
    )


def test_right_and_wrong_labels_are_told_apart(losses):
    clean = clean_probability(losses) > 0.5
    assert clean[:300].float().mean() > 0.95
    assert clean[300:].float().mean() < 0.05


@pytest.mark.parametrize("size", [40, 500, 2000])
@pytest.mark.parametrize("enormous", [1e6, math.inf])
def test_one_enormous_loss_changes_nothing(losses, size, enormous):
    many = torch.cat([losses] * 4)[
        torch.arange(2000).view(4, 500).T.flatten()
    ]  # right and wrong ones in turn
    many = torch.cat([many[: size // 2], many[-(size // 2) :]])
    outlier = many.clone()
    outlier[-1] = enormous
    assert ((clean_probability(many) > 0.5) == (clean_probability(outlier) > 0.5)).all()


def test_many_infinite_losses_are_wrong_labels(losses):
    infinite = losses.clone()
    infinite[450:] = math.inf
    got = clean_probability(infinite)
    assert (got[:300] > 0.5).float().mean() > 0.95
    assert got[450:].max() < 0.05


def test_invalid_items_take_no_part(losses):
    extended = torch.cat([losses, torch.tensor([500.0, math.nan], dtype=torch.float64)])
    valid = torch.ones(502, dtype=torch.bool)
    valid[500] = False
    got = clean_probability(extended, valid)
    torch.testing.assert_close(got[:500], clean_probability(losses))
    assert got[500:].tolist() == [0, 0]


def test_equal_losses_tell_nothing():
    assert clean_probability(torch.full((2, 3), 0.7)).tolist() == [[1.0] * 3] * 2


def test_a_rare_class_keeps_its_minimum(losses):
    group = torch.zeros(500, dtype=torch.int64)
    group[300:] = 1  # this class has large losses only
    clean = clean_probability(losses)
    without = select_by_mixture(losses, clean, group=group, num_groups=2)
    assert int(without.mask[300:].sum()) < 10
    with_minimum = select_by_mixture(losses, clean, group=group, num_groups=2, minimum_share=0.25)
    kept = losses[300:][with_minimum.mask[300:]]
    assert len(kept) == 50
    assert kept.max() <= losses[300:].sort().values[49]
    assert int(with_minimum.count) == int(with_minimum.mask.sum())


def test_shares_are_checked(losses):
    for bad in ({"threshold": 1.0}, {"minimum_share": -0.1}, {"group": torch.zeros(500, dtype=torch.int64)}):
        with pytest.raises(OptionError, match=r"threshold|minimum_share|num_groups"):
            select_by_mixture(losses, clean_probability(losses), **bad)
