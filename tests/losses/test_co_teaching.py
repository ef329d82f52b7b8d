"""The co-teaching loss against a plain-loop oracle of eq. 6-11, its null setting and its traps."""

import math

import pytest
import torch

from coteach import CoTeachingLoss, SoftLabelWeightedCELoss
from coteach.compat.cleanlab import loss_coteaching
from coteach.errors import InputError, OptionError
from coteach.losses.target import as_soft_target
from coteach.methods.co_teaching import CoTeachingConfig
from coteach.types import Share


def plain_losses(logits, probs):
    log_p = logits.double().log_softmax(1)
    return (-(probs.double() * log_p).sum(1)).flatten().tolist()


def oracle(logits_a, logits_b, probs, weight, p_e, r_e):
    """Cross-update by loops; confidences and losses are distinct, so no tie has to be broken."""
    w, label = weight.flatten().tolist(), probs.argmax(1).flatten().tolist()
    count = math.floor(p_e * len(w) + 0.5)
    admitted = sorted(range(len(w)), key=lambda i: -w[i])[:count]
    losses = {"a": plain_losses(logits_a, probs), "b": plain_losses(logits_b, probs)}
    chosen = {}
    for name, own in losses.items():
        chosen[name] = []
        for c in set(label):
            members = sorted((i for i in admitted if label[i] == c), key=lambda i: own[i])
            if members:
                chosen[name] += members[: max(1, math.floor((1 - r_e) * len(members) + 1e-6))]
    other = {"a": chosen["b"], "b": chosen["a"]}
    return {n: sum(w[i] * losses[n][i] for i in other[n]) / len(other[n]) for n in losses}


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(3)
    shape = (2, 4, 6, 5)
    logits = [torch.randn(shape, generator=generator) for _ in range(2)]
    probs = (2 * torch.randn(shape, generator=generator)).softmax(1)
    weight = torch.rand(2, 1, 6, 5, generator=generator)
    return *logits, probs, weight


@pytest.mark.parametrize("epoch", [0, 7, 20, 50])
def test_cross_update_equals_the_loops(batch, epoch):
    logits_a, logits_b, probs, weight = batch
    loss = CoTeachingLoss("cot", 4, lambda_reg=0.0)
    loss.current_epoch = epoch
    p_e, r_e = min(0.5 + epoch / 20 * 0.45, 0.95), min(epoch / 20 * 0.3, 0.3)
    expected = oracle(logits_a, logits_b, probs, weight, p_e, r_e)
    got = loss.compute({"logits_a": logits_a, "logits_b": logits_b}, {"mask": probs, "w_conf": weight})
    assert got.item() == pytest.approx(expected["a"] + expected["b"], rel=1e-5)


def test_regulariser_is_the_mean_of_both_networks_times_lambda(batch):
    logits_a, logits_b, probs, weight = batch
    features = torch.rand(2, 3, 6, 5)
    prediction = {"logits_a": logits_a, "logits_b": logits_b, "features": features}
    target = {"mask": probs, "w_conf": weight}
    plain, full = CoTeachingLoss("cot", 4, lambda_reg=0.0), CoTeachingLoss("cot", 4, lambda_reg=0.1)
    regs = [full.compute_neighborhood_reg(z, features).item() for z in (logits_a, logits_b)]
    difference = full.compute(prediction, target) - plain.compute(prediction, target)
    assert difference.item() == pytest.approx(0.1 * sum(regs) / 2, rel=1e-4)


def test_the_regulariser_of_network_a_alone(batch):
    logits_a, logits_b, probs, weight = batch
    features = torch.rand(2, 3, 6, 5)
    leaves = [z.clone().requires_grad_() for z in (logits_a, logits_b)]
    prediction = {"logits_a": leaves[0], "logits_b": leaves[1], "features": features}
    loss = CoTeachingLoss("cot", 4, lambda_reg=0.2, regularize="a")
    nothing = {"mask": torch.zeros_like(probs), "w_conf": torch.zeros_like(weight)}
    loss.compute(prediction, {"mask": probs, "w_conf": weight}).backward()
    plain = CoTeachingLoss("cot", 4, lambda_reg=0.0)
    alone = [z.clone().requires_grad_() for z in (logits_a, logits_b)]
    plain.compute({"logits_a": alone[0], "logits_b": alone[1]}, {"mask": probs, "w_conf": weight}).backward()
    term = logits_a.clone().requires_grad_()
    (0.2 * loss.compute_neighborhood_reg(term, features)).backward()
    torch.testing.assert_close(leaves[0].grad, alone[0].grad + term.grad)
    torch.testing.assert_close(leaves[1].grad, alone[1].grad)
    assert loss.compute(prediction, nothing).item() == 0


