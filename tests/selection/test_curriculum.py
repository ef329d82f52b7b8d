"""Curriculum: retention counts whatever the ties, against the equations and plain loops."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from coteach import CurriculumScheduler
from coteach.errors import OptionError
from coteach.selection.curriculum import retain_most_confident


def test_retention_rate_of_the_paper():
    scheduler = CurriculumScheduler(e_warm=20, p_start=0.5, p_end=0.95)
    assert scheduler.retention_rate(0) == 0.5
    assert scheduler.retention_rate(10) == pytest.approx(0.725)
    assert scheduler.retention_rate(20) == scheduler.retention_rate(500) == 0.95


def test_forget_rate_rises_from_zero_to_three_tenths():
    scheduler = CurriculumScheduler(e_warm=20)
    assert [scheduler.forget_rate(e) for e in (0, 10, 20, 99)] == pytest.approx([0, 0.15, 0.3, 0.3])


def test_no_warm_up_means_the_end_at_once():
    scheduler = CurriculumScheduler(e_warm=0)
    assert scheduler.retention_rate(0) == 0.95
    assert scheduler.forget_rate(0) == 0.3


@given(
    st.lists(
        st.sampled_from([0.0, 0.25, 0.5, 0.5, 1.0]) | st.floats(0, 1, width=32), min_size=1, max_size=200
    ),
    st.floats(0, 1),
    st.integers(0, 5),
)
def test_retention_is_within_one_item_and_takes_the_best(values, share, step):
    confidence = torch.tensor(values)
    chosen = retain_most_confident(confidence, share, step=step)
    positive = [v for v in confidence.tolist() if v > 0]
    assert int(chosen.eligible) == len(positive)
    assert int(chosen.count) == int(chosen.mask.sum())
    assert abs(int(chosen.count) - share * len(positive)) <= 1
    kept = sorted(confidence[chosen.mask].tolist(), reverse=True)
    assert kept == sorted(positive, reverse=True)[: len(kept)]


def test_equal_confidences_keep_their_share():
    # A strict threshold at the percentile keeps nothing here.
    mask = CurriculumScheduler().curriculum_mask(torch.full((2, 1, 16, 16), 0.7), epoch=10)
    assert mask.shape == (2, 1, 16, 16)
    assert mask.dtype == torch.float32
    assert abs(mask.sum().item() - 0.725 * 512) <= 1


def test_ties_are_broken_without_bias_and_reproducibly():
    confidence = torch.ones(4000)
    first = retain_most_confident(confidence, 0.5, step=1).mask
    assert torch.equal(first, retain_most_confident(confidence, 0.5, step=1).mask)
    assert not torch.equal(first, retain_most_confident(confidence, 0.5, step=2).mask)
    # Binomial(2000, 1/2) lies within 6 standard deviations of 1000.
    assert abs(int(first[:2000].sum()) - 1000) < 6 * 22.4


def test_invalid_and_zero_confidence_items_are_neither_counted_nor_kept():
    confidence = torch.tensor([0.9, 0.8, 0.0, 0.7, 0.6])
    chosen = retain_most_confident(confidence, 0.5, valid=torch.tensor([False, True, True, True, True]))
    assert chosen.mask.tolist() == [False, True, False, True, False]  # 1.5 of three, rounded up
    assert int(retain_most_confident(torch.zeros(3), 1.0).count) == 0


@pytest.mark.parametrize("bad", [{"p_start": 1.2}, {"p_end": -0.1}, {"forget_end": 1.0}, {"e_warm": -1}])
def test_rates_that_are_no_shares_are_refused(bad):
    with pytest.raises(OptionError, match=r"outside|negative"):
        CurriculumScheduler(**bad)
