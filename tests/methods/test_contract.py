"""What every method must hold, run over all that are discovered."""

import copy

import pytest
import torch
import toy_images
import toys

from coteach.errors import InputError
from coteach.methods.base import Step
from coteach.methods.discovery import discover_methods
from coteach.methods.label_method import LabelMethod
from coteach.types import Batch

ONLY_IMAGES = {"elr", "divide_mix", "peer_ensemble"}
# Options under which a method is nothing but supervised training of each of its networks.
NULL_OPTIONS = {
    "supervised": {},
    "soft_label": {},
    "co_teaching": {"e_warm": 0, "p_end": 1.0, "forget_end": 0.0, "lambda_reg": 0.0},
    "co_teaching_plus": {"forget_end": 0.0, "agree_epochs": 1},
    "jocor": {"lambda_agree": 0.0, "forget_end": 0.0},
    "elr": {"lambda_elr": 0.0},
    "divide_mix": {"warm_epochs": 1},
    "peer_ensemble": {
        "warm_epochs": 1,
        "forget_end": "mixture",
        "label_smoothing": 0.0,
        "mixup_alpha": 0.0,
        "consistency": 0.0,
    },
}
# Options with which it is looked at here, where the defaults would not show what it is.
OPTIONS = {
    "co_teaching_plus": {"agree_epochs": 1},
    "elr": {"ema_decay": 0.9},
    "peer_ensemble": {"mixup_alpha": 0.0, "label_smoothing": 0.0},
}
# An image has no neighbours.
IMAGE_OPTIONS = {"co_teaching": {"lambda_reg": 0.0}}
CASES = [
    (name, kind)
    for name, method in sorted(discover_methods().items())
    if issubclass(method, LabelMethod)  # boxes have tests of their own
    for kind in ("maps", "images")
    if kind == "images" or name not in ONLY_IMAGES
]
every_method = pytest.mark.parametrize(("name", "kind"), CASES)


def make(name, kind, options=None, seed=3):
    """The method set up for toy data of a kind, in training mode."""
    if options is None:
        options = OPTIONS.get(name, {}) | (IMAGE_OPTIONS.get(name, {}) if kind == "images" else {})
    if kind == "images":
        return toy_images.image_method(name, options, seed)
    return toys.make_method(name, options, seed)


def make_batch(kind):
    return toy_images.image_batch() if kind == "images" else toys.make_batch()


def loss_of(method, batch, index=0, epoch=1):
    return method.losses({"train": batch}, Step(epoch=epoch, index=index, update=index, seed=3)).total()


def gradients(method):
    return [torch.zeros_like(p) if p.grad is None else p.grad.clone() for p in method.parameters()]


@every_method
def test_loss_falls_on_one_batch(name, kind):
    method, batch = make(name, kind), make_batch(kind)
    optimizer = torch.optim.Adam(method.parameters(), lr=0.02)
    first = loss_of(method, batch, epoch=0).item()  # Co-teaching+ then looks at all items
    for index in range(60):
        optimizer.zero_grad()
        loss_of(method, batch, index).backward()
        optimizer.step()
    assert loss_of(method, batch, epoch=0).item() < 0.5 * first


@every_method
def test_same_seed_same_numbers_another_seed_others(name, kind):
    batch = make_batch(kind)
    first, second, other = make(name, kind), make(name, kind), make(name, kind, seed=4)
    torch.manual_seed(0)  # what the global generator holds must not matter
    one = loss_of(first, batch)
    torch.manual_seed(99)
    two = loss_of(second, batch)
    assert one.item() == two.item()
    assert loss_of(other, batch).item() != one.item()


@every_method
def test_networks_start_differently(name, kind):
    method = make(name, kind)
    weights = [next(method.networks[n].parameters()).detach() for n in method.trained]
    assert all(not torch.equal(weights[0], w) for w in weights[1:])


@every_method
def test_items_without_a_label_get_no_gradient(name, kind):
    method, batch = make(name, kind), make_batch(kind)
    for module in method.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.eval()  # batch statistics would couple the pixels
    inputs = batch.inputs.clone().requires_grad_()
    target = {k: v.clone() for k, v in batch.target.items()}
    target["mask"][0], target["w_conf"][0] = 0.5, 0.0
    loss_of(method, Batch(batch.ids, (inputs,), (target,))).backward()
    assert (inputs.grad[0] == 0).all()
    assert (inputs.grad[1:] != 0).any()


@every_method
def test_nothing_labelled_leaves_a_zero_gradient_everywhere(name, kind):
    method, batch = make(name, kind), make_batch(kind)
    target = {
        "mask": torch.full_like(batch.target["mask"], 0.5),
        "w_conf": torch.zeros_like(batch.target["w_conf"]),
    }
    loss = loss_of(method, Batch(batch.ids, batch.views, (target,)))
    loss.backward()
    assert loss.item() == 0
    assert all(p.grad is not None and (p.grad == 0).all() for p in method.parameters() if p.requires_grad)


@every_method
def test_state_round_trips(name, kind):
    method, batch = make(name, kind), make_batch(kind)
    loss_of(method, batch).backward()
    other = make(name, kind, seed=8)
    other.load_state_dict(method.state_dict())
    assert all(
        torch.equal(v, other.state_dict()[k]) for k, v in method.state_dict().items() if v.isfinite().all()
    )
    method.eval()
    other.eval()
    assert torch.equal(method.predict(batch.inputs), other.predict(batch.inputs))


@every_method
def test_predictions_are_distributions(name, kind):
    probs = make(name, kind).eval().predict(make_batch(kind).inputs)
    assert probs.shape == ((6, 2, 8, 8) if kind == "maps" else (6, 2))
    torch.testing.assert_close(probs.sum(1), torch.ones(6, *probs.shape[2:]))


@every_method
def test_null_setting_is_supervised_training(name, kind):
    batch = make_batch(kind)
    target = {"mask": batch.target["mask"], "w_conf": torch.ones_like(batch.target["w_conf"])}
    batch = Batch(batch.ids, batch.views, (target,))
    plain, method = make("supervised", kind), make(name, kind, NULL_OPTIONS[name])
    loss_of(plain, batch).backward()
    method.losses({"train": batch}, Step(epoch=0, index=0, update=0, seed=3)).total().backward()
    expected = gradients(plain)
    own = [torch.zeros_like(p) if p.grad is None else p.grad for p in method.networks["a"].parameters()]
    for e, g in zip(expected, own, strict=True):
        torch.testing.assert_close(g, e, rtol=1e-5, atol=1e-6)


@every_method
def test_order_of_samples_does_not_matter(name, kind):
    method, batch = make(name, kind), make_batch(kind)
    method.eval()  # no dropout, which is drawn by position
    order = torch.tensor([3, 1, 5, 0, 4, 2])
    target = {k: v[order] for k, v in batch.target.items()}
    permuted = Batch(batch.ids[order], (batch.inputs[order],), (target,))
    again = copy.deepcopy(method)  # what a method remembers of a batch must not decide
    torch.testing.assert_close(loss_of(again, permuted), loss_of(method, batch), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", sorted(ONLY_IMAGES & set(discover_methods())))
def test_methods_of_images_say_so(name):
    method = make(name, "maps")
    with pytest.raises(InputError, match=f"method {name}.*labels are maps of 8 x 8"):
        loss_of(method, make_batch("maps"))
