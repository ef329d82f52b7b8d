"""Batches in which nothing has a label leave weights and optimizers as they are, and change nothing of what follows."""

from functools import partial

import numpy as np
import pytest
import torch
from eight_images import IMAGES, LABELS, linear
from same_run import assert_same, assert_same_run, result
from torch.utils._python_dispatch import TorchDispatchMode
from toy_images import ToyImages, image_method, image_network
from toys import PartlyLabelled, ToyMaps, first_step, make_batch, make_method, toy_run, without_labels

from coteach import Supervised, fit
from coteach.losses.target import all_labelled
from coteach.methods.discovery import discover_methods
from coteach.methods.label_method import LabelMethod
from coteach.training.options import SchedulerOptions, TrainerOptions
from coteach.training.run import train
from coteach.training.stepper import Stepper
from coteach.training.streams import LoaderOptions

ADAMW = partial(torch.optim.AdamW, lr=0.05, weight_decay=0.1)
OPTIMIZERS = [
    ADAMW,
    partial(torch.optim.SGD, lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.1),
    partial(torch.optim.RMSprop, lr=0.01, momentum=0.9, weight_decay=0.1),
]
EACH_STEP = SchedulerOptions(make=lambda o: torch.optim.lr_scheduler.StepLR(o, 1, gamma=0.5), interval="step")
LABEL_METHODS = sorted(name for name, one in discover_methods().items() if issubclass(one, LabelMethod))


def learn(groups, make_optimizer, precision="32-true"):
    """Train by groups of batches, a step each; gives what is left at the end."""
    method = make_method("co_teaching", {"e_warm": 1})
    networks = [method.networks[name] for name in method.trained]
    optimizers = [make_optimizer(network.parameters()) for network in networks]
    options = TrainerOptions(max_epochs=1, accelerator="cpu", precision=precision, gradient_clip_val=0.5)
    stepper = Stepper(options)
    for group in groups:
        for batch in group:
            with stepper.autocast(torch.device("cpu")):
                loss = method.losses({"train": batch}, first_step()).total()
            stepper.scaler.scale(loss).backward()
        learned = any(bool(batch.target["w_conf"].any()) for batch in group)
        assert stepper.step(optimizers, networks) == learned
        assert all(weight.grad is None for weight in method.parameters())
    states = [optimizer.state_dict() for optimizer in optimizers]
    return {"weights": list(method.parameters()), "optimizers": states, "scaler": stepper.scaler.state_dict()}


@pytest.mark.parametrize("make_optimizer", OPTIMIZERS, ids=lambda one: one.func.__name__)
@pytest.mark.parametrize("precision", ["32-true", "16-mixed"])
def test_without_such_batches_all_would_be_the_same(make_optimizer, precision):
    first, second = make_batch(6), make_batch(12)
    none = without_labels(second)
    plain = learn([[first], [second], [first]], make_optimizer, precision)
    mixed = learn([[none], [first], [none], [none], [second], [first], [none]], make_optimizer, precision)
    assert_same(plain, mixed, "co_teaching")
    assert any(weight.abs().max() > 0.1 for weight in plain["weights"])


def test_a_group_of_batches_steps_if_one_of_them_has_a_label():
    batch = make_batch(6)
    none = without_labels(batch)
    assert_same(learn([[batch], [batch]], ADAMW), learn([[none, batch], [batch, none]], ADAMW), "groups")


def test_of_two_networks_only_that_which_learns_steps():
    networks = [torch.nn.Linear(2, 1) for _ in range(2)]
    optimizers = [ADAMW(network.parameters()) for network in networks]
    before = [network.weight.detach().clone() for network in networks]
    (networks[0](torch.ones(1, 2)) * 0 + networks[1](torch.ones(1, 2))).sum().backward()
    assert Stepper(TrainerOptions(max_epochs=1, accelerator="cpu")).step(optimizers, networks)
    assert torch.equal(networks[0].weight, before[0])
    assert not torch.equal(networks[1].weight, before[1])


def test_a_gradient_that_is_no_number_is_one():
    network = torch.nn.Linear(2, 1)
    (network(torch.ones(1, 2)) * torch.inf * 0).sum().backward()
    assert Stepper(TrainerOptions(max_epochs=1, accelerator="cpu")).step(
        [ADAMW(network.parameters())], [network]
    )
    assert network.weight.isnan().all()


