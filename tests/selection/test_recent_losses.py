"""Small losses of each class over many batches, against a plain loop and what the share has to come to."""

import math
from collections import deque

import pytest
import torch

from coteach.errors import OptionError
from coteach.losses.co_teaching import CoTeachingLoss
from coteach.selection.recent_losses import RecentLosses
from coteach.selection.small_loss import select_small_loss


def batches(count, size, classes, seed=0):
    generator = torch.Generator().manual_seed(seed)
    for step in range(count):
        losses = torch.rand(size, generator=generator)
        label = torch.randint(classes, (size,), generator=generator)
        eligible = torch.rand(size, generator=generator) < 0.8
        yield step, losses, label, eligible


@pytest.mark.parametrize(("size", "classes"), [(12, 3), (40, 2), (5, 8)])
def test_equals_a_loop_over_lists_of_losses(size, classes):
    rates, window = torch.linspace(0.1, 0.6, classes, dtype=torch.float64), 10
    recent, lists = RecentLosses(classes, window), [deque(maxlen=window) for _ in range(classes)]
    for step, losses, label, eligible in batches(30, size, classes):
        for i in range(size):
            if eligible[i]:
                lists[label[i]].append(losses[i].item())
        found = recent.select(losses, label, rates, eligible=eligible, epoch=0, step=step)
        assert [found.count, found.eligible] == [found.mask.sum(), eligible.sum()]
        for i in range(size):
            own = lists[label[i]]
            smaller = sum(one < losses[i].item() for one in own)
            wanted = max(1, math.floor((1 - rates[label[i]].item()) * len(own) + 1e-6))
            assert found.mask[i] == (eligible[i] and smaller < wanted), (step, i)
        for c in range(classes):
            assert sorted(lists[c]) == recent.losses[c][recent.losses[c].isfinite()].sort().values.tolist()


def test_over_many_batches_the_share_of_each_class_is_kept():
    rates, recent = torch.tensor([0.0, 0.25, 0.5, 0.9], dtype=torch.float64), RecentLosses(4)
    kept, seen = torch.zeros(4), torch.zeros(4)
    for step, losses, label, eligible in batches(400, 20, 4):
        mask = recent.select(losses, label, rates, eligible=eligible, epoch=0, step=step).mask
        kept += label[mask].bincount(minlength=4)
        seen += label[eligible].bincount(minlength=4)
    torch.testing.assert_close(kept / seen, (1 - rates).float(), atol=0.02, rtol=0)


def test_of_equal_losses_the_share_is_kept_too():
    recent, kept = RecentLosses(1), 0
    for step in range(50):
        equal, there = torch.full((20,), 0.7), torch.ones(20, dtype=torch.bool)
        mask = recent.select(
            equal, torch.zeros(20, dtype=torch.int64), 0.3, eligible=there, epoch=0, step=step
        ).mask
        kept += int(mask.sum())
    assert kept / 1000 == pytest.approx(0.7, abs=0.04)


def test_a_batch_with_many_wrong_labels_gives_fewer_items_than_one_with_none():
    """Right labels have losses below 1, wrong ones above: over many batches the wrong ones are told apart, class by class."""
    generator = torch.Generator().manual_seed(1)
    recent, rate = RecentLosses(10), 0.4
    errors = {"recent": 0, "batch": 0, "all": 0}
    for step in range(60):
        wrong = torch.rand(64, generator=generator) < rate
        label = torch.randint(10, (64,), generator=generator)
        losses = torch.rand(64, generator=generator) + wrong
        there = torch.ones(64, dtype=torch.bool)
        chosen = {
            "recent": recent.select(losses, label, rate, eligible=there, epoch=0, step=step),
            "batch": select_small_loss(losses, rate, group=label, num_groups=10, step=step),
        }
        if step >= 20:
            errors["all"] += 64
            for name, one in chosen.items():
                errors[name] += int((one.mask == wrong).sum())
    assert errors["recent"] < 0.04 * errors["all"] < 0.1 * errors["all"] < errors["batch"]