def test_null_setting_is_the_weighted_cross_entropy_of_each_network(batch):
    logits_a, logits_b, probs, weight = batch
    null = CoTeachingLoss("cot", 4, e_warm=0, p_end=1.0, lambda_reg=0.0, forget_end=0.0)
    target = {"mask": probs, "w_conf": weight}
    single = SoftLabelWeightedCELoss("ce", 4)
    expected = single.compute(logits_a, target) + single.compute(logits_b, target)
    torch.testing.assert_close(null.compute({"logits_a": logits_a, "logits_b": logits_b}, target), expected)
    torch.testing.assert_close(null.compute(logits_a, target), single.compute(logits_a, target))


def test_each_network_learns_from_the_other_ones_choice():
    # Two pixels of one class, half forgotten: A finds the first believable, B the second.
    logits_a = torch.tensor([[[[3.0, -3.0]], [[0.0, 0.0]]]], requires_grad=True)
    logits_b = torch.tensor([[[[-3.0, 3.0]], [[0.0, 0.0]]]], requires_grad=True)
    probs = torch.tensor([[[[1.0, 1.0]], [[0.0, 0.0]]]])
    loss = CoTeachingLoss("cot", 2, e_warm=0, p_end=1.0, lambda_reg=0.0, forget_end=0.5)
    loss.compute({"logits_a": logits_a, "logits_b": logits_b}, probs).backward()
    assert (logits_a.grad[0, :, 0, 0] == 0).all()
    assert (logits_a.grad[0, :, 0, 1] != 0).all()
    assert (logits_b.grad[0, :, 0, 1] == 0).all()
    assert (logits_b.grad[0, :, 0, 0] != 0).all()


def test_ranking_ignores_confidence():
    # The second pixel is learned well but trusted fully; the first badly, with little trust: W·l would prefer it.
    logits = torch.tensor([[[[-2.0, 1.0]], [[0.0, 0.0]]]])
    target = {"mask": torch.tensor([[[[1.0, 1.0]], [[0.0, 0.0]]]]), "w_conf": torch.tensor([[[[0.01, 1.0]]]])}
    loss = CoTeachingLoss("cot", 2, e_warm=0, p_end=1.0, lambda_reg=0.0, forget_end=0.5)
    got = loss.compute({"logits_a": logits, "logits_b": logits}, target).item()
    assert got == pytest.approx(2 * math.log1p(math.exp(-1)), rel=1e-5)


def test_selected_and_labelled_shares_of_each_class_by_loops(batch):
    logits_a, logits_b, probs, weight = batch
    probs[1, :, :2], weight[1, :, :2] = 0.25, 0.0  # 10 of 60 pixels without a vote
    loss = CoTeachingLoss("cot", 4, lambda_reg=0.0, seed=1)
    loss.current_epoch = 10
    target = as_soft_target({"mask": probs, "w_conf": weight}, 4)
    logs = loss.terms(logits_a, logits_b, target, features=None).logs
    label, valid = probs.argmax(1).flatten().tolist(), target.valid.flatten().tolist()
    p_e, r_e = 0.725, 0.15
    admitted = sorted((i for i in range(60) if valid[i]), key=lambda i: -weight.flatten()[i])
    admitted = set(admitted[: math.floor(p_e * sum(valid) + 0.5)])
    for c in range(4):
        of_class = sum(valid[i] and label[i] == c for i in range(60))
        pool = sum(label[i] == c for i in admitted)
        kept = max(1, math.floor((1 - r_e) * pool + 1e-6)) if pool else 0
        assert logs[f"labelled_share/{c}"] == Share(of_class, sum(valid))
        assert logs[f"selected_share/{c}"] == Share(kept, sum(valid))
    selected = sum(int(logs[f"selected_share/{c}"].part) for c in range(4))
    assert logs["selected_share"] == Share(selected, sum(valid))


def test_pixels_without_votes_fill_no_quota(batch):
    logits_a, logits_b, probs, weight = batch
    expected = oracle(*(x[:1] for x in (logits_a, logits_b, probs, weight)), p_e=0.5, r_e=0.0)
    probs[1], weight[1] = 0.25, 0.0
    got = CoTeachingLoss("cot", 4, lambda_reg=0.0).compute(
        {"logits_a": logits_a, "logits_b": logits_b}, {"mask": probs, "w_conf": weight}
    )
    assert got.item() == pytest.approx(sum(expected.values()), rel=1e-5)


