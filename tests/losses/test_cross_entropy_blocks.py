"""Soft cross-entropy in blocks against torch's own functions and its gradient checker."""

import pytest
import torch
from torch.nn import functional as F

from coteach.losses import cross_entropy_blocks
from coteach.losses.cross_entropy_blocks import cross_entropy_and_neighborhood, cross_entropy_in_blocks
from coteach.losses.neighborhood import neighbor_similarity, neighborhood_consistency
from coteach.losses.soft_cross_entropy import soft_cross_entropy


@pytest.fixture(params=["whole images", "few pixels at once"])
def block_bytes(request, monkeypatch):
    """Whatever is computed at once, the result is the same."""
    if request.param == "few pixels at once":
        monkeypatch.setattr(cross_entropy_blocks, "_BLOCK_BYTES", 200)


@pytest.fixture
def maps():
    generator = torch.Generator().manual_seed(5)
    logits = torch.randn(2, 3, 5, 6, generator=generator, dtype=torch.float64)
    return (
        logits,
        torch.rand(2, 3, 5, 6, generator=generator),
        torch.rand(2, 2, 5, 6, generator=generator).double(),
    )


def test_loss_and_gradient_are_those_of_the_formula(maps, block_bytes):
    logits, probs, _ = maps  # the labels need not sum to 1
    probs[0, :, 0, 0] = torch.nan  # counts as no label
    weight = torch.linspace(-1, 1, 60).view(2, 5, 6).double()
    results = []
    for run in (
        lambda z: cross_entropy_in_blocks(z, probs),
        lambda z: -(probs.double().nan_to_num() * z.log_softmax(1)).sum(1),
    ):
        leaf = logits.clone().requires_grad_()
        losses = run(leaf)
        (losses * weight).sum().backward()
        results.append((losses.detach(), leaf.grad))
    torch.testing.assert_close(results[0], results[1])


def test_hard_labels_are_torchs_cross_entropy(maps, block_bytes):
    logits, probs, _ = maps
    label = probs.argmax(1)
    one_hot = F.one_hot(label, 3).movedim(-1, 1).float()
    torch.testing.assert_close(
        cross_entropy_in_blocks(logits, one_hot), F.cross_entropy(logits, label, reduction="none")
    )


def test_with_the_neighbourhood_term_both_get_their_gradient(maps, block_bytes):
    logits, probs, features = maps
    similarity = neighbor_similarity(features)
    results = []
    for together in (True, False):
        leaf = logits.clone().requires_grad_()
        if together:
            losses, total = cross_entropy_and_neighborhood(leaf, probs, similarity)
        else:
            losses = -(probs.double() * leaf.log_softmax(1)).sum(1)
            total = neighborhood_consistency(leaf, features, reduction="sum")
        (losses.square().sum() + 0.3 * total).backward()
        results.append((losses.detach(), total.detach(), leaf.grad))
    torch.testing.assert_close(results[0], results[1])


@pytest.mark.parametrize("order", [(0, 1, 3, 2), (0, 2, 3, 1), (3, 2, 1, 0)])
def test_memory_order_does_not_matter(maps, order, block_bytes):
    logits, probs, features = maps
    back = [order.index(axis) for axis in range(4)]
    results = []
    for turned in (logits, logits.permute(order).contiguous().permute(back)):
        for both in (True, False):
            leaf = turned.detach().requires_grad_()
            if both:
                losses, total = cross_entropy_and_neighborhood(leaf, probs, neighbor_similarity(features))
                (losses.sum() + total).backward()
            else:
                cross_entropy_in_blocks(leaf, probs).sum().backward()
            results.append(leaf.grad)
    assert not turned.is_contiguous()
    torch.testing.assert_close(results[:2], results[2:])


def test_gradcheck(maps, block_bytes):
    logits, probs, features = maps
    similarity = neighbor_similarity(features)
    logits.requires_grad_()  # the checker walks the graph again and again
    assert torch.autograd.gradcheck(lambda z: cross_entropy_in_blocks(z, probs), (logits,))
    assert torch.autograd.gradcheck(lambda z: cross_entropy_and_neighborhood(z, probs, similarity), (logits,))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_summed_in_float32(dtype):
    generator = torch.Generator().manual_seed(5)
    logits = (4 * torch.randn(1, 40, 9, 9, generator=generator)).to(dtype).requires_grad_()
    probs = torch.rand(1, 40, 9, 9, generator=generator).softmax(1)
    losses = cross_entropy_in_blocks(logits, probs)
    losses.sum().backward()
    exact = -(probs.double() * logits.detach().double().log_softmax(1)).sum(1)
    assert losses.dtype == torch.float32
    torch.testing.assert_close(losses.double(), exact, rtol=1e-5, atol=1e-5)
    assert logits.grad.dtype == dtype


def test_labels_that_learn_get_a_gradient_too():
    logits, probs = torch.randn(2, 3, 4, 4), torch.rand(2, 3, 4, 4, requires_grad=True)
    soft_cross_entropy(logits, probs).sum().backward()
    torch.testing.assert_close(probs.grad, -logits.log_softmax(1))


def test_the_operators_pass_torchs_own_checks():
    logits, probs, upstream = torch.rand(2, 3, 7), torch.rand(2, 3, 7), torch.rand(2, 7)
    torch.library.opcheck(torch.ops.coteach.soft_cross_entropy.default, (logits, probs))
    gradient = torch.rand(2, 3, 7)
    for scale in (None, torch.tensor(0.5)):
        sample = (gradient, logits, probs, upstream, scale)
        torch.library.opcheck(torch.ops.coteach.soft_cross_entropy_gradient.default, sample)
