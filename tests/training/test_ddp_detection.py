"""Two processes that train a detector with a teacher: each learns from its own images, and both take the mean of the gradients."""

from dataclasses import replace

import pytest
import torch
from box_runs import asked
from toy_boxes import tiny_detector

from coteach.data.keyed import stable_seed
from coteach.methods.base import Step
from coteach.report.logs import read_log
from coteach.training.checkpoints import load_checkpoint, method_weights
from coteach.training.run import train
from coteach.training.streams import StreamLoader, make_loader

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning"),
    pytest.mark.usefixtures("one_thread"),
]


def by_a_plain_loop(run):
    """The method after an epoch: gradients of both processes one after the other, their mean, one step, the teacher's average."""
    method, seed = run.method, run.seed
    method.setup(tiny_detector, run.task)
    method.train()
    batches = []
    for rank in range(2):
        streams = method.streams(0)
        loaders = {
            one.name: make_loader(
                run.datasets[one.source], one, run.loader, seed=seed, rank=rank, world_size=2
            )
            for one in streams
        }
        batches.append(list(StreamLoader(loaders, streams)))
    student = method.networks["a"]
    optimizer = run.make_optimizer(student.parameters())
    for index in range(len(batches[0])):
        before = {name: value.clone() for name, value in student.named_buffers()}
        gradients, after = [], []
        for rank in range(2):
            student.load_state_dict(before, strict=False)
            optimizer.zero_grad()
            step = Step(
                epoch=0, index=index, update=index, seed=stable_seed(seed, "rank", rank) if rank else seed
            )
            method.losses(batches[rank][index], step).total().backward()
            gradients.append([weight.grad.clone() for weight in student.parameters()])
            after.append({name: value.clone() for name, value in student.named_buffers()})
        means = {
            name: (value + after[1][name]) / 2
            for name, value in after[0].items()
            if value.is_floating_point()
        }
        student.load_state_dict(after[0] | means, strict=False)
        for weight, one, two in zip(student.parameters(), *gradients, strict=True):
            weight.grad = (one + two) / 2
        optimizer.step()
        method.after_step(Step(epoch=0, index=index, update=index, seed=seed))
    return method


@pytest.mark.parametrize("name", ["soft_teacher", "unbiased_teacher"])
def test_two_processes_take_the_mean_of_their_gradients(tmp_path, name):
    options = {"labelled_batch": 1, "unlabelled_batch": 2, "ema_decay": 0.5, "ema_ramp": False}
    if name == "soft_teacher":
        options["variance"] = 1.0
    run = asked(tmp_path / "two", name, options, max_steps=3)
    two = replace(run, options=replace(run.options, devices=2, strategy="ddp_fork"))
    trained = method_weights(load_checkpoint(train(two)))
    expected = by_a_plain_loop(asked(tmp_path / "loop", name, options)).state_dict()
    assert trained.keys() == expected.keys()
    for key, value in expected.items():
        torch.testing.assert_close(trained[key], value, rtol=1e-4, atol=1e-6, msg=key)
    found = read_log(tmp_path / "two").figures
    assert found["train/a/unlabelled_loss_classifier"][0] > 0
    assert found["val/AP"].keys() == {0}