def test_a_loss_that_is_no_number_is_passed_over():
    recent, there = RecentLosses(1), torch.ones(4, dtype=torch.bool)
    losses = torch.tensor([0.3, math.nan, math.inf, 0.2])
    found = recent.select(losses, torch.zeros(4, dtype=torch.int64), 0.0, eligible=there, epoch=0, step=0)
    assert found.mask.tolist() == [True, False, False, True]
    assert recent.losses[0, :3].tolist() == pytest.approx([0.3, 0.2, math.inf])


def test_losses_that_fall_do_not_let_wrong_labels_of_a_small_class_through():
    """Of ten items half are wrong; all losses fall by a sixth in each epoch, so that a wrong label's is soon below old right ones'."""
    recent, kept = RecentLosses(1), []
    for epoch in range(20):
        for item in range(10):
            wrong = item % 2
            loss = torch.tensor([(1.0 + 0.01 * item + wrong) * 0.83**epoch])
            label, there = torch.zeros(1, dtype=torch.int64), torch.ones(1, dtype=torch.bool)
            found = recent.select(loss, label, 0.5, eligible=there, epoch=epoch, step=10 * epoch + item)
            if epoch >= 5:
                kept.append((wrong, bool(found.mask)))
    assert sum(chosen for wrong, chosen in kept if not wrong) > 0.9 * 75
    assert sum(chosen for wrong, chosen in kept if wrong) < 0.1 * 75


def test_nothing_older_than_an_epoch_is_looked_at():
    recent, one = RecentLosses(1), torch.ones(1, dtype=torch.bool)
    label = torch.zeros(1, dtype=torch.int64)
    losses = [5.0, 6.0, 7.0, 8.0, 6.5, 6.9, 6.95, 1.0, 2.0, 6.92]  # four batches an epoch
    found = [
        bool(recent.select(torch.tensor([x]), label, 0.5, eligible=one, epoch=i // 4, step=i).mask)
        for i, x in enumerate(losses)
    ]
    # two of four, by hand; with all that were seen, the one of 6.9 would come fourth of six
    assert found[4:] == [True, True, False, True, True, False]


def test_goes_on_from_its_state():
    whole, first = RecentLosses(3, 16), RecentLosses(3, 16)
    for step, losses, label, eligible in batches(8, 12, 3):
        expected = whole.select(losses, label, 0.4, eligible=eligible, epoch=0, step=step)
        if step == 4:
            state = first.state_dict()
            first = RecentLosses(3, 16)
            first.load_state_dict(state)
        assert torch.equal(
            first.select(losses, label, 0.4, eligible=eligible, epoch=0, step=step).mask, expected.mask
        )


def test_maps_are_refused():
    loss = CoTeachingLoss("cot", 2, lambda_reg=0.0, balance="set")
    scores = torch.zeros(1, 2, 3, 3)
    with pytest.raises(OptionError, match=r"balance.*'set' is for images.*use 'batch'"):
        loss.compute(
            {"logits_a": scores, "logits_b": scores},
            {"mask": scores.softmax(1), "w_conf": torch.ones(1, 1, 3, 3)},
        )


@pytest.mark.parametrize(("option", "value"), [("balance", "sample"), ("retain_by", "image")])
def test_shares_of_single_images_are_for_maps(option, value):
    """Of one label a share is all or nothing: nothing would be left out, or everything."""
    loss = CoTeachingLoss("cot", 2, lambda_reg=0.0, **{option: value})
    scores = torch.zeros(4, 2)
    given = {"mask": torch.eye(2).repeat(2, 1), "w_conf": torch.ones(4)}
    with pytest.raises(
        OptionError, match=rf"{option}: '{value}' takes a share of each map.*use 'batch' or 's"
    ):
        loss.compute({"logits_a": scores, "logits_b": scores}, given)
