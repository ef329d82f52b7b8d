"""The noise that labels held out show, and the forget rate that follows."""

import numpy as np
import pytest
import torch
from noisy_scores import noisy_scores, pair_flip, symmetric
from torch.utils._python_dispatch import TorchDispatchMode

from coteach.errors import CoteachWarning, OptionError
from coteach.selection.forgetting import ForgetRate, check_forgetting
from coteach.selection.noise_rate import NoiseRate, held_out
from coteach.selection.ties import tie_order

UNEQUAL = [[0.9, 0.1, 0.0], [0.0, 1.0, 0.0], [0.2, 0.3, 0.5]]


def drawn(transition, count=1500, seed=0):
    probs, given, truth = (torch.from_numpy(part) for part in noisy_scores(transition, count, seed))
    return probs, given, given != truth


def seen(rate, probs, label, batch=100):
    for step in range(0, len(probs), batch):
        part = slice(step, step + batch)
        rate.observe(
            [probs[part].log()], label[part], torch.ones_like(label[part], dtype=torch.bool), step=step
        )
    return rate


@pytest.mark.parametrize("transition", [symmetric(0.0, 3), symmetric(0.3, 3), pair_flip(0.45, 3), UNEQUAL])
def test_estimate_is_the_share_that_was_put_in(transition):
    probs, label, wrong = drawn(transition)
    rate = seen(NoiseRate(3), probs, label)
    assert rate.overall.item() == 0
    rate.begin_epoch(1)
    assert rate.overall.item() == pytest.approx(wrong.float().mean().item(), abs=0.03)
    for code in range(3):
        share = wrong[label == code].float().mean().item()
        assert rate.by_class[code].item() == pytest.approx(share, abs=0.06)


def test_the_share_held_out_is_a_tenth_and_always_the_same_images():
    ids = torch.arange(20_000)
    out = held_out(ids, 1)
    assert out.float().mean().item() == pytest.approx(0.1, abs=0.01)
    order = torch.randperm(20_000, generator=torch.Generator().manual_seed(0))
    assert torch.equal(held_out(ids[order], 1), out[order])
    assert (held_out(ids, 2) & out).float().mean().item() == pytest.approx(0.01, abs=0.004)


@pytest.mark.parametrize(("until", "end"), [(0, 3), (2.5, 3), (5, 5), (7.5, 8)])
def test_images_are_held_out_before_the_forget_rate_is_reached_and_three_epochs_at_least(until, end):
    rate, ids = NoiseRate(2, until=until), torch.arange(300)
    for epoch in range(10):
        out = rate.holds_out(ids, epoch=epoch, seed=4)
        assert torch.equal(out, held_out(ids, 4) & (epoch < end))


def test_pixels_are_sampled_and_only_those_that_count():
    probs, label, wrong = drawn(symmetric(0.3, 3), count=64_000)
    maps, label = probs.view(10, 80, 80, 3).movedim(3, 1), label.view(10, 80, 80)
    counts = torch.ones(10, 80, 80, dtype=torch.bool)
    counts[:5] = False
    maps[:5] = torch.nan
    rate = NoiseRate(3, per_batch=4000)
    rate.observe([maps.log()], label, counts, seed=1, step=2)
    assert rate.held.seen.item() == pytest.approx(2000, abs=200)
    assert not rate.held.said[: rate.held.seen.item()].isnan().any()
    rate.begin_epoch(1)
    assert rate.overall.item() == pytest.approx(wrong.view(10, 80, 80)[5:].float().mean().item(), abs=0.04)


def test_only_the_latest_items_are_remembered_and_an_epoch_forgets_the_one_before():
    rate = NoiseRate(2, capacity=100)
    label, counts = torch.zeros(60, dtype=torch.int64), torch.arange(60) % 3 > 0
    for value in (0.1, 0.2, 0.3):
        rate.observe([torch.tensor([value, 1 - value]).log().expand(60, 2)], label, counts)
    assert sorted(rate.held.said[:100, 0].tolist()) == pytest.approx([0.1] * 20 + [0.2] * 40 + [0.3] * 40)
    rate.begin_epoch(1)
    assert rate.held.said.isnan().all()
    assert rate.held.seen.item() == 0


