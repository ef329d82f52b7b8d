"""cleanlab's co-teaching functions under their names: values by plain loops, and a script as its users write it."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from coteach.compat.cleanlab import (
    MINIMUM_BATCH_SIZE,
    adjust_learning_rate,
    evaluate,
    forget_rate_scheduler,
    initialize_lr_scheduler,
    loss_coteaching,
    train,
)
from coteach.errors import InputError, OptionError
from coteach.models import CNN


def loop_loss(own, other, labels, forget_rate, weights=None, *, legacy=False):
    """The loss of one network by hand: the other one ranks, the weighted mean is taken of what it keeps."""

    def cross_entropy(scores, label):
        return math.log(sum(math.exp(s) for s in scores)) - scores[label]

    weight = [1.0 if weights is None else weights[label] for label in labels]
    rank = [cross_entropy(s, t) * (w if legacy else 1) for s, t, w in zip(other, labels, weight, strict=True)]
    k = max(1, math.floor((1 - forget_rate) * len(labels) + 1e-6))
    kept = sorted(range(len(labels)), key=rank.__getitem__)[:k]
    mean = sum(weight[i] * cross_entropy(own[i], labels[i]) for i in kept) / sum(weight[i] for i in kept)
    return mean / k if legacy else mean


@pytest.mark.parametrize("forget_rate", [0.0, 0.3, 0.9, 0.99])
@pytest.mark.parametrize("weights", [None, [1.0, 5.0, 0.2, 2.0, 3.0]])
@pytest.mark.parametrize("legacy", [False, True])
def test_the_loss_is_that_of_a_plain_loop(forget_rate, weights, legacy):
    generator = torch.Generator().manual_seed(3)
    y_1, y_2 = (torch.randn(20, 5, generator=generator, dtype=torch.float64) for _ in range(2))
    t = torch.randint(0, 5, (20,), generator=generator)
    given = None if weights is None else torch.tensor(weights)
    loss_1, loss_2 = loss_coteaching(y_1, y_2, t, forget_rate, given, legacy_scaling=legacy)
    first, second, labels = y_1.tolist(), y_2.tolist(), t.tolist()
    assert loss_1.item() == pytest.approx(
        loop_loss(first, second, labels, forget_rate, weights, legacy=legacy), rel=1e-6
    )
    assert loss_2.item() == pytest.approx(
        loop_loss(second, first, labels, forget_rate, weights, legacy=legacy), rel=1e-6
    )


def test_weights_do_not_decide_what_is_kept():
    # item 0 is the easiest by the plain loss; weighted by its class it would come last
    y = torch.tensor([[0.0, 3.0], [1.0, 0.0], [0.0, 0.0]])
    t = torch.tensor([1, 0, 0])
    loss_1, _ = loss_coteaching(y, y, t, 0.6, torch.tensor([1.0, 100.0]))
    assert loss_1.item() == pytest.approx(math.log(1 + math.exp(-3)))


def test_each_network_gets_a_gradient_from_its_own_loss_only():
    y_1, y_2 = torch.randn(8, 3, requires_grad=True), torch.randn(8, 3, requires_grad=True)
    loss_1, _ = loss_coteaching(y_1, y_2, torch.randint(0, 3, (8,)), 0.25)
    loss_1.backward()
    assert int((y_1.grad.abs().sum(1) > 0).sum()) == 6
    assert y_2.grad is None


@pytest.mark.parametrize("bad", [math.inf, math.nan])
def test_scores_that_are_left_out_may_be_anything(bad):
    y_1, y_2 = (torch.randn(20, 4, generator=torch.Generator().manual_seed(i)) for i in range(2))
    t = torch.arange(20) % 4
    y_2[5] = bad
    y_1[5, 2] = bad  # ranked last by itself too: both leave it out
    without = torch.arange(20) != 5
    y_1.requires_grad_()
    loss_1, _ = loss_coteaching(y_1, y_2, t, 0.25)
    loss_1.backward()
    expected = y_1.detach()[without].requires_grad_()
    loop = loop_loss(expected.tolist(), y_2[without].tolist(), t[without].tolist(), 4 / 19)
    assert loss_1.item() == pytest.approx(loop, rel=1e-5)
    assert torch.isfinite(y_1.grad).all()
    assert not y_1.grad[5].any()


@pytest.mark.parametrize("rate", [torch.tensor(0.25), np.array(0.25), np.float64(0.25), torch.tensor([0.25])])
def test_a_forget_rate_may_be_an_array_of_one_number(rate):
    y, t = torch.randn(8, 3, generator=torch.Generator().manual_seed(0)), torch.arange(8) % 3
    assert loss_coteaching(y, y, t, rate) == loss_coteaching(y, y, t, 0.25)


def test_one_item_and_none():
    y = torch.zeros(1, 2)
    assert loss_coteaching(y, y, torch.tensor([0]), 0.9)[0].item() == pytest.approx(math.log(2))
    for legacy in (False, True):
        assert (
            loss_coteaching(y[:0], y[:0], torch.tensor([], dtype=torch.int64), 0.2, legacy_scaling=legacy)[0]
            == 0
        )


def test_bad_arguments_of_the_loss_are_named():
    y, t = torch.zeros(4, 2), torch.zeros(4, dtype=torch.int64)
    with pytest.raises(OptionError, match="forget_rate"):
        loss_coteaching(y, y, t, 1.0)
    with pytest.raises(OptionError, match=r"class_weights: shape \(3,\) for 2 classes"):
        loss_coteaching(y, y, t, 0.1, [1.0, 2.0, 3.0])
    for weights in ([1.0, -1.0], torch.tensor([1.0, torch.nan])):
        with pytest.raises(OptionError, match=r"class_weights: .* give numbers >= 0"):
            loss_coteaching(y, y, t, 0.1, weights)
    for label in (-100, 2):  # -100 has no loss in torch, and would be learned from first
        with pytest.raises(InputError, match=f"label {label}, with scores for 2 classes"):
            loss_coteaching(y, y, torch.tensor([0, 1, label, 0]), 0.1)


@pytest.mark.usefixtures("unchecked")
def test_arguments_of_another_kind_are_named():
    y, t = torch.zeros(4, 2), torch.zeros(4, dtype=torch.int64)
    for rate in (
        "0.2",
        None,
        True,
        [0.1, 0.2],
        torch.zeros(2),
        np.array(["0.2"]),
        np.array([None]),
        torch.tensor(1j),
    ):
        with pytest.raises(OptionError, match=r"forget_rate: is \w+; give one number"):
            loss_coteaching(y, y, t, rate)
    for labels in (t.numpy(), t.float(), t.to(torch.complex64), t[:, None], t[:3]):
        with pytest.raises(InputError, match=r"t: labels are .*; give a tensor of integers of shape \(4,\)"):
            loss_coteaching(y, y, labels, 0.2)
    for weights in (["1", "2"], [torch.ones(2), torch.ones(2)], [None, 1], [10**400, 1]):
        with pytest.raises(OptionError, match=r"class_weights: \[.*\] are no weights"):
            loss_coteaching(y, y, t, 0.2, weights)
    turned = np.array([1.0, 2.0])[::-1]
    assert loss_coteaching(y, y, t, 0.2, turned) == loss_coteaching(y, y, t, 0.2, [2.0, 1.0])
    for number in (0.5, np.array(0.5)):
        with pytest.raises(OptionError, match=r"class_weights: shape \(\) for 2 classes; give one a class"):
            loss_coteaching(y, y, t, 0.2, number)


def test_labels_of_short_integers_are_labels():
    y = torch.randn(4, 2)
    t = torch.tensor([0, 1, 1, 0])
    for dtype in (torch.int32, torch.int16):
        assert torch.equal(loss_coteaching(y, -y, t.to(dtype), 0.3)[0], loss_coteaching(y, -y, t, 0.3)[0])


def test_the_forget_rate_rises_and_stays():
    assert forget_rate_scheduler(6, 0.2, 5, 1).tolist() == pytest.approx([0, 0.05, 0.1, 0.15, 0.2, 0.2])
    assert forget_rate_scheduler(4, 0.2, 3, 2).tolist() == pytest.approx([0, 0.02, 0.04, 0.2])
    assert forget_rate_scheduler(3, 0.2, 0, 1).tolist() == [0.2, 0.2, 0.2]
    assert forget_rate_scheduler(3, 0.2, 5, 1).tolist() == pytest.approx([0, 0.05, 0.1])


@pytest.mark.parametrize(
    ("arguments", "name"),
    [((5, 1.0, 2, 1), "forget_rate"), ((5, 0.2, -1, 1), "num_gradual"), ((5, 0.2, 2, 0), "exponent")],
)
def test_bad_schedules_are_named(arguments, name):
    with pytest.raises(OptionError, match=name):
        forget_rate_scheduler(*arguments)


def test_the_learning_rate_is_constant_then_falls_evenly():
    alpha, beta1 = initialize_lr_scheduler(lr=0.6, epochs=7, epoch_decay_start=4)
    assert alpha == pytest.approx([0.6, 0.6, 0.6, 0.6, 0.6, 0.4, 0.2])
    assert beta1 == [0.9] * 7
    assert initialize_lr_scheduler(0.1, 3, 8)[0] == [0.1] * 3
    assert len(initialize_lr_scheduler()[0]) == 250


def test_the_plan_is_set_in_the_optimizer():
    parameter = nn.Parameter(torch.zeros(1))
    adam = torch.optim.Adam([parameter], lr=1.0, betas=(0.5, 0.99))
    adjust_learning_rate(adam, 1, [0.3, 0.2], [0.9, 0.8])
    assert adam.param_groups[0]["lr"] == 0.2
    assert adam.param_groups[0]["betas"] == (0.8, 0.99)
    sgd = torch.optim.SGD([parameter], lr=1.0)
    adjust_learning_rate(sgd, 0, [0.3], [0.9])
    assert sgd.param_groups[0]["lr"] == 0.3
    assert "betas" not in sgd.param_groups[0]
    with pytest.raises(OptionError, match="alpha_plan: 1 epochs long, epoch 1"):
        adjust_learning_rate(adam, 1, [0.3], [0.9])


def accuracy(output, target, topk=(1,)):
    """Percent of the targets among the k highest scores, as in PyTorch's example of ImageNet training."""
    _, best = output.topk(max(topk), 1)
    right = best.t() == target[None]
    return [100 * right[:k].any(0).float().mean() for k in topk]