def test_balance_by_sample_keeps_the_share_in_each(batch):
    logits_a, logits_b, probs, weight = batch
    by_sample = CoTeachingLoss(
        "cot", 4, e_warm=0, p_end=1.0, lambda_reg=0.0, forget_end=0.3, balance="sample"
    )
    got = by_sample.compute({"logits_a": logits_a, "logits_b": logits_b}, {"mask": probs, "w_conf": weight})
    totals = {"a": 0.0, "b": 0.0}
    counts = dict(totals)
    for i in range(2):
        one = [x[i : i + 1] for x in (logits_a, logits_b, probs, weight)]
        label = one[2].argmax(1)
        kept = sum(
            max(1, math.floor(0.7 * int((label == c).sum()) + 1e-6)) for c in range(4) if (label == c).any()
        )
        for name, value in oracle(*one, p_e=1.0, r_e=0.3).items():
            totals[name] += value * kept
            counts[name] += kept
    assert got.item() == pytest.approx(sum(totals[n] / counts[n] for n in totals), rel=1e-5)


def test_balance_none_is_co_teaching_over_the_whole_batch():
    # Han et al. 2018, algorithm 1, by a plain loop: classes play no part, and each network learns what the other ranks lowest
    logits = torch.randn(2, 40, 5, generator=torch.Generator().manual_seed(3))
    labels = torch.arange(40) % 3 % 2 + 3 * (torch.arange(40) > 36)
    loss = CoTeachingLoss(
        "cot", 5, e_warm=4, p_start=1.0, p_end=1.0, lambda_reg=0.0, forget_end=0.5, balance="none"
    )
    loss.current_epoch = 2  # half of the rate
    got = loss.compute({"logits_a": logits[0], "logits_b": logits[1]}, {"mask": torch.eye(5)[labels]})
    own = [
        [math.log(sum(math.exp(v - z[y]) for v in z)) for z, y in zip(one.tolist(), labels, strict=True)]
        for one in logits
    ]
    kept = [sorted(range(40), key=lambda i, one=one: one[i])[:30] for one in own]
    wanted = sum(own[0][i] for i in kept[1]) / 30 + sum(own[1][i] for i in kept[0]) / 30
    assert got.item() == pytest.approx(wanted, rel=1e-5)
    # and by the functions that agree with cleanlab's to 1e-6
    theirs = loss_coteaching(logits[0], logits[1], labels, 0.25)
    assert got.item() == pytest.approx(sum(theirs).item(), rel=1e-5)


@pytest.mark.parametrize("rates", [[0.1, 0.2], "auto_by_class"])
def test_rates_by_class_need_classes_that_are_ranked_apart(rates):
    with pytest.raises(
        OptionError, match=r"forget_end.*balance: set \(for maps balance: batch\), or give one rate"
    ):
        CoTeachingLoss("cot", 2, forget_end=rates, balance="none")
    with pytest.raises(OptionError, match="balance: set"):
        CoTeachingConfig(forget_end=rates, balance="none")


def test_each_class_may_have_its_own_forget_rate(batch):
    logits_a, logits_b, probs, weight = batch
    target = {"mask": probs, "w_conf": weight}
    prediction = {"logits_a": logits_a, "logits_b": logits_b}
    rates = [0.0, 0.5, 0.2, 0.9]
    loss = CoTeachingLoss("cot", 4, e_warm=4, p_start=1.0, p_end=1.0, lambda_reg=0.0, forget_end=rates)
    loss.current_epoch = 2  # half of each rate
    label, weights = probs.argmax(1).flatten().tolist(), weight.flatten().tolist()
    own = {"a": plain_losses(logits_a, probs), "b": plain_losses(logits_b, probs)}
    expected = 0.0
    for learner, teacher in (("a", "b"), ("b", "a")):
        chosen = []
        for c in range(4):
            members = sorted((i for i in range(len(label)) if label[i] == c), key=lambda i: own[teacher][i])
            if members:
                chosen += members[: max(1, math.floor((1 - rates[c] / 2) * len(members) + 1e-6))]
        expected += sum(weights[i] * own[learner][i] for i in chosen) / len(chosen)
    assert loss.compute(prediction, target).item() == pytest.approx(expected, rel=1e-5)
    equal = CoTeachingLoss("cot", 4, e_warm=4, lambda_reg=0.0, forget_end=[0.3] * 4)
    single = CoTeachingLoss("cot", 4, e_warm=4, lambda_reg=0.0, forget_end=0.3)
    equal.current_epoch = single.current_epoch = 3
    assert equal.compute(prediction, target).item() == single.compute(prediction, target).item()


