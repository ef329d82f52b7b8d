"""JoCoR and Co-teaching+ against loops written from the papers, and the estimated forget rate."""

import math

import pytest
import torch
from toy_images import ToyImages, draw, image_batch, image_method, step_of
from toys import make_batch, make_method

from coteach.errors import ConfigError, OptionError
from coteach.methods.base import Step, Stream
from coteach.methods.discovery import create_method
from coteach.selection.noise_rate import held_out


def log_probs(method, batch):
    """Log-probabilities of both networks, item by item as nested lists, and the labels."""
    out = []
    for name in "ab":
        scores = method.networks[name](batch.inputs).detach().double().log_softmax(1)
        out.append(scores.movedim(1, -1).reshape(-1, 2).tolist())
    return *out, batch.target["mask"].argmax(1).flatten().tolist()


def keep(values, among, rate):
    among = sorted(among, key=lambda i: values[i])
    return among[: max(1, math.floor((1 - rate) * len(among) + 1e-6))]


@pytest.mark.parametrize("kind", ["images", "maps"])
@pytest.mark.parametrize("epoch", [0, 3, 20])
def test_jocor_by_loops(kind, epoch):
    options = {"lambda_agree": 0.7, "forget_end": 0.4, "e_warm": 10}
    method = image_method("jocor", options) if kind == "images" else make_method("jocor", options)
    batch = image_batch(8) if kind == "images" else make_batch(3)
    method.eval()
    log_a, log_b, label = log_probs(method, batch)
    weight = batch.target["w_conf"].flatten().tolist()
    joint, kl = [], []
    for a, b, y in zip(log_a, log_b, label, strict=True):
        kl.append(
            sum(math.exp(a[c]) * (a[c] - b[c]) for c in range(2))
            + sum(math.exp(b[c]) * (b[c] - a[c]) for c in range(2))
        )
        joint.append(0.3 * (-a[y] - b[y]) + 0.7 * kl[-1])
    chosen = keep(joint, range(len(joint)), min(epoch / 10 * 0.4, 0.4))
    expected = sum(weight[i] * joint[i] for i in chosen) / len(chosen)
    terms = method.losses({"train": batch}, step_of(epoch))
    assert terms.total().item() == pytest.approx(expected, rel=1e-4)
    assert terms.shared["agreement"].item() == pytest.approx(
        0.7 * sum(weight[i] * kl[i] for i in chosen) / len(chosen), rel=1e-4
    )


def test_agreement_pulls_both_networks():
    method, batch = image_method("jocor", {"lambda_agree": 1.0}), image_batch()
    method.losses({"train": batch}, step_of(0)).total().backward()
    for name in "ab":
        assert any((p.grad != 0).any() for p in method.networks[name].parameters())


@pytest.mark.parametrize("epoch", [0, 3, 20])
def test_co_teaching_plus_by_loops(epoch):
    options = {"forget_end": 0.4, "e_warm": 10, "agree_epochs": 2}
    method, batch = make_method("co_teaching_plus", options), make_batch(3)
    method.eval()
    log_a, log_b, label = log_probs(method, batch)
    weight = batch.target["w_conf"].flatten().tolist()
    among = list(range(len(label)))
    if epoch >= 2:
        among = [i for i in among if (log_a[i][0] > log_a[i][1]) != (log_b[i][0] > log_b[i][1])]
        assert 0 < len(among) < len(label)
    rate = min(epoch / 10 * 0.4, 0.4)
    loss_a, loss_b = ([-row[y] for row, y in zip(log, label, strict=True)] for log in (log_a, log_b))
    by_a, by_b = keep(loss_a, among, rate), keep(loss_b, among, rate)
    terms = method.losses({"train": batch}, step_of(epoch)).networks
    got = {name: own["cross_update"].item() for name, own in terms.items()}
    assert got["a"] == pytest.approx(sum(weight[i] * loss_a[i] for i in by_b) / len(by_b), rel=1e-4)
    assert got["b"] == pytest.approx(sum(weight[i] * loss_b[i] for i in by_a) / len(by_a), rel=1e-4)


