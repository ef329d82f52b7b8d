"""Small-loss selection against a plain loop written from the equation, and its properties."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from coteach import select_small_loss
from coteach.errors import OptionError
from coteach.selection.ranking import tie_order


def loop_keep(losses, groups, eligible, forget_rate):
    """For each class: the losses of the k smallest eligible items, sorted."""
    kept = {}
    for c in set(groups):
        own = sorted(x for x, g, e in zip(losses, groups, eligible, strict=True) if g == c and e)
        k = max(1, math.floor((1 - forget_rate) * len(own) + 1e-6)) if own else 0
        kept[c] = own[:k]
    return kept


items = st.lists(
    st.tuples(st.floats(0, 50, width=32) | st.sampled_from([0.0, 1.0]), st.integers(0, 3), st.booleans()),
    min_size=1,
    max_size=120,
)


@given(items, st.floats(0, 0.99))
def test_each_class_keeps_its_smallest(rows, forget_rate):
    losses, groups, eligible = zip(*rows, strict=True)
    chosen = select_small_loss(
        torch.tensor(losses),
        forget_rate,
        group=torch.tensor(groups),
        num_groups=4,
        eligible=torch.tensor(eligible),
    )
    expected = loop_keep(torch.tensor(losses).tolist(), groups, eligible, forget_rate)
    for c, values in expected.items():
        mine = chosen.mask & (torch.tensor(groups) == c)
        assert sorted(torch.tensor(losses)[mine].tolist()) == values
    assert int(chosen.eligible) == sum(eligible)
    assert int(chosen.count) == sum(map(len, expected.values()))
    assert not (chosen.mask & ~torch.tensor(eligible)).any()


def test_seven_of_ten_in_spite_of_rounding():
    assert int(select_small_loss(torch.arange(10.0), 0.3).count) == 7  # (1 − 0.3)·10 is 6.999… in binary


def test_masked_items_of_loss_zero_do_not_crowd_out_the_rest():
    losses = torch.tensor([0.0, 0.0, 0.0, 0.5, 0.6, 0.7, 0.8])
    eligible = losses > 0  # what a curriculum left: others were multiplied to zero
    assert (
        select_small_loss(losses, 0.5, eligible=eligible).mask.tolist()
        == [False] * 3 + [True] * 2 + [False] * 2
    )


def test_permuting_distinct_losses_permutes_the_selection():
    generator = torch.Generator().manual_seed(0)
    losses, order = torch.rand(50, generator=generator), torch.randperm(50, generator=generator)
    group = torch.arange(50) % 3
    mask = select_small_loss(losses, 0.4, group=group, num_groups=3).mask
    permuted = select_small_loss(losses[order], 0.4, group=group[order], num_groups=3).mask
    assert torch.equal(permuted, mask[order])


def test_any_shape_and_the_group_by_sample():
    losses = torch.tensor([[[0.1, 0.9], [0.2, 0.8]]])
    chosen = select_small_loss(losses, 0.5)
    assert chosen.mask.tolist() == [[[True, False], [True, False]]]


def test_one_item_is_kept_and_nan_ranks_last():
    assert select_small_loss(torch.tensor([3.0]), 0.9).mask.tolist() == [True]
    assert select_small_loss(torch.tensor([float("nan"), 1.0, 2.0]), 0.4).mask.tolist() == [
        False,
        True,
        False,
    ]


def test_ties_spread_over_the_batch():
    mask = select_small_loss(torch.ones(4000), 0.5, seed=1, step=7).mask
    assert int(mask.sum()) == 2000
    assert abs(int(mask[:2000].sum()) - 1000) < 6 * 22.4


def test_tie_order_is_a_permutation_without_visible_order():
    order = tie_order(torch.arange(10_000), seed=3, step=5)
    assert len(order.unique()) == 10_000
    assert (order >= 0).all()
    rank = order.argsort().argsort().double()
    correlation = torch.corrcoef(torch.stack([rank, torch.arange(10_000.0).double()]))[0, 1]
    assert abs(correlation) < 0.05


@pytest.mark.parametrize("rate", [-0.1, 1.0, 1.5])
def test_forget_rate_outside_its_range(rate):
    with pytest.raises(OptionError, match="forget_rate"):
        select_small_loss(torch.ones(3), rate)


def test_groups_need_their_number():
    with pytest.raises(OptionError, match="num_groups"):
        select_small_loss(torch.ones(3), 0.1, group=torch.zeros(3, dtype=torch.int64))


def test_memory_order_does_not_matter():
    generator = torch.Generator().manual_seed(2)
    losses, group = (
        torch.rand(30, 20, generator=generator),
        torch.randint(0, 3, (30, 20), generator=generator),
    )
    eligible = torch.rand(30, 20, generator=generator) > 0.2
    straight = select_small_loss(losses, 0.4, group=group, num_groups=3, eligible=eligible)
    turned = [x.t().contiguous().t() for x in (losses, group, eligible)]
    assert not any(x.is_contiguous() for x in turned)
    other = select_small_loss(turned[0], 0.4, group=turned[1], num_groups=3, eligible=turned[2])
    assert torch.equal(straight.mask, other.mask)


def test_more_items_than_quantile_took():
    losses = torch.rand((1 << 24) + 3, generator=torch.Generator().manual_seed(0))
    chosen = select_small_loss(losses, 0.25)
    count = math.floor(0.75 * len(losses) + 1e-6)
    assert int(chosen.count) == int(chosen.mask.sum()) == count
    assert losses[chosen.mask].max() <= losses[~chosen.mask].min()


def test_nothing_to_choose_from():
    for shape in ((0,), (3, 0)):
        chosen = select_small_loss(torch.zeros(shape), 0.3)
        assert chosen.mask.shape == shape
        assert int(chosen.count) == 0
    masked = select_small_loss(torch.rand(4), 0.3, eligible=torch.zeros(4, dtype=torch.bool))
    assert int(masked.count) == int(masked.eligible) == 0
