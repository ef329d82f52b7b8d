"""Weighted soft cross-entropy: hand-worked cases, torch's own cross-entropy, null settings, gradients."""

import math

import pytest
import torch
from torch.nn import functional as F

from coteach import SoftLabelWeightedCELoss
from coteach.errors import InputError, OptionError
from coteach.losses.soft_cross_entropy import masked_mean, soft_cross_entropy


@pytest.fixture
def maps():
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(2, 3, 4, 5, generator=generator)
    probs = torch.rand(2, 3, 4, 5, generator=generator).softmax(1)
    weight = torch.rand(2, 1, 4, 5, generator=generator)
    return logits, probs, weight


def test_hand_worked_pixel():
    # Equal scores of two classes: −(0.5·log ½ + 0.5·log ½) = log 2, times 0.25.
    loss = SoftLabelWeightedCELoss("ce", 2)
    target = {"mask": torch.full((1, 2, 1, 1), 0.5), "w_conf": torch.full((1, 1, 1, 1), 0.25)}
    assert loss.compute(torch.zeros(1, 2, 1, 1), target).item() == pytest.approx(0.25 * math.log(2))


def test_equals_torch_on_soft_labels(maps):
    logits, probs, _ = maps
    torch.testing.assert_close(
        soft_cross_entropy(logits, probs), F.cross_entropy(logits, probs, reduction="none")
    )
    torch.testing.assert_close(
        SoftLabelWeightedCELoss("ce", 3).compute(logits, probs), F.cross_entropy(logits, probs)
    )


def test_one_hot_with_weight_one_is_plain_cross_entropy(maps):
    logits, probs, weight = maps
    hard = probs.argmax(1)
    target = {"mask": F.one_hot(hard, 3).movedim(-1, 1).float(), "w_conf": torch.ones_like(weight)}
    torch.testing.assert_close(
        SoftLabelWeightedCELoss("ce", 3).compute(logits, target), F.cross_entropy(logits, hard)
    )


def test_both_normalisations_against_a_loop(maps):
    logits, probs, weight = maps
    total = weights = count = 0.0
    for b in range(2):
        for y in range(4):
            for x in range(5):
                scores = logits[b, :, y, x].tolist()
                log_sum = math.log(sum(math.exp(z) for z in scores))
                l_i = -sum(p * (z - log_sum) for p, z in zip(probs[b, :, y, x].tolist(), scores, strict=True))
                total, weights, count = (
                    total + weight[b, 0, y, x].item() * l_i,
                    weights + weight[b, 0, y, x].item(),
                    count + 1,
                )
    target = {"mask": probs, "w_conf": weight}
    assert SoftLabelWeightedCELoss("a", 3).compute(logits, target).item() == pytest.approx(
        total / count, rel=1e-5
    )
    by_weights = SoftLabelWeightedCELoss("b", 3, normalize_by="weights")
    assert by_weights.compute(logits, target).item() == pytest.approx(total / weights, rel=1e-5)


def test_pixels_without_a_label_get_no_gradient_and_do_not_count(maps):
    logits, probs, weight = maps
    logits.requires_grad_()
    probs[0, :, 0, 0], weight[0, 0, 0, 0] = 1 / 3, 0  # as the data sets write it
    probs[0, :, 0, 1] = 0  # as other tools write it
    probs[0, :, 0, 2] = float("nan")
    loss = SoftLabelWeightedCELoss("ce", 3).compute(logits, {"mask": probs, "w_conf": weight})
    loss.backward()
    assert (logits.grad[0, :, 0, :3] == 0).all()
    assert (logits.grad[0, :, 0, 3] != 0).any()
    rest = [(b, y, x) for b in range(2) for y in range(4) for x in range(5) if (b, y) != (0, 0) or x > 2]
    items = F.cross_entropy(logits.detach(), probs, reduction="none")
    expected = sum(items[i] * weight[i[0], 0, i[1], i[2]] for i in rest) / len(rest)
    torch.testing.assert_close(loss.detach(), expected)


def test_nothing_labelled_gives_a_zero_that_touches_every_score(maps):
    logits, _, _ = maps
    logits.requires_grad_()
    loss = SoftLabelWeightedCELoss("ce", 3).compute(logits, torch.zeros(2, 3, 4, 5))
    loss.backward()
    assert loss.item() == 0
    assert (logits.grad == 0).all()


def test_half_precision_is_summed_in_float32(maps):
    logits, probs, _ = maps
    assert soft_cross_entropy(logits.half(), probs).dtype == torch.float32


def test_images_without_pixels_are_items_too():
    logits = torch.tensor([[2.0, 0.0], [0.0, 1.0]])
    target = {"mask": torch.tensor([[1.0, 0.0], [0.0, 1.0]]), "w_conf": torch.tensor([1.0, 0.5])}
    expected = (math.log1p(math.exp(-2)) + 0.5 * math.log1p(math.exp(-1))) / 2
    assert SoftLabelWeightedCELoss("ce", 2).compute(logits, target).item() == pytest.approx(expected)


def test_bad_shapes_and_keys_are_named(maps, unchecked):
    logits, probs, weight = maps
    loss = SoftLabelWeightedCELoss("ce", 3)
    with pytest.raises(InputError, match=r"\(2, 3, 4, 4\)"):
        loss.compute(logits[..., :4], probs)
    with pytest.raises(InputError, match="num_classes"):
        SoftLabelWeightedCELoss("ce", 4).compute(logits, probs)
    with pytest.raises(InputError, match="'mask'"):
        loss.compute(logits, {"p": probs})
    with pytest.raises(InputError, match="one weight an item"):
        loss.compute(logits, {"mask": probs, "w_conf": weight[:1]})
    with pytest.raises(OptionError, match="normalize_by"):
        SoftLabelWeightedCELoss("ce", 3, normalize_by="pixels")


def test_masked_mean_divides_once():
    losses, mask = torch.tensor([1.0, 2.0, 3.0, 4.0]), torch.tensor([True, True, False, False])
    assert masked_mean(losses, mask, torch.tensor([0.5, 1.0, 1.0, 1.0])).item() == pytest.approx(1.25)