# Options under which two epochs show all that a method does; DivideMix learns without labels after its warm-up.
SHORT = {"elr": {"ema_decay": 0.9}, "divide_mix": {"warm_epochs": 2}}


@pytest.mark.parametrize("name", LABEL_METHODS)
def test_a_run_without_labels_ends_with_the_weights_that_it_began_with(tmp_path, name):
    """Of every method, the means of its networks too; buffers of batch normalisation are statistics of the images."""
    run = toy_run(
        tmp_path,
        name,
        method_options=SHORT.get(name, {}),
        make_network=image_network,
        make_optimizer=ADAMW,
        scheduler=EACH_STEP,
        datasets={"train": PartlyLabelled(ToyImages())},
        options={"log_images": 0},
    )
    train(run)
    end, start = result(tmp_path), image_method(name, SHORT.get(name), seed=run.seed)
    assert end["coteach"]["batches_seen"] == end["lr_schedulers"][0]["last_epoch"] == 6
    assert [state["state"] for state in end["optimizer_states"]] == [{}] * len(start.trained)
    for key, value in start.named_parameters():
        assert torch.equal(end["state_dict"][f"method.{key}"], value), key


def test_a_run_with_such_batches_goes_on_bit_for_bit(tmp_path):
    """Four maps of twelve have labels: of two each, many batches have none, and some groups of two batches."""

    def run(folder, **length):
        options = {"max_epochs": 2, "accumulate_grad_batches": 2, "log_images": 0, "log_every_n_steps": 1}
        changes = {
            "make_optimizer": ADAMW,
            "scheduler": EACH_STEP,
            "datasets": {"train": PartlyLabelled(ToyMaps(), range(4)), "val": ToyMaps(4, noise=0)},
            "loader": LoaderOptions(batch_size=2),
            "options": options | length,
        }
        train(toy_run(folder, **changes))

    run(tmp_path / "whole")
    for stop in (2, 5, 9):
        run(tmp_path / "parts", max_steps=stop)
    run(tmp_path / "parts")
    assert_same_run(tmp_path / "parts", tmp_path / "whole")
    taken = {
        int(weight["step"])
        for optimizer in result(tmp_path / "whole")["optimizer_states"]
        for weight in optimizer["state"].values()
    }
    assert 0 < max(taken) < 6, "of six groups some have no label, and take no step"
    assert result(tmp_path / "whole")["coteach"]["updates"] == max(taken)


class Waits(TorchDispatchMode):
    """How often the host would wait for a device: for a number, or for a list of them, which on the CPU no dispatch shows."""

    def __init__(self, monkeypatch):
        super().__init__()
        self.count, plain = 0, torch.Tensor.tolist
        monkeypatch.setattr(torch.Tensor, "tolist", lambda tensor: (self.wait(), plain(tensor))[1])

    def wait(self):
        self.count += 1

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func in (torch.ops.aten._local_scalar_dense.default, torch.ops.aten.is_nonzero.default):
            self.wait()
        return func(*args, **(kwargs or {}))


# options, and in which of two epochs gradients are looked at although all images have a label
LOOKED_AT = {
    "supervised": ({}, []),
    "soft_label": ({}, []),
    "elr": ({}, []),
    "jocor": ({"forget_end": 0.4, "e_warm": 0}, []),
    "co_teaching_plus": ({"agree_epochs": 1}, []),
    "co_teaching": ({"lambda_reg": 0, "e_warm": 1}, []),
    "peer_ensemble": ({"warm_epochs": 1, "consistency": 1.0, "ramp_epochs": 0, "forget_end": 0.2}, [0]),
}


def waits_of_a_run(folder, monkeypatch, name, options, data, **more):
    """Of each step of three a epoch."""
    waits, found, plain = Waits(monkeypatch), [], Stepper.step

    def step(self, *args, **kwargs):
        waits.count = 0
        with waits:
            result = plain(self, *args, **kwargs)
        found.append(waits.count)
        return result

    monkeypatch.setattr(Stepper, "step", step)
    run = toy_run(
        folder,
        name,
        method_options=options,
        make_network=image_network,
        make_optimizer=partial(torch.optim.SGD, lr=0.1, momentum=0.9),
        datasets={"train": data},
        options={"log_images": 0, "max_epochs": 2} | more,
    )
    train(run)
    return [bool(count) for count in found]


