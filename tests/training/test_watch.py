"""The alarm: two networks that have become one, or one that predicts a single class."""

import warnings

import pytest
import torch
from toys import make_batch, make_method, toy_run

from coteach.training.alarms import IN_A_ROW
from coteach.training.run import train
from coteach.training.watch import NetworkWatch


def validate(watch, batch, times=1):
    figures = {}
    for _ in range(times):
        watch.look(batch, 0)
        figures = watch.conclude(lambda value: value)
    return figures


def method_with(bias_b, *, collapsed=False):
    """Two networks of given scores: A is right, B is A with its scores shifted, or always says class 1."""
    method = make_method("co_teaching").eval()
    for name, shift in (("a", 0.0), ("b", bias_b)):
        net = torch.nn.Conv2d(2, 2, 1)
        with torch.no_grad():
            net.weight.copy_(
                torch.zeros(2, 2, 1, 1) if collapsed and name == "b" else torch.eye(2)[..., None, None]
            )
            net.bias.copy_(torch.tensor([0.0, 5.0 if collapsed and name == "b" else shift]))
        method.networks[name] = net
    return method


def test_disagreement_is_the_mean_distance_over_labelled_items():
    method, batch = method_with(0.7), make_batch()
    batch.target["mask"][0], batch.target["w_conf"][0] = 0.5, 0.0  # a sample without labels does not count
    watch = NetworkWatch(method)
    total = count = 0
    for image in batch.inputs[1:]:
        a, b = (method.networks[name](image[None]).softmax(1)[0] for name in "ab")
        for y in range(8):
            for x in range(8):
                total += 0.5 * sum(abs(a[c, y, x].item() - b[c, y, x].item()) for c in range(2))
                count += 1
    assert validate(watch, batch)["disagreement"].item() == pytest.approx(total / count, rel=1e-5)


def test_twins_are_told_of_once_and_only_when_it_lasts():
    watch, batch = NetworkWatch(method_with(0.0)), make_batch()
    validate(watch, batch, IN_A_ROW - 1)  # warnings are errors here
    with pytest.warns(UserWarning, match=r"networks a and b have become one.*; start again"):
        assert validate(watch, batch)["disagreement"] == 0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        validate(watch, batch, IN_A_ROW)


def test_a_network_of_one_class_is_named():
    watch, batch = NetworkWatch(method_with(0.0, collapsed=True)), make_batch()
    validate(watch, batch, IN_A_ROW - 1)
    with pytest.warns(UserWarning, match=r"network b predicts class 1 only.*; lower the learning rate"):
        validate(watch, batch)


def test_it_must_last_without_a_break():
    method, batch = method_with(0.0), make_batch()
    watch = NetworkWatch(method)
    validate(watch, batch, IN_A_ROW - 1)
    with torch.no_grad():
        method.networks["b"].bias.add_(torch.tensor([0.0, 1.0]))
    validate(watch, batch)
    with torch.no_grad():
        method.networks["b"].bias.zero_()
    validate(watch, batch, IN_A_ROW - 1)  # counted from the beginning again


def test_labels_of_one_class_excuse_a_prediction_of_one_class():
    method, batch = method_with(0.4, collapsed=True), make_batch()
    batch.target["mask"][:, 0], batch.target["mask"][:, 1] = 0.0, 1.0
    validate(NetworkWatch(method), batch, IN_A_ROW)


def test_a_run_logs_the_disagreement_of_two_networks_only(tmp_path):
    train(toy_run(tmp_path / "two"))
    train(toy_run(tmp_path / "one", "supervised"))
    header = [
        next(tmp_path.joinpath(n).rglob("metrics.csv")).read_text().splitlines()[0] for n in ("two", "one")
    ]
    assert ["val/disagreement" in line for line in header] == [True, False]


@pytest.mark.parametrize("inference", ["a", "mean"])
def test_networks_are_computed_once_for_prediction_and_watch(inference):
    method, batch = method_with(0.7), make_batch()
    method.inference = inference
    expected, alone = method.predict(batch.inputs), NetworkWatch(method)
    alone.look(batch, 0)
    calls = []
    for name in method.trained:
        method.networks[name].register_forward_hook(lambda *_, name=name: calls.append(name))
    watch = NetworkWatch(method)
    prediction = watch.predicted(method, batch, 0)
    watch.look(batch, 0, prediction)
    assert calls == ["a", "b"]
    assert torch.equal(prediction, expected)
    assert watch.conclude(lambda value: value) == alone.conclude(lambda value: value)
    watch.predicted(method, batch, 8)  # is not looked at
    assert calls[2:] == list(method.predicting)
