"""The noise rate that losses show, and the forget rate that follows."""

import pytest
import torch

from coteach.errors import OptionError
from coteach.selection.forgetting import ForgetRate, check_forgetting
from coteach.selection.noise_rate import NoiseRate


def losses_with_noise(shares, count=4000, seed=0):
    """Right labels have losses about 0.2, wrong ones about 3; ``shares`` of them are wrong, by class."""
    generator = torch.Generator().manual_seed(seed)
    label = torch.arange(count) % len(shares)
    wrong = torch.rand(count, generator=generator) < torch.tensor(shares)[label]
    right = 0.2 * -torch.rand(count, generator=generator).log()
    high = 3 + 0.6 * torch.randn(count, generator=generator)
    return torch.where(wrong, high.clamp(min=0), right), label, wrong


def seen(rate, losses, label, batch=100):
    for step in range(0, len(losses), batch):
        part = slice(step, step + batch)
        rate.observe(losses[part], label[part], torch.ones(len(label[part]), dtype=torch.bool), step=step)
    return rate


@pytest.mark.parametrize("shares", [(0.3, 0.3), (0.1, 0.5), (0.45, 0.0), (0.8, 0.2, 0.4)])
def test_estimate_is_the_share_that_was_put_in(shares):
    losses, label, wrong = losses_with_noise(shares)
    rate = seen(NoiseRate(len(shares)), losses, label)
    assert rate.overall.item() == 0
    rate.begin_epoch(1)
    assert rate.overall.item() == pytest.approx(wrong.float().mean().item(), abs=0.02)
    for code in range(len(shares)):
        share = wrong[label == code].float().mean().item()
        assert rate.by_class[code].item() == pytest.approx(share, abs=0.03)


def test_right_labels_only_have_next_to_no_noise():
    losses, label, _ = losses_with_noise((0.0, 0.0))
    rate = seen(NoiseRate(2), losses, label)
    rate.begin_epoch(1)
    # only losses above log 2 count, and exp(-log 2 / 0.2) = 0.031 of them are
    assert rate.overall.item() < 0.04


def test_pixels_are_sampled_and_those_without_a_label_do_not_count():
    losses, label, wrong = losses_with_noise((0.3, 0.3), count=64_000)
    valid = torch.ones(10, 80, 80, dtype=torch.bool)
    valid[:5] = False
    losses, label = losses.view(10, 80, 80), label.view(10, 80, 80)
    losses[:5] = 100.0
    rate = NoiseRate(2, per_batch=4000)
    rate.observe(losses, label, valid, seed=1, step=2)
    assert rate.seen.item() == 4000
    rate.begin_epoch(1)
    assert rate.overall.item() == pytest.approx(wrong.view(10, 80, 80)[5:].float().mean().item(), abs=0.03)


def test_only_the_latest_losses_are_remembered_and_an_epoch_forgets_the_one_before():
    rate = NoiseRate(2, capacity=100)
    label, valid = torch.zeros(60, dtype=torch.int64), torch.ones(60, dtype=torch.bool)
    for value in (1.0, 2.0, 3.0):
        rate.observe(torch.full((60,), value), label, valid)
    assert sorted(rate.losses.tolist()) == [2.0] * 40 + [3.0] * 60
    rate.begin_epoch(1)
    assert rate.losses.isnan().all()


def test_resumed_within_an_epoch_the_estimate_stays():
    losses, label, _ = losses_with_noise((0.3, 0.3))
    rate = seen(NoiseRate(2), losses, label)
    rate.begin_epoch(1)
    other = NoiseRate(2)
    seen(rate, losses[:100], label[:100])
    other.load_state_dict(rate.state_dict())
    other.begin_epoch(1)
    assert torch.equal(other.overall, rate.overall)
    assert other.seen.item() == 100


def test_too_few_losses_say_nothing():
    rate = NoiseRate(2)
    rate.observe(torch.tensor([0.1, 5.0]), torch.tensor([0, 1]), torch.tensor([True, True]))
    rate.begin_epoch(1)
    assert rate.overall.item() == 0


def test_the_rate_rises_to_its_end():
    rate = ForgetRate(0.4, 10, 3)
    assert [rate.overall(e) for e in (0, 5, 10, 50)] == [0, 0.2, 0.4, 0.4]
    assert rate.by_class(5, torch.device("cpu")) == 0.2
    own = ForgetRate([0.4, 0.2], 10, 2).by_class(5, torch.device("cpu"))
    assert own.tolist() == [0.2, 0.1]


def test_estimated_rates_rise_too_and_may_be_by_class():
    losses, label, _ = losses_with_noise((0.1, 0.5))
    auto, by_class = ForgetRate("auto", 10, 2), ForgetRate("auto_by_class", 10, 2)
    for rate in (auto, by_class):
        seen(rate.noise, losses, label)
        rate.noise.begin_epoch(5)
    assert auto.overall(5).item() == pytest.approx(0.15, abs=0.02)
    assert auto.by_class(10, torch.device("cpu")).tolist() == pytest.approx([0.3, 0.3], abs=0.02)
    assert by_class.by_class(10, torch.device("cpu")).tolist() == pytest.approx([0.1, 0.5], abs=0.03)


def test_what_is_kept_is_right():
    losses, label, wrong = losses_with_noise((0.1, 0.5))
    rate = ForgetRate("auto_by_class", 0, 2)
    seen(rate.noise, losses, label)
    rate.noise.begin_epoch(1)
    every = torch.ones_like(wrong)
    kept = rate.select(losses, label, every, epoch=1, balanced=True, seed=0, step=0).mask
    assert wrong[kept].float().mean() < 0.02
    assert kept[~wrong].float().mean() > 0.97


def test_an_unknown_word_is_refused(unchecked):
    with pytest.raises(OptionError, match="'often' is unknown"):
        check_forgetting("often", 1, balanced=True)


def test_bad_rates_are_refused():
    with pytest.raises(OptionError, match="balanced: true"):
        check_forgetting([0.1, 0.2], 1, balanced=False)
    with pytest.raises(OptionError, match="outside"):
        check_forgetting(1.0, 1, balanced=False)
    with pytest.raises(OptionError, match="3 classes"):
        ForgetRate([0.1, 0.2], 1, 3)