@pytest.mark.parametrize("name", LOOKED_AT)
def test_where_all_images_have_a_label_no_step_waits(tmp_path, monkeypatch, name):
    options, epochs = LOOKED_AT[name]
    found = waits_of_a_run(tmp_path, monkeypatch, name, options, ToyImages())
    assert len(found) == 6
    assert found == [epoch in epochs for epoch in (0, 0, 0, 1, 1, 1)]


@pytest.mark.parametrize(
    "options",
    [{"class_weights": [1.0, 0.0]}, {"forget_end": "auto"}, {"retain_by": "set"}, {"balance": "set"}],
)
def test_where_a_labelled_batch_may_teach_nothing_gradients_are_looked_at(tmp_path, monkeypatch, options):
    options = {"lambda_reg": 0, "e_warm": 1} | options
    found = waits_of_a_run(tmp_path, monkeypatch, "co_teaching", options, ToyImages(), max_epochs=1)
    assert found == [True] * 3


def test_one_image_without_a_label_is_enough_to_look(tmp_path, monkeypatch):
    data = PartlyLabelled(ToyImages(), range(1, len(ToyImages())))
    found = waits_of_a_run(tmp_path, monkeypatch, "supervised", {}, data)
    assert [sum(found[:3]), sum(found[3:])] == [1, 1]


def test_of_a_group_one_batch_that_surely_teaches_is_enough(tmp_path, monkeypatch):
    data = PartlyLabelled(ToyImages(), range(1, len(ToyImages())))
    found = waits_of_a_run(tmp_path, monkeypatch, "supervised", {}, data, accumulate_grad_batches=3)
    assert found == [False, False]


def test_maps_and_what_lies_on_a_device_are_not_asked():
    assert all_labelled(torch.tensor([0, 1, 2]), 3)
    assert not all_labelled(torch.tensor([0, 3, 2]), 3)
    assert not all_labelled(torch.tensor([0, 1], device="meta"), 3)
    assert not all_labelled(torch.zeros(2, 4, 4, dtype=torch.int64), 3)
    assert not all_labelled(torch.zeros(2, 3, dtype=torch.int64), 3), "maps of one line"
    assert all_labelled({"mask": torch.eye(3), "w_conf": torch.ones(3, 1)}, 3)
    assert not all_labelled({"mask": torch.eye(3), "w_conf": torch.tensor([[1.0], [0.0], [1.0]])}, 3)
    assert not all_labelled(None, 3)
    assert not all_labelled([{"boxes": torch.zeros(1, 4)}], 3)


@pytest.mark.filterwarnings("ignore:16-mixed:coteach.errors.CoteachWarning")
def test_a_fused_optimizer_passes_over_gradients_that_overflow(tmp_path):
    """Those of the first steps do, at the scale that torch begins with; each time it is halved."""
    images = 100 * IMAGES
    found = []
    for fused in (True, False):
        result = fit(
            linear,
            (images, LABELS),
            method=Supervised(),
            optimizer=partial(torch.optim.AdamW, lr=0.001, fused=fused),
            options=TrainerOptions(precision="16-mixed", log_images=0),
            output_dir=tmp_path / str(fused),
            epochs=10,
            batch_size=4,
            device="cpu",
        )
        kept = torch.load(tmp_path / str(fused) / "checkpoints" / "last.ckpt", weights_only=True)
        assert kept["coteach"]["stepper"]["scaler"]["scale"] < 2**13
        found.append(result.predict(images[:, None]))
    np.testing.assert_allclose(*found, atol=1e-3)


@pytest.mark.filterwarnings("ignore:16-mixed:coteach.errors.CoteachWarning")
@pytest.mark.parametrize("keep", ["last", "best"])
def test_an_epoch_of_gradients_that_overflow_has_a_checkpoint(keep, tmp_path):
    images = 100 * IMAGES
    result = fit(
        linear,
        (images, LABELS),
        val=(images, LABELS),
        method=Supervised(),
        options=TrainerOptions(precision="16-mixed", log_images=0),
        output_dir=tmp_path,
        epochs=2,
        batch_size=8,
        device="cpu",
        keep=keep,
    )
    assert np.isfinite(result.predict(images)).all()
    kept = torch.load(tmp_path / "checkpoints" / "last.ckpt", weights_only=True)
    assert kept["coteach"]["stepper"]["scaler"]["scale"] == 2**14, "some gradients did not overflow"
    assert kept["coteach"]["epochs"] == 2