def test_resumed_within_an_epoch_the_estimate_stays():
    probs, label, _ = drawn(symmetric(0.3, 3), count=600)
    rate = seen(NoiseRate(3), probs, label)
    rate.begin_epoch(1)
    other = NoiseRate(3)
    seen(rate, probs[:100], label[:100])
    other.load_state_dict(rate.state_dict())
    other.begin_epoch(1)
    assert torch.equal(other.overall, rate.overall)
    assert other.held.seen.item() == 100


def test_once_nothing_is_held_out_the_last_estimate_stays():
    probs, label, _ = drawn(symmetric(0.3, 3), count=600)
    rate = seen(NoiseRate(3, until=3), probs, label)
    rate.begin_epoch(3)
    found = rate.overall.clone()
    assert found > 0.2
    for epoch in (4, 5):
        rate.observe([probs[:100].log()], label[:100], torch.zeros(100, dtype=torch.bool))
        rate.begin_epoch(epoch)
    assert torch.equal(rate.overall, found)


def test_too_few_items_say_nothing_and_that_is_said():
    rate = NoiseRate(2)
    rate.observe(
        [torch.tensor([[0.1, 0.9], [0.5, 0.5]]).log()], torch.tensor([0, 1]), torch.tensor([True, True])
    )
    with pytest.warns(CoteachWarning, match="2 labels are held out.*give the rate as a number"):
        rate.begin_epoch(1)
    assert rate.overall.item() == 0


def test_the_rate_rises_to_its_end():
    rate = ForgetRate(0.4, 10, 3)
    assert [rate.overall(e) for e in (0, 5, 10, 50)] == [0, 0.2, 0.4, 0.4]
    assert rate.by_class(5, torch.device("cpu")) == 0.2
    own = ForgetRate([0.4, 0.2], 10, 2).by_class(5, torch.device("cpu"))
    assert own.tolist() == [0.2, 0.1]


def test_estimated_rates_rise_too_and_may_be_by_class():
    probs, label, _ = drawn(UNEQUAL)
    auto, by_class = ForgetRate("auto", 10, 3), ForgetRate("auto_by_class", 10, 3)
    for rate in (auto, by_class):
        seen(rate.noise, probs, label)
        rate.noise.begin_epoch(5)
    overall = auto.noise.overall.item()
    assert overall == pytest.approx(0.2, abs=0.05)
    assert auto.overall(5).item() == pytest.approx(overall / 2)
    assert auto.by_class(10, torch.device("cpu")).tolist() == pytest.approx([overall] * 3)
    assert by_class.by_class(5, torch.device("cpu")).tolist() == pytest.approx(
        (by_class.noise.by_class / 2).tolist()
    )


@pytest.mark.parametrize("known", [True, False])
def test_what_is_held_out_is_measured_and_all_else_may_be_learned(known):
    """Without ids nothing can be held out: everything is measured and learned."""
    rate = ForgetRate("auto", 5, 3)
    ids, label = torch.arange(80), torch.arange(80) % 3
    valid = torch.arange(80) % 4 > 0
    logits = torch.randn(2, 80, 3, generator=torch.Generator().manual_seed(0))
    said = tuple(logits)
    usable = rate.usable(said, label, valid, ids if known else None, epoch=2, seed=1, step=0)
    out = held_out(ids, 1) if known else torch.zeros(80, dtype=torch.bool)
    assert torch.equal(usable, valid & ~out)
    measured = valid & out if known else valid
    assert rate.noise.held.seen.item() == measured.sum() > 0
    found = rate.noise.held.said[: int(measured.sum())]
    torch.testing.assert_close(found, logits.softmax(2).mean(0)[measured])
    assert torch.equal(rate.noise.held.labels[: len(found)], label[measured])
    learned = valid & ~out if known else torch.zeros(80, dtype=torch.bool)
    beside, codes = rate.noise.others.known()
    np.testing.assert_allclose(beside, logits.softmax(2).mean(0)[learned], rtol=1e-6)
    assert codes.tolist() == label[learned].tolist()


