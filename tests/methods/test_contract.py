"""What every method must hold, run over all that are discovered."""

import pytest
import torch
from toys import make_batch
from toys import make_method as make

from coteach.methods.base import Step
from coteach.methods.discovery import discover_methods
from coteach.types import Batch

METHODS = sorted(discover_methods())
# Options under which a method is nothing but supervised training of each of its networks.
NULL_OPTIONS = {
    "supervised": {},
    "soft_label": {},
    "co_teaching": {"e_warm": 0, "p_end": 1.0, "forget_end": 0.0, "lambda_reg": 0.0},
}


def loss_of(method, batch, index=0):
    return method.losses({"train": batch}, Step(epoch=0, index=index, seed=3)).total()


def gradients(method):
    return [torch.zeros_like(p) if p.grad is None else p.grad.clone() for p in method.parameters()]


@pytest.mark.parametrize("name", METHODS)
def test_loss_falls_on_one_batch(name):
    method, batch = make(name), make_batch()
    optimizer = torch.optim.Adam(method.parameters(), lr=0.02)
    first = loss_of(method, batch).item()
    for index in range(60):
        optimizer.zero_grad()
        loss_of(method, batch, index).backward()
        optimizer.step()
    assert loss_of(method, batch).item() < 0.5 * first


@pytest.mark.parametrize("name", METHODS)
def test_same_seed_same_numbers_another_seed_others(name):
    batch = make_batch()
    first, second, other = make(name), make(name), make(name, seed=4)
    torch.manual_seed(0)  # what the global generator holds must not matter
    one = loss_of(first, batch)
    torch.manual_seed(99)
    two = loss_of(second, batch)
    assert one.item() == two.item()
    assert loss_of(other, batch).item() != one.item()


@pytest.mark.parametrize("name", METHODS)
def test_networks_start_differently(name):
    networks = list(make(name).networks.values())
    weights = [next(n.parameters()).detach() for n in networks]
    assert all(not torch.equal(weights[0], w) for w in weights[1:])


@pytest.mark.parametrize("name", METHODS)
def test_items_without_a_label_get_no_gradient(name):
    method, batch = make(name), make_batch()
    for module in method.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.eval()  # batch statistics would couple the pixels
    inputs = batch.inputs.clone().requires_grad_()
    target = {k: v.clone() for k, v in batch.target.items()}
    target["mask"][0], target["w_conf"][0] = 0.5, 0.0
    loss_of(method, Batch(batch.ids, (inputs,), (target,))).backward()
    assert (inputs.grad[0] == 0).all()
    assert (inputs.grad[1] != 0).any()


@pytest.mark.parametrize("name", METHODS)
def test_nothing_labelled_leaves_a_zero_gradient_everywhere(name):
    method, batch = make(name), make_batch()
    target = {
        "mask": torch.full_like(batch.target["mask"], 0.5),
        "w_conf": torch.zeros_like(batch.target["w_conf"]),
    }
    loss = loss_of(method, Batch(batch.ids, batch.views, (target,)))
    loss.backward()
    assert loss.item() == 0
    assert all(p.grad is not None and (p.grad == 0).all() for p in method.parameters())


@pytest.mark.parametrize("name", METHODS)
def test_state_round_trips(name):
    method, batch = make(name), make_batch()
    loss_of(method, batch).backward()
    other = make(name, seed=8)
    other.load_state_dict(method.state_dict())
    method.eval()
    other.eval()
    assert torch.equal(method.predict(batch.inputs), other.predict(batch.inputs))


@pytest.mark.parametrize("name", METHODS)
def test_predictions_are_distributions(name):
    probs = make(name).eval().predict(make_batch().inputs)
    assert probs.shape == (6, 2, 8, 8)
    torch.testing.assert_close(probs.sum(1), torch.ones(6, 8, 8))


@pytest.mark.parametrize("name", METHODS)
def test_null_setting_is_supervised_training(name):
    batch = make_batch()
    target = {"mask": batch.target["mask"], "w_conf": torch.ones_like(batch.target["w_conf"])}
    batch = Batch(batch.ids, batch.views, (target,))
    plain, method = make("supervised"), make(name, NULL_OPTIONS[name])
    loss_of(plain, batch).backward()
    method.losses({"train": batch}, Step(epoch=0, index=0, seed=3)).total().backward()
    expected = gradients(plain)
    own = [torch.zeros_like(p) if p.grad is None else p.grad for p in method.networks["a"].parameters()]
    for e, g in zip(expected, own, strict=True):
        torch.testing.assert_close(g, e, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", METHODS)
def test_order_of_samples_does_not_matter(name):
    method, batch = make(name), make_batch()
    method.eval()  # no dropout, which is drawn by position
    order = torch.tensor([3, 1, 5, 0, 4, 2])
    target = {k: v[order] for k, v in batch.target.items()}
    permuted = Batch(batch.ids[order], (batch.inputs[order],), (target,))
    torch.testing.assert_close(loss_of(method, permuted), loss_of(method, batch), rtol=1e-5, atol=1e-6)
