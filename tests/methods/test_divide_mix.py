"""DivideMix: how the set is divided, one step against loops written from the paper, and a run of it."""

import math

import pytest
import torch
from toy_images import ToyImages, draw, image_batch, image_method, step_of

from coteach.errors import ConfigError
from coteach.losses.mixup import draw_mixing
from coteach.methods.base import Stream
from coteach.methods.discovery import create_method

WRONG = (0, 5, 7)
OPTIONS = {"warm_epochs": 1, "lambda_u": 10.0, "ramp_epochs": 4}


def scan_of(data, calls=None):
    def scan(stream):
        if calls is not None:
            calls.append(stream)
        for start in range(0, len(data), 5):
            yield draw(stream, dataset=data, ids=range(start, min(start + 5, len(data))))

    return scan


def trained(data, steps=60):
    """A method whose networks know what the images show."""
    method = image_method("divide_mix", OPTIONS, num_items=len(data))
    batch = draw(Stream(augment=False), dataset=ToyImages(len(data)))  # right labels
    optimizer = torch.optim.Adam(method.parameters(), lr=0.02)
    for index in range(steps):
        optimizer.zero_grad()
        method.losses({"train": batch}, step_of(0, index)).total().backward()
        optimizer.step()
    return method


def test_the_set_is_divided_by_the_other_networks_losses():
    data, calls = ToyImages(24, wrong=WRONG), []
    method = trained(data)
    method.networks["b"][-1].weight.data.zero_()  # b knows nothing: by its losses all are alike
    method.networks["b"][-1].bias.data.zero_()
    method.prepare_epoch(1, scan_of(data, calls))
    assert (calls[0].augment, calls[0].shuffle) == (False, False)
    right = [i for i in range(24) if i not in WRONG]
    streams = {stream.name: stream for stream in method.streams(1)}
    assert list(streams) == ["a/labelled", "b/labelled", "b/unlabelled"]
    assert list(streams["a/labelled"].ids) == list(range(24))
    assert list(streams["b/labelled"].ids) == right
    assert list(streams["b/unlabelled"].ids) == list(WRONG)
    assert [streams[name].endless for name in streams] == [False, False, True]
    assert all(stream.views == 2 for stream in streams.values())
    assert method.clean[0, right].min() > 0.5 > method.clean[0, list(WRONG)].max()


def test_what_a_resumed_run_needs_is_in_the_checkpoint():
    data, calls = ToyImages(24, wrong=WRONG), []
    method = trained(data)
    method.prepare_epoch(1, scan_of(data))
    other = image_method("divide_mix", OPTIONS, seed=9, num_items=24)
    other.load_state_dict(method.state_dict())
    other.prepare_epoch(1, scan_of(data, calls))
    assert calls == []
    assert other.streams(1) == method.streams(1)
    other.prepare_epoch(2, scan_of(data, calls))
    assert len(calls) == 1


def test_the_warm_up_does_not_divide():
    method, calls = image_method("divide_mix", OPTIONS), []
    method.prepare_epoch(0, scan_of(ToyImages(), calls))
    assert calls == []
    assert method.streams(0) == (Stream(),)


def test_penalty_on_confidence_in_the_warm_up():
    plain, penalised = (image_method("divide_mix", {"confidence_weight": w}).eval() for w in (0.0, 2.0))
    batch = image_batch()
    probs = [plain.networks[n](batch.inputs).softmax(1).tolist() for n in "ab"]
    entropy = sum(-sum(p * math.log(p) for p in row) for own in probs for row in own) / 6
    difference = (
        plain.losses({"train": batch}, step_of(0)).total()
        - penalised.losses({"train": batch}, step_of(0)).total()
    )
    assert difference.item() == pytest.approx(2 * entropy, rel=1e-4)


def test_images_without_a_label_are_unlabelled():
    class Partly(ToyImages):
        def plain(self, index):
            sample = super().plain(index)
            if index in (2, 3):
                sample["mask"] = {"mask": torch.full((2,), 0.5), "w_conf": torch.tensor(0.0)}
            return sample

    data = Partly(24)
    method = trained(data)
    method.prepare_epoch(1, scan_of(data))
    for stream in method.streams(1):
        assert ({2, 3} <= set(stream.ids)) == stream.name.endswith("/unlabelled")


def sharpen(row):
    return [p**2 / sum(q**2 for q in row) for p in row]  # T = 0.5


def mean(*rows):
    return [sum(values) / len(rows) for values in zip(*rows, strict=True)]


def says(network, image):
    return network(image[None]).softmax(1)[0].tolist()


