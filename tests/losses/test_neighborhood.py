"""Neighbourhood consistency against the double sum of eq. 10 and torch's gradient checker."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from coteach.errors import InputError, OptionError
from coteach.losses import neighborhood_sum
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


@pytest.fixture(params=["whole images", "rows one by one"])
def block_bytes(request, monkeypatch):
    """Whatever is computed at once, the result is the same."""
    if request.param == "rows one by one":
        monkeypatch.setattr(neighborhood_sum, "_BLOCK_BYTES", 1)


def test_equals_the_double_sum_whatever_the_shape(block_bytes):
    @given(
        st.tuples(*[st.integers(1, n) for n in (2, 3, 5, 6)]),
        st.integers(0, 99),
        st.sampled_from([0.1, 1.0, 30.0]),
        st.floats(0, 1),
    )
    @settings(max_examples=40)
    def check(shape, seed, scale, holes):
        generator = torch.Generator().manual_seed(seed)
        logits = scale * torch.randn(shape, generator=generator, dtype=torch.float64)
        features = torch.randn(shape[0], 2, *shape[2:], generator=generator, dtype=torch.float64)
        features[:, :, 0, 0] = 0  # similar to nothing
        valid = torch.rand(shape[0], *shape[2:], generator=generator) >= holes
        total, pairs = double_sum(logits, features, valid)
        got = neighborhood_consistency(logits, features, valid, reduction="sum").item()
        assert got == pytest.approx(total, rel=1e-9, abs=1e-12)
        mean = neighborhood_consistency(logits, features, valid).item()
        assert mean == pytest.approx(total / max(pairs, 1), rel=1e-9, abs=1e-12)

    check()


def test_no_padding_neighbours():
    # One row of three pixels: two unordered pairs, four ordered ones.
    logits = torch.tensor([[[[1.0, 0.0, 0.0]], [[0.0, 0.0, 0.0]]]])
    p = 1 / (1 + math.exp(-1))
    kl = (p - 0.5) * (math.log(p) - math.log(0.5)) + (0.5 - p) * (math.log(1 - p) - math.log(0.5))
    assert neighborhood_consistency(logits, torch.ones(1, 1, 1, 3)).item() == pytest.approx(kl / 4, rel=1e-5)


def test_gradient(maps, block_bytes):
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


def test_memory_order_does_not_matter(maps, block_bytes):
    logits, features, valid = maps
    turned = logits.to(memory_format=torch.channels_last)
    assert not turned.is_contiguous()
    results = []
    for scores, data in ((logits, features), (turned, features.to(memory_format=torch.channels_last))):
        leaf = scores.detach().requires_grad_()
        value = neighborhood_consistency(leaf, data, valid)
        value.backward()
        results.append((value.detach(), leaf.grad))
    torch.testing.assert_close(results[0], results[1])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_summed_in_float32(dtype):
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(1, 4, 64, 64, generator=generator).to(dtype).requires_grad_()
    features = torch.rand(1, 3, 64, 64, generator=generator).to(dtype)
    value = neighborhood_consistency(logits, features)
    value.backward()
    wide = logits.detach().double().requires_grad_()
    exact = neighborhood_consistency(wide, features.double())
    exact.backward()
    assert value.dtype == torch.float32
    assert value.item() == pytest.approx(exact.item(), rel=1e-5)
    assert logits.grad.dtype == dtype
    torch.testing.assert_close(logits.grad.double(), wide.grad, rtol=1e-2, atol=1e-7)


def test_without_gradients_none_is_made(maps):
    logits, features, valid = maps
    with torch.no_grad():
        without = neighborhood_consistency(logits, features, valid)
    torch.testing.assert_close(
        without, neighborhood_consistency(logits.requires_grad_(), features, valid).detach()
    )


def test_unknown_reduction(maps, unchecked):
    logits, features, _ = maps
    with pytest.raises(OptionError, match="max"):
        neighborhood_consistency(logits, features, reduction="max")


def test_the_operator_passes_torchs_own_checks():
    sample = (torch.rand(1, 2, 3, 4), torch.rand(1, 4, 3, 4), True)
    torch.library.opcheck(torch.ops.coteach.neighborhood_sum.default, sample)


def test_features_of_another_size_are_refused(maps):
    logits, features, _ = maps
    with pytest.raises(InputError, match="resample"):
        neighborhood_consistency(logits, features[..., :2, :])