class Counting(nn.Linear):
    """A linear model that notes how it was called."""

    def __init__(self):
        super().__init__(4, 3)
        self.calls = []

    def forward(self, x):
        self.calls.append((len(x), self.training, torch.is_grad_enabled()))
        return super().forward(x)


def toy(n, seed=0):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n, 4, generator=generator)
    return TensorDataset(x, x[:, :3].argmax(1))


def two_models():
    torch.manual_seed(1)
    models = [Counting() for _ in range(2)]
    return [(model, torch.optim.SGD(model.parameters(), lr=0.5)) for model in models]


def run_epoch(loader, pairs, schedule=(0.2,), weights=None, print_freq=1000, score=accuracy):
    (model1, optimizer1), (model2, optimizer2) = pairs
    args = SimpleNamespace(num_iter_per_epoch=400, print_freq=print_freq, epochs=len(schedule), batch_size=20)
    return train(loader, 0, model1, optimizer1, model2, optimizer2, args, schedule, weights, score)


def test_an_epoch_is_the_written_out_steps():
    pairs, twins = two_models(), two_models()
    weights = torch.tensor([1.0, 2.0, 0.5])
    data = toy(40)
    returned = run_epoch(DataLoader(data, batch_size=20), pairs, weights=weights)
    sums = [0.0, 0.0]
    for start in (0, 20):
        x, t = (part[start : start + 20] for part in data.tensors)
        scores = [model(x) for model, _ in twins]
        sums = [s + 100 * (y.argmax(1) == t).float().mean().item() for s, y in zip(sums, scores, strict=True)]
        for i, (_, optimizer) in enumerate(twins):
            rank = nn.functional.cross_entropy(scores[1 - i].detach(), t, reduction="none")
            kept = rank.argsort()[:16]
            optimizer.zero_grad()
            nn.functional.cross_entropy(scores[i][kept], t[kept], weight=weights).backward()
        for _, optimizer in twins:
            optimizer.step()
    assert returned == pytest.approx((sums[0] / 2, sums[1] / 2))
    for (model, _), (twin, _) in zip(pairs, twins, strict=True):
        torch.testing.assert_close(model.weight, twin.weight, rtol=1e-5, atol=1e-6)


