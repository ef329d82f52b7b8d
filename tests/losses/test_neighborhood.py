"""Neighbourhood consistency against the double sum of eq. 10 and torch's gradient checker."""

import math

import pytest
import torch

from coteach.errors import InputError
from coteach.losses.neighborhood import neighborhood_consistency


def double_sum(logits, features, valid):
    """Σ_i Σ_{j∈N(i)} max(0, S_ij)·KL(p_i‖p_j) and the number of ordered pairs, by loops."""
    p = logits.softmax(1)
    batch, classes, height, width = logits.shape
    total, pairs = 0.0, 0
    for b in range(batch):
        for y in range(height):
            for x in range(width):
                for dy in (-1, 0, 1):
                    for dx in (-1, 0, 1):
                        v, u = y + dy, x + dx
                        if (dy, dx) == (0, 0) or not (0 <= v < height and 0 <= u < width):
                            continue
                        if not (valid[b, y, x] and valid[b, v, u]):
                            continue
                        f, g = features[b, :, y, x].tolist(), features[b, :, v, u].tolist()
                        norm = math.hypot(*f) * math.hypot(*g)
                        cosine = sum(i * j for i, j in zip(f, g, strict=True)) / norm if norm else 0.0
                        kl = sum(
                            p[b, c, y, x].item() * math.log(p[b, c, y, x].item() / p[b, c, v, u].item())
                            for c in range(classes)
                        )
                        total, pairs = total + max(0.0, cosine) * kl, pairs + 1
    return total, pairs


@pytest.fixture
def maps():
    generator = torch.Generator().manual_seed(2)
    logits = torch.randn(2, 3, 4, 5, generator=generator, dtype=torch.float64)
    features = torch.randn(2, 4, 4, 5, generator=generator, dtype=torch.float64)  # some cosines are negative
    valid = torch.rand(2, 4, 5, generator=generator) > 0.2
    return logits, features, valid


def test_equals_the_double_sum(maps):
    logits, features, valid = maps
    for mask in (valid, torch.ones_like(valid)):
        total, pairs = double_sum(logits, features, mask)
        assert neighborhood_consistency(logits, features, mask, reduction="sum").item() == pytest.approx(
            total
        )
        assert neighborhood_consistency(logits, features, mask).item() == pytest.approx(total / pairs)


def test_no_padding_neighbours():
    # One row of three pixels: two unordered pairs, four ordered ones.
    logits = torch.tensor([[[[1.0, 0.0, 0.0]], [[0.0, 0.0, 0.0]]]])
    p = 1 / (1 + math.exp(-1))
    kl = (p - 0.5) * (math.log(p) - math.log(0.5)) + (0.5 - p) * (math.log(1 - p) - math.log(0.5))
    assert neighborhood_consistency(logits, torch.ones(1, 1, 1, 3)).item() == pytest.approx(kl / 4, rel=1e-5)


def test_gradient(maps):
    logits, features, valid = maps
    logits.requires_grad_()
    assert torch.autograd.gradcheck(lambda z: neighborhood_consistency(z, features, valid), (logits,))


def test_similarity_is_detached_and_invalid_pixels_get_no_gradient(maps):
    logits, features, valid = maps
    logits.requires_grad_()
    features.requires_grad_()
    neighborhood_consistency(logits, features, valid).backward()
    assert features.grad is None
    assert (logits.grad.movedim(1, -1)[~valid] == 0).all()


def test_nothing_to_compare_is_a_zero_with_zero_gradients(maps):
    logits, features, valid = maps
    logits.requires_grad_()
    loss = neighborhood_consistency(logits, features, torch.zeros_like(valid))
    loss.backward()
    assert loss.item() == 0
    assert (logits.grad == 0).all()


def test_features_of_another_size_are_refused(maps):
    logits, features, _ = maps
    with pytest.raises(InputError, match="resample"):
        neighborhood_consistency(logits, features[..., :2, :])