def test_where_nobody_disagrees_all_are_looked_at():
    method, batch = image_method("co_teaching_plus", {"agree_epochs": 0, "forget_end": 0.0}), image_batch()
    method.eval()
    method.networks["b"].load_state_dict(method.networks["a"].state_dict())
    log_a, _, label = log_probs(method, batch)
    weight = batch.target["w_conf"].tolist()
    mean = sum(-w * row[y] for w, row, y in zip(weight, log_a, label, strict=True)) / len(label)
    assert method.losses({"train": batch}, step_of(0)).total().item() == pytest.approx(2 * mean, rel=1e-4)


@pytest.mark.parametrize(
    ("name", "more"),
    [("jocor", {"balance": "batch"}), ("co_teaching_plus", {}), ("co_teaching", {"lambda_reg": 0.0})],
)
def test_estimated_forget_rate_finds_the_noise(name, more):
    """A quarter of the labels is wrong; what both networks leave out is nearly as much, and it is the wrong ones."""
    wrong = tuple(range(0, 400, 8)) + tuple(range(1, 400, 8))
    data = ToyImages(400, wrong=wrong)
    options = {"forget_end": "auto", "e_warm": 0} | more
    method = image_method(name, options, num_items=400)
    apart = held_out(torch.arange(400), 3)
    optimizer = torch.optim.Adam(method.parameters(), lr=0.01)
    index = 0
    for epoch in range(6):
        method.prepare_epoch(epoch, lambda stream: [])
        batch = draw(Stream(), epoch, data)
        for _ in range(5):
            optimizer.zero_grad()
            terms = method.losses({"train": batch}, step_of(epoch, index))
            terms.total().backward()
            optimizer.step()
            index += 1
    found = sum(apart[i].item() for i in wrong) / apart.sum().item()
    assert terms.logs["noise_rate"].item() == pytest.approx(found, abs=0.08)
    assert terms.logs["forget_rate"].item() == pytest.approx(terms.logs["noise_rate"].item())
    right = torch.arange(400) % 2
    method.eval()
    assert (method.predict(batch.inputs).argmax(1) == right).float().mean() > 0.95


def test_the_estimate_is_part_of_a_checkpoint():
    method = image_method("co_teaching", {"forget_end": "auto_by_class", "lambda_reg": 0.0})
    assert "noise.by_class" in method.state_dict()
    assert not [key for key in image_method("co_teaching").state_dict() if key.startswith("noise")]


@pytest.mark.parametrize("name", ["jocor", "co_teaching_plus"])
def test_bad_options_are_refused_at_once(name):
    with pytest.raises(ConfigError, match="forget_end"):
        create_method(name, {"forget_end": 1.0})
    with pytest.raises(ConfigError, match="balance: set"):
        create_method(name, {"forget_end": "auto_by_class"})
    with pytest.raises(ConfigError, match="forget_end"):
        create_method(name, {"forget_end": "automatic"})
    with pytest.raises(OptionError, match="3 rates for 2 classes"):
        image_method(name, {"forget_end": [0.1, 0.2, 0.3], "balance": "batch"})


def test_more_bad_options_are_refused():
    with pytest.raises(ConfigError, match="lambda_agree"):
        create_method("jocor", {"lambda_agree": 1.5})
    with pytest.raises(ConfigError, match="agree_epochs"):
        create_method("co_teaching_plus", {"agree_epochs": -1})


@pytest.mark.parametrize("name", ["jocor", "co_teaching_plus", "co_teaching"])
def test_all_processes_hold_out_the_same_images(name):
    """Images come to another process in each epoch, and each has its own seed for dropout."""
    method = image_method(name, {"forget_end": "auto"}, num_items=200)
    batch, learned = draw(Stream(), dataset=ToyImages(200), ids=range(200)), []
    method.choice_listener = lambda network, ids, chosen: learned.append(ids[chosen])
    for seed in (3, 123_456):
        method.losses({"train": batch}, Step(epoch=0, index=0, update=0, seed=seed))
    apart = held_out(torch.arange(200), 3).nonzero()[:, 0]
    assert 10 < len(apart) < 35
    assert learned
    assert not torch.isin(torch.cat(learned), apart).any()