def test_few_labels_held_out_are_judged_by_clusters_of_all():
    """Of ten labels of a class, of which 45 % name the next one, these are easily more than half."""
    errors = {"alone": [], "beside": []}
    for seed in range(5):
        probs, label, truth = (
            torch.from_numpy(p) for p in noisy_scores(pair_flip(0.45), 2000, seed=seed, spread=0.3)
        )
        held = torch.arange(2000) < 50
        for name, others in (("alone", None), ("beside", ~held)):
            rate = NoiseRate(5)
            for part in torch.arange(2000).split(500):
                more = None if others is None else others[part]
                rate.observe([probs[part].log()], label[part], held[part], more)
            rate.begin_epoch(2)
            wrong = (label != truth)[held].double().mean()
            errors[name].append(abs(float(rate.overall) - float(wrong)))
    assert max(errors["beside"]) < 0.05
    assert max(errors["alone"]) > 0.15


def test_an_unknown_word_is_refused(unchecked):
    with pytest.raises(OptionError, match="'often' is unknown"):
        check_forgetting("often", 1, "batch")


def test_bad_rates_are_refused():
    with pytest.raises(OptionError, match="balance: set"):
        check_forgetting([0.1, 0.2], 1, "none")
    with pytest.raises(OptionError, match="outside"):
        check_forgetting(1.0, 1, "none")
    with pytest.raises(OptionError, match="3 classes"):
        ForgetRate([0.1, 0.2], 1, 3)


def test_a_score_that_is_no_number_is_no_item():
    probs, label, _ = drawn(symmetric(0.3, 3), count=600)
    clean, gaps = seen(NoiseRate(3), probs, label), NoiseRate(3)
    wild = torch.cat([probs[:50], torch.full((1, 3), torch.nan), probs[50:]])
    seen(gaps, wild, torch.cat([label[:50], label[:1], label[50:]]))
    for rate in (clean, gaps):
        rate.begin_epoch(1)
    torch.testing.assert_close(gaps.by_class, clean.by_class, atol=1e-6, rtol=0)


def test_nobody_is_asked_once_nothing_is_held_out(monkeypatch):
    rate = ForgetRate("auto", 4, 2)
    logits, label = (torch.randn(6, 2), torch.randn(6, 2)), torch.arange(6) % 2
    valid, heard = torch.ones(6, dtype=torch.bool), []
    monkeypatch.setattr(rate.noise, "observe", lambda *_, **also: heard.append(also["step"]))
    for epoch in range(7):
        rate.usable(logits, label, valid, torch.arange(6), epoch=epoch, seed=0, step=epoch)
    assert heard == [0, 1, 2, 3]


class Largest(TorchDispatchMode):
    """The most numbers that a softmax was made of."""

    numbers = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if "softmax" in str(func):
            self.numbers = max(self.numbers, args[0].numel())
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("shape", [(300, 5), (3, 5, 20, 40)], ids=["images", "maps"])
def test_of_many_items_only_those_drawn_are_looked_at(shape):
    generator = torch.Generator().manual_seed(0)
    logits = [torch.randn(shape, generator=generator) for _ in range(2)]
    label = torch.randint(0, 5, (shape[0], *shape[2:]), generator=generator)
    rate = NoiseRate(5, per_batch=100)
    with Largest() as largest:
        rate.observe(logits, label, torch.ones_like(label, dtype=torch.bool), seed=1, step=2)
    assert largest.numbers == 100 * 5
    # of every item, then drawn
    rows = sum(one.softmax(1) for one in logits).movedim(1, -1).reshape(-1, 5) / 2
    drawn = tie_order(torch.arange(100), 1, 2) % len(rows)
    torch.testing.assert_close(rate.held.said[:100], rows[drawn])
    assert torch.equal(rate.held.labels[:100], label.reshape(-1)[drawn])


def test_of_more_items_than_there_is_room_for_the_last_are_kept_with_their_labels():
    """As of many processes together: which of two rows goes to one place is not left to the device."""
    rate = NoiseRate(2, capacity=5)
    rows = torch.arange(8)[:, None].expand(8, 2).float()
    rate.held.remember(rows, torch.arange(8), torch.arange(8) != 6)
    said, labels = rate.held.known()
    assert sorted(labels.tolist()) == [2, 3, 4, 5, 7]
    assert said[:, 0].tolist() == labels.tolist()