def test_hard_labels_are_distributions_too(batch):
    logits_a, logits_b, probs, weight = batch
    label = probs.argmax(1)
    label[0, 0] = -1
    label[1, :, 0] = 255
    one_hot = torch.zeros_like(probs)
    for place in torch.nonzero((label >= 0) & (label < 4)).tolist():
        one_hot[place[0], label[tuple(place)], place[1], place[2]] = 1
    loss = CoTeachingLoss("cot", 4, lambda_reg=0.0)
    prediction = {"logits_a": logits_a, "logits_b": logits_b}
    soft = loss.compute(prediction, {"mask": one_hot, "w_conf": weight})
    assert loss.compute(prediction, {"mask": label, "w_conf": weight}).item() == soft.item()


def test_images_with_one_label_each():
    # The same loss on (B, C) scores: Han et al.'s algorithm with balanced classes.
    generator = torch.Generator().manual_seed(8)
    logits_a, logits_b = (torch.randn(40, 3, generator=generator) for _ in range(2))
    label = torch.randint(0, 3, (40,), generator=generator)
    loss = CoTeachingLoss("cot", 3, e_warm=0, p_end=1.0, lambda_reg=0.0, forget_end=0.4)
    got = loss.compute({"logits_a": logits_a, "logits_b": logits_b}, label).item()
    probs = torch.nn.functional.one_hot(label, 3).float()
    expected = oracle(logits_a, logits_b, probs, torch.ones(40), p_e=1.0, r_e=0.4)
    assert got == pytest.approx(sum(expected.values()), rel=1e-5)


@pytest.mark.parametrize("retain_by", ["batch", "image"])
def test_gradient(batch, retain_by):
    logits_a, logits_b, probs, weight = (
        x[..., :4, :3].double() for x in batch
    )  # few, each is moved by itself
    features = torch.rand(2, 3, 4, 3, dtype=torch.float64)
    loss = CoTeachingLoss("cot", 4, retain_by=retain_by)
    loss.current_epoch = 15

    def value(a, b):
        return loss.compute(
            {"logits_a": a, "logits_b": b, "features": features}, {"mask": probs, "w_conf": weight}
        )

    assert torch.autograd.gradcheck(value, (logits_a.requires_grad_(), logits_b.requires_grad_()))


def test_retention_by_image_admits_the_share_of_each(batch):
    logits_a, logits_b, probs, weight = batch
    weight[0] *= 0.1  # by batch nearly nothing of the first image would be admitted
    by_image = CoTeachingLoss("cot", 4, lambda_reg=0.0, retain_by="image")
    got = by_image.compute({"logits_a": logits_a, "logits_b": logits_b}, {"mask": probs, "w_conf": weight})
    singles = [
        oracle(*(x[i : i + 1] for x in (logits_a, logits_b, probs, weight)), p_e=0.5, r_e=0.0)
        for i in range(2)
    ]
    assert got.item() == pytest.approx(sum(sum(s.values()) for s in singles) / 2, rel=1e-5)


def test_nothing_labelled_touches_both_networks(batch):
    logits_a, logits_b, _, _ = batch
    logits_a.requires_grad_()
    logits_b.requires_grad_()
    prediction = {"logits_a": logits_a, "logits_b": logits_b, "features": torch.rand(2, 3, 6, 5)}
    loss = CoTeachingLoss("cot", 4).compute(prediction, torch.zeros(2, 4, 6, 5))
    loss.backward()
    assert loss.item() == 0
    assert (logits_a.grad == 0).all()
    assert (logits_b.grad == 0).all()


def test_bad_input_is_named(batch, unchecked):
    logits_a, logits_b, probs, _ = batch
    loss = CoTeachingLoss("cot", 4)
    with pytest.raises(InputError, match="logits_b"):
        loss.compute({"logits_a": logits_a}, probs)
    with pytest.raises(InputError, match="features"):
        loss.compute({"logits_a": logits_a, "logits_b": logits_b}, probs)
    with pytest.raises(OptionError, match="lambda_reg"):
        CoTeachingLoss("cot", 4, lambda_reg=-1)
    with pytest.raises(OptionError, match="balance"):
        CoTeachingLoss("cot", 4, balance="image")
    with pytest.raises(OptionError, match="regularize"):
        CoTeachingLoss("cot", 4, regularize="b")
    with pytest.raises(OptionError, match="retain_by"):
        CoTeachingLoss("cot", 4, retain_by="tile")
    with pytest.raises(OptionError, match="2 rates for 4 classes"):
        CoTeachingLoss("cot", 4, forget_end=[0.1, 0.2])
    for contradiction in ({"balance": "sample"}, {"retain_by": "image"}):
        with pytest.raises(OptionError, match="sync"):
            CoTeachingLoss("cot", 4, sync=True, **contradiction)
