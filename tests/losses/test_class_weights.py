"""Class weights: what they weigh, that they never rank, and Dice beside them, by the methods' options."""

import pytest
import torch
from torch.nn import functional as F
from toys import first_step, make_batch, make_method, toy_network

from coteach.errors import ConfigError, OptionError
from coteach.losses.class_weights import check_class_weights, expected_class_weight
from coteach.losses.co_teaching import CoTeachingLoss
from coteach.losses.soft_dice import soft_dice
from coteach.losses.target import as_soft_target
from coteach.methods.base import TaskInfo
from coteach.methods.discovery import create_method
from coteach.selection.curriculum import retain_most_confident

WEIGHTS = [0.5, 2.0]
FULL = {"e_warm": 0, "p_end": 1.0, "forget_end": 0.0, "lambda_reg": 0.0}


def terms(name, options, batch):
    return make_method(name, options).eval().losses({"train": batch}, first_step())


def logits_of(name, options, batch):
    method = make_method(name, options).eval()
    return {network: method.networks[network](batch.inputs) for network in method.trained}


@pytest.mark.parametrize(
    "weights", [0.5, torch.tensor(0.5), [[1.0, 2.0]], torch.ones(2, 2), ["1", "2"], [1j, 1]]
)
def test_what_is_no_row_of_weights_is_refused(weights):
    with pytest.raises(OptionError, match=r"(?s)class_weights: .* no weights; give numbers >= 0"):
        check_class_weights(weights)


def test_an_item_weighs_as_the_classes_of_its_label():
    probs = torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.5, 0.25, 0.25]])
    assert expected_class_weight(probs, [1.0, 2.0, 4.0]).tolist() == [1.0, 4.0, 2.0]
    assert expected_class_weight(probs, None) is None


def test_mixed_precision_does_not_round_the_weights():
    weights = [1.2345678, 3e-8, 1e5]
    with torch.autocast("cpu", dtype=torch.float16):
        found = expected_class_weight(torch.eye(3), weights)
    assert torch.equal(found, torch.tensor(weights))


def test_supervised_is_torchs_weighted_sum_over_the_items():
    batch = make_batch()
    scores = logits_of("supervised", {}, batch)["a"]
    label = batch.target["mask"].argmax(1)
    expected = F.cross_entropy(scores, label, weight=torch.tensor(WEIGHTS), reduction="sum") / label.numel()
    found = terms("supervised", {"class_weights": WEIGHTS}, batch).networks["a"]["cross_entropy"]
    torch.testing.assert_close(found, expected)


def test_soft_label_multiplies_both_weights():
    batch = make_batch()
    scores = logits_of("soft_label", {}, batch)["a"]
    losses = F.cross_entropy(scores, batch.target["mask"].argmax(1), reduction="none")
    factor = torch.tensor(WEIGHTS)[batch.target["mask"].argmax(1)] * batch.target["w_conf"][:, 0]
    found = terms("soft_label", {"class_weights": WEIGHTS}, batch).networks["a"]["soft_cross_entropy"]
    torch.testing.assert_close(found, (losses * factor).mean())


def test_co_teaching_weighs_what_is_learned_and_not_what_is_chosen():
    batch, options = make_batch(), {**FULL, "p_end": 0.7, "forget_end": 0.5}
    plain = terms("co_teaching", options, batch)
    found = terms("co_teaching", {**options, "class_weights": WEIGHTS}, batch)
    same = terms("co_teaching", {**options, "class_weights": [2.0, 2.0]}, batch)
    for key in ("admitted_share", "selected_share", "selected_share/0", "selection_overlap"):
        assert found.logs[key] == plain.logs[key], key
    for network in "ab":
        a, b, c = (one.networks[network]["cross_update"] for one in (plain, found, same))
        torch.testing.assert_close(c, 2 * a)
        assert not torch.isclose(a, b)


@pytest.mark.parametrize(("name", "options"), [("soft_label", {}), ("co_teaching", FULL)])
def test_dice_is_added_with_its_weight_and_zero_leaves_it_out(name, options):
    batch = make_batch()
    target = as_soft_target(batch.target, 2)
    plain = terms(name, {**options, "dice_weight": 0.0}, batch)
    found = terms(name, {**options, "dice_weight": 0.5}, batch)
    for network, scores in logits_of(name, options, batch).items():
        assert "dice" not in plain.networks[network]
        expected = 0.5 * soft_dice(scores, target.probs, target.valid, target.weight)
        torch.testing.assert_close(found.networks[network]["dice"], expected)
    torch.testing.assert_close(
        found.total(), plain.total() + sum(own["dice"] for own in found.networks.values())
    )


def test_dice_of_co_teaching_is_over_what_the_other_network_chose():
    scores = torch.randn(2, 2, 2, 6, 6)
    target = as_soft_target({"mask": torch.randn(2, 2, 6, 6).softmax(1), "w_conf": torch.rand(2, 1, 6, 6)}, 2)
    loss = CoTeachingLoss("cot", 2, 0, 0.8, 0.8, 0.0, forget_end=0.5, dice_weight=1.0)
    found = loss.terms(scores[0], scores[1], target, None)
    losses = [-(target.probs * z.log_softmax(1)).sum(1) for z in scores]
    admitted = retain_most_confident(target.weight, 0.8, valid=target.valid).mask
    label = target.probs.argmax(1)
    for network, teacher, z in (("a", 1, scores[0]), ("b", 0, scores[1])):
        chosen = torch.zeros_like(admitted)
        for code in range(2):
            mine = admitted & (label == code)
            keep = max(1, int(0.5 * mine.sum() + 1e-6))
            limit = losses[teacher][mine].sort().values[keep - 1]
            chosen |= mine & (losses[teacher] <= limit)
        expected = soft_dice(z, target.probs, chosen, target.weight)
        torch.testing.assert_close(found.networks[network]["dice"], expected)


@pytest.mark.parametrize("bad", [[-1.0, 1.0], [0.0, 0.0], [float("nan"), 1.0], ["1", "2"]])
@pytest.mark.usefixtures("unchecked")
def test_weights_that_are_none(bad):
    with pytest.raises(OptionError, match="class_weights"):
        check_class_weights(bad)


@pytest.mark.parametrize("name", ["supervised", "soft_label", "co_teaching"])
def test_as_many_weights_as_classes(name):
    method = create_method(name, {"class_weights": [1.0, 2.0, 3.0]})
    with pytest.raises(OptionError, match="3 for 2 classes"):
        method.setup(toy_network, TaskInfo(num_classes=2, num_items=12, seed=0))


@pytest.mark.parametrize("name", ["soft_label", "co_teaching"])
def test_a_negative_weight_of_dice_is_refused(name):
    with pytest.raises(ConfigError, match=r"method\.dice_weight"):
        create_method(name, {"dice_weight": -1.0})