def test_one_optimizer_may_hold_both_networks():
    """Each step is of one network: the other one has no gradient then."""
    pairs, twins = two_models(), two_models()
    both = torch.optim.SGD([*twins[0][0].parameters(), *twins[1][0].parameters()], lr=0.5)
    for of_models in (pairs, [(model, both) for model, _ in twins]):
        run_epoch(DataLoader(toy(40), batch_size=20), of_models)
    for (model, _), (twin, _) in zip(pairs, twins, strict=True):
        torch.testing.assert_close(model.weight, twin.weight)


def test_fractions_are_no_labels():
    x, t = toy(20).tensors
    with pytest.raises(InputError, match=r"train_loader: gives labels of torch.float32; give integer"):
        run_epoch(DataLoader(TensorDataset(x, t + 0.7), batch_size=20), two_models())


def test_labels_in_a_column_are_refused():
    """Compared with predictions, they would give an accuracy above 100 %."""
    x, t = toy(20).tensors
    column = DataLoader(TensorDataset(x, t[:, None]), batch_size=20)
    with pytest.raises(InputError, match=r"train_loader: gives labels of shape \(20, 1\); give one an item"):
        run_epoch(column, two_models())
    (model1, _), (model2, _) = two_models()
    with pytest.raises(InputError, match=r"test_loader: gives labels of shape \(20, 1\)"):
        evaluate(column, model1, model2)