@pytest.mark.parametrize("epoch", [1, 3, 9])
def test_one_step_by_loops(epoch):
    data = ToyImages(24, wrong=WRONG)
    method = trained(data, steps=3).eval()
    method.clean[:] = torch.rand(2, 24, generator=torch.Generator().manual_seed(0))
    labelled, unlabelled = Stream(views=2), Stream(views=2)
    batches = {
        "a/labelled": draw(labelled, dataset=data, ids=[1, 5, 8]),
        "a/unlabelled": draw(unlabelled, dataset=data, ids=[0, 7]),
    }
    own, other = method.networks["a"], method.networks["b"]
    inputs, targets, items = [], [], []
    x, u = batches["a/labelled"], batches["a/unlabelled"]
    refined = []
    for i in range(3):
        w = method.clean[1, x.ids[i]].item()  # the other network's verdict
        said = mean(*(says(own, view[i]) for view in x.views))
        label = x.target["mask"][i].tolist()
        refined.append(sharpen([w * y + (1 - w) * p for y, p in zip(label, said, strict=True)]))
    guessed = [
        sharpen(mean(*(says(net, view[i]) for net in (own, other) for view in u.views))) for i in range(2)
    ]
    for batch, probs in ((x, refined), (u, guessed)):
        for number, view in enumerate(batch.views):
            for i, image in enumerate(view):
                inputs.append(image)
                targets.append(probs[i])
                items.append(2 * batch.ids[i].item() + number)
    mixing = draw_mixing(torch.tensor(items), 4.0, seed=3, step=0, stream="a")
    l_x = l_u = 0.0
    everything = []
    for i, j in enumerate(mixing.partner.tolist()):
        p = says(own, mixing.share * inputs[i] + (1 - mixing.share) * inputs[j])
        target = [
            mixing.share * a + (1 - mixing.share) * b for a, b in zip(targets[i], targets[j], strict=True)
        ]
        everything.append(p)
        if i < 6:
            l_x -= sum(t * math.log(q) for t, q in zip(target, p, strict=True)) / 6
        else:
            l_u += sum((t - q) ** 2 for t, q in zip(target, p, strict=True)) / 2 / 4
    l_reg = sum(0.5 * math.log(0.5 / m) for m in mean(*everything))
    terms = method.losses(batches, step_of(epoch)).networks
    assert list(terms) == ["a"]
    assert terms["a"]["labelled"].item() == pytest.approx(l_x, rel=1e-4)
    assert terms["a"]["unlabelled"].item() == pytest.approx(min((epoch - 1) / 4, 1) * 10 * l_u, rel=1e-4)
    assert terms["a"]["prior"].item() == pytest.approx(l_reg, rel=1e-3, abs=1e-6)


def test_guesses_are_made_in_evaluation_mode_and_give_no_gradient_to_the_other():
    data = ToyImages(24, wrong=WRONG)
    method = trained(data, steps=3).train()
    before = method.networks["b"][1].running_mean.clone()
    method.zero_grad()
    batches = {
        "a/labelled": draw(Stream(views=2), dataset=data, ids=range(4)),
        "a/unlabelled": draw(Stream(views=2), dataset=data, ids=range(4, 8)),
    }
    method.losses(batches, step_of(2)).total().backward()
    assert torch.equal(method.networks["b"][1].running_mean, before)
    assert all(part.training for part in method.networks.modules())
    assert all(p.grad is None for p in method.networks["b"].parameters())
    assert all(p.grad is not None for p in method.networks["a"].parameters())


def test_it_trains_in_a_run(tmp_path):
    """By the training module itself: scan, streams of both networks, resumed after two epochs of three."""
    from toy_images import image_network
    from toys import toy_run

    from coteach.training.checkpoints import load_checkpoint
    from coteach.training.run import train

    data = ToyImages(24, wrong=WRONG)

    def run(folder, epochs):
        changes = {"datasets": {"train": data, "val": ToyImages(8, noise=0)}, "make_network": image_network}
        options = {"max_epochs": epochs}
        return toy_run(folder, "divide_mix", method_options=OPTIONS, options=options, **changes)

    whole = load_checkpoint(train(run(tmp_path / "whole", 3)))
    train(run(tmp_path / "parts", 2))
    parts = load_checkpoint(train(run(tmp_path / "parts", 3)))
    assert whole["state_dict"]["method.divided"] == 2
    for key, value in whole["state_dict"].items():
        assert torch.equal(value, parts["state_dict"][key]), key


def test_bad_options_are_refused():
    for option in ({"threshold": 1.0}, {"temperature": 0.0}, {"lambda_u": -1.0}, {"views": 0}):
        with pytest.raises(ConfigError, match=next(iter(option))):
            create_method("divide_mix", option)
