"""Retention against the distribution of the whole set."""

import pytest
import torch

from coteach.errors import OptionError
from coteach.selection.curriculum import retain_most_confident
from coteach.selection.running import RunningConfidence


def test_the_first_batch_is_all_that_is_known():
    confidence = torch.rand(4000, generator=torch.Generator().manual_seed(0))
    chosen = RunningConfidence().admit(confidence, 0.6)
    assert int(chosen.count) == int(chosen.mask.sum())
    assert (
        abs(int(chosen.count) - 2400) <= 10
    )  # but for the draw in the bin of the threshold, of about 4 items
    exact = retain_most_confident(confidence, 0.6).mask
    assert (chosen.mask != exact).sum() <= 10


def test_the_share_holds_over_the_set_and_differs_between_batches():
    generator = torch.Generator().manual_seed(1)
    running = RunningConfidence(momentum=0.9)
    clear = [0.5 + 0.5 * torch.rand(1000, generator=generator) for _ in range(60)]
    cloudy = [0.5 * torch.rand(1000, generator=generator) for _ in range(60)]
    kept = {"clear": 0, "cloudy": 0}
    for step, batches in enumerate(zip(clear, cloudy, strict=True)):
        for name, batch in zip(kept, batches, strict=True):
            chosen = running.admit(batch, 0.5, step=step)
            if step >= 30:
                kept[name] += int(chosen.count)
    assert kept["clear"] / 30_000 > 0.9  # nearly all of the upper half of the set
    assert kept["cloudy"] / 30_000 < 0.1
    assert abs(sum(kept.values()) / 60_000 - 0.5) < 0.03


def test_ties_at_the_threshold_are_drawn_in_the_right_part():
    confidence = torch.full((100, 100), 0.7)
    chosen = RunningConfidence().admit(confidence, 0.3, seed=2)
    assert abs(int(chosen.count) - 3000) < 6 * 46  # binomial, six standard deviations
    assert abs(int(chosen.mask[:50].sum()) - 1500) < 6 * 33


def test_zero_and_invalid_items_are_neither_counted_nor_kept():
    confidence = torch.tensor([0.0, 0.2, 0.4, 0.6, 0.8])
    valid = torch.tensor([True, True, True, True, False])
    running = RunningConfidence()
    chosen = running.admit(confidence, 1.0, valid=valid)
    assert chosen.mask.tolist() == [False, True, True, True, False]
    assert running.histogram.count_nonzero() == 3
    before = running.histogram.clone()
    assert int(running.admit(torch.zeros(3), 1.0).count) == 0
    assert torch.equal(running.histogram, before)  # a batch without confidence teaches nothing


def test_it_is_part_of_a_checkpoint():
    first, second = RunningConfidence(), RunningConfidence()
    first.admit(torch.rand(50), 0.5)
    second.load_state_dict(first.state_dict())
    assert torch.equal(first.histogram, second.histogram)


def test_bad_shares():
    with pytest.raises(OptionError, match="momentum"):
        RunningConfidence(momentum=1.0)
    with pytest.raises(OptionError, match="share"):
        RunningConfidence().admit(torch.rand(3), 1.5)