def test_only_a_last_batch_below_16_is_skipped():
    assert MINIMUM_BATCH_SIZE == 16
    for n, sizes in ((55, [20, 20]), (56, [20, 20, 16])):
        pairs = two_models()
        run_epoch(DataLoader(toy(n), batch_size=20), pairs)
        assert [size for size, *_ in pairs[0][0].calls] == sizes
    pairs = two_models()
    run_epoch(DataLoader(toy(24), batch_size=8), pairs)  # small by choice: all but the last
    assert [size for size, *_ in pairs[1][0].calls] == [8, 8]


def test_nothing_to_learn_from_and_a_short_schedule_are_errors():
    with pytest.raises(InputError, match=r"train_loader: no batch.*fewer than 16"):
        run_epoch(DataLoader(toy(15), batch_size=20), two_models())
    with pytest.raises(OptionError, match="forget_rate_schedule: 0 epochs long, epoch 0"):
        run_epoch(DataLoader(toy(20), batch_size=20), two_models(), schedule=())


def test_figures_are_printed_every_print_freq_batches(capsys):
    run_epoch(DataLoader(toy(100), batch_size=20), two_models(), print_freq=2)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines] == ["Epoch 1/1, batch 2/5", "Epoch 1/1, batch 4/5"]


def test_accuracy_is_asked_for_as_many_classes_as_there_are():
    asked = []

    def noting(output, target, topk=(1,)):
        asked.append(topk)
        return accuracy(output, target, topk)

    run_epoch(DataLoader(toy(20), batch_size=20), two_models(), score=noting)
    assert asked == [(1, 3), (1, 3)]


def test_evaluate_counts_every_item_without_gradient_and_in_evaluation_mode():
    pairs = two_models()
    (model1, _), (model2, _) = pairs
    data = toy(45)
    returned = evaluate(DataLoader(data, batch_size=20), model1, model2)
    assert model1.calls == [(20, False, False), (20, False, False), (5, False, False)]
    x, t = data.tensors
    right = [
        sum(int(y.argmax()) == int(label) for y, label in zip(model(x), t, strict=True)) for model, _ in pairs
    ]
    assert returned == (100 * right[0] / 45, 100 * right[1] / 45)
    without_weights = nn.Identity(), nn.Identity()
    expected = 100 * (x.argmax(1) == t).float().mean().item()
    assert evaluate(DataLoader(data, batch_size=20), *without_weights) == pytest.approx([expected] * 2)
    with pytest.raises(InputError, match="test_loader"):
        evaluate([], model1, model2)


def run_script(make_model, images, given, clean, epochs, lr):
    """Models, plans, epochs and evaluation in the order in which users of cleanlab's module call them."""
    generator = torch.Generator().manual_seed(0)
    loader = DataLoader(TensorDataset(images, given), batch_size=32, shuffle=True, generator=generator)
    test_loader = DataLoader(TensorDataset(images, clean), batch_size=50)
    args = SimpleNamespace(num_iter_per_epoch=3, print_freq=100, epochs=epochs, batch_size=32)
    torch.manual_seed(0)
    model1, model2 = make_model(), make_model()
    optimizer1, optimizer2 = (torch.optim.Adam(model.parameters(), lr=lr) for model in (model1, model2))
    rates = forget_rate_scheduler(args.epochs, 0.2, 2, 1)
    alpha_plan, beta1_plan = initialize_lr_scheduler(lr, args.epochs, epochs // 2)
    for epoch in range(args.epochs):
        for model, optimizer in ((model1, optimizer1), (model2, optimizer2)):
            model.train()
            adjust_learning_rate(optimizer, epoch, alpha_plan, beta1_plan)
        train(loader, epoch, model1, optimizer1, model2, optimizer2, args, rates, None, accuracy)
    return [evaluate(test_loader, model1, model2) for _ in range(2)]


def test_a_script_written_for_cleanlab_learns_in_spite_of_wrong_labels():
    x, clean = toy(160).tensors
    given = clean.clone()
    given[:24] = (clean[:24] + 1) % 3
    first, second = run_script(lambda: nn.Linear(4, 3), x, given, clean, epochs=30, lr=0.1)
    assert min(first) > 90  # 85 % of the given labels are right
    assert first == second


def test_the_script_with_the_nine_layer_network_evaluates_without_dropout():
    x = torch.rand(16, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    given = torch.arange(16) % 3
    before, again = run_script(lambda: CNN(input_channel=1, n_outputs=3), x, given, given, epochs=1, lr=0.001)
    assert before == again
