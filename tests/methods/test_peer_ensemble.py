"""The peer ensemble: one step against loops, what it notes, how it divides, and that each part can be left out."""

import math
import random

import pytest
import torch
from noisy_scores import noisy_scores
from toy_images import ToyImages, draw, image_method, step_of

from coteach.errors import ConfigError, OptionError
from coteach.losses.mixup import draw_mixing
from coteach.methods.base import Stream
from coteach.methods.discovery import create_method
from coteach.methods.peer_ensemble import PeerEnsembleConfig
from coteach.selection import label_judge

WRONG = (0, 5, 7)
MIXTURE = {"forget_end": "mixture"}
MIXED = {"mixup_alpha": 1.0}


def two_views(ids=range(6), data=None):
    return draw(Stream(views=2), dataset=data or ToyImages(24, wrong=WRONG), ids=ids)


def says(network, image):
    return network(image[None]).softmax(1)[0].tolist()


def watched(network, images):
    """Batch normalisation by the mean and the biased variance of this batch; no dropout."""
    before = network[0](images)
    mean, var = before.mean((0, 2, 3), keepdim=True), before.var((0, 2, 3), correction=0, keepdim=True)
    scaled = (before - mean) / (var + network[1].eps).sqrt()
    scaled = scaled * network[1].weight.view(1, -1, 1, 1) + network[1].bias.view(1, -1, 1, 1)
    return network[5](scaled.relu().flatten(1)).softmax(1).tolist()


def without_dropout(**options):
    """The networks that are trained are in evaluation mode; their averages, which use no dropout, count as in training."""
    method = image_method("peer_ensemble", options, num_items=24)
    for name in method.trained:
        method.networks[name].eval()
    return method


@pytest.mark.parametrize("epoch", [0, 2, 4, 9])
def test_one_step_by_loops(epoch):
    """Warm-up of one epoch, then refused images weigh 0, 0.25, ... up to 0.5 at four epochs after it."""
    options = (
        {"warm_epochs": 1, "ramp_epochs": 4, "consistency": 0.5, "label_smoothing": 0.2} | MIXED | MIXTURE
    )
    method = without_dropout(**options)
    method.believed.kept[0, 3] = method.believed.kept[1, 1] = method.believed.kept[1, 4] = False
    batch = two_views()
    means = [method.networks["a_mean"], method.networks["b_mean"]]
    both = [watched(mean, batch.views[1]) for mean in means]
    guess = [[sum(p) / 2 for p in zip(*of_one, strict=True)] for of_one in zip(*both, strict=True)]
    ramped = 0.0 if epoch < 1 else min((epoch - 1) / 4, 1) * 0.5
    expected = {}
    for name, refused in (("a", {1, 4}), ("b", {3})):
        targets, weights = [], []
        for i in range(6):
            label = batch.target["mask"][i].tolist()
            targets.append([0.8 * y + 0.1 for y in label])
            weights.append(batch.target["w_conf"][i].item())
            if i in refused:
                targets[i] = [p**2 / sum(q**2 for q in guess[i]) for p in guess[i]]
                weights[i] = ramped
        mixing = draw_mixing(batch.ids, 1.0, seed=3, step=0, stream=name)
        share, partner = mixing.share, mixing.partner.tolist()
        total = count = 0
        for i, j in enumerate(partner):
            if ramped == 0 and {i, j} & refused:
                continue
            p = says(method.networks[name], share * batch.inputs[i] + (1 - share) * batch.inputs[j])
            t = [share * x + (1 - share) * y for x, y in zip(targets[i], targets[j], strict=True)]
            w = share * weights[i] + (1 - share) * weights[j]
            total -= w * sum(x * math.log(q) for x, q in zip(t, p, strict=True))
            count += 1
        expected[name] = total / count
    terms = method.losses({"train": batch}, step_of(epoch)).networks
    assert {n: t["cross_entropy"].item() for n, t in terms.items()} == pytest.approx(expected, rel=1e-4)


def test_the_averages_losses_are_noted():
    method, batch = without_dropout(), two_views()
    batch.targets[0]["mask"][2], batch.targets[0]["w_conf"][2] = 0.5, 0.0
    method.losses({"train": batch}, step_of(0))
    label = batch.target["mask"].argmax(1).tolist()
    for row, name in enumerate(("a_mean", "b_mean")):
        said = watched(method.networks[name], batch.views[1])
        for i in (0, 1, 3, 4, 5):
            p = said[i]
            assert method.believed.noted[row, i].item() == pytest.approx(-math.log(p[label[i]]), rel=1e-4)
    assert method.believed.noted[:, 2].isnan().all()
    assert method.believed.noted[:, 6:].isnan().all()
    assert method.believed.labels[:6].tolist() == [-1 if i == 2 else label[i] for i in range(6)]


def test_labels_are_divided_by_what_was_noted():
    method = image_method("peer_ensemble", {"warm_epochs": 1, "minimum_share": 0.0} | MIXTURE, num_items=40)
    method.believed.labels[:] = torch.arange(40) % 2
    method.believed.noted[0] = torch.linspace(0.1, 0.3, 40)
    method.believed.noted[1] = torch.linspace(0.1, 0.3, 40)
    method.believed.noted[0, [4, 9]] = 5.0
    method.believed.noted[1, [20]] = torch.nan
    method.prepare_epoch(0, lambda stream: [])
    assert method.believed.kept.all()
    method.prepare_epoch(1, lambda stream: [])
    assert (~method.believed.kept[0]).nonzero()[:, 0].tolist() == [4, 9]
    assert method.believed.kept[1, 20]  # nothing is known that speaks against it
    assert method.believed.divided.item() == 1


def test_a_given_forget_rate_refuses_the_largest_losses_of_each_class():
    """Ranks 0 to 19 within each class; half of the rate at half of the ramp. Class 1 has losses far above class 0."""
    method = image_method("peer_ensemble", {"warm_epochs": 4, "forget_end": 0.4}, num_items=41)
    method.believed.labels[:40] = torch.arange(40) % 2
    rank = torch.arange(40) // 2
    method.believed.noted[0, :40] = rank + 100.0 * method.believed.labels[:40]
    method.believed.noted[1, :40] = 19.0 - rank + 100.0 * method.believed.labels[:40]
    method.prepare_epoch(0, lambda stream: [])
    assert method.believed.kept.all()
    for epoch, kept in ((2, 16), (4, 12), (9, 12)):
        method.prepare_epoch(epoch, lambda stream: [])
        assert method.believed.kept[0, :40].tolist() == (rank < kept).tolist()
        assert method.believed.kept[1, :40].tolist() == (rank >= 20 - kept).tolist()
        assert method.believed.kept[:, 40].all()  # no batch had it: no reason to refuse its label


@pytest.mark.filterwarnings("ignore:forget_end. auto:coteach.errors.CoteachWarning")  # few labels
def test_labels_held_out_are_never_learned_and_the_noise_they_show_decides():
    """Two in five labels of class 0 name class 1; of all images of a class the averages say what its labels say."""
    probs, given, truth = noisy_scores([[0.6, 0.4], [0.1, 0.9]], count=800)
    method = image_method("peer_ensemble", {"warm_epochs": 1, "forget_end": "auto"}, num_items=800)
    apart = method.believed.judge.held_out()
    assert 50 < apart.sum() < 110
    assert torch.equal(method.believed.kept, (~apart).expand(2, 800))
    method.prepare_epoch(0, lambda stream: [])
    batch = two_views(range(800), ToyImages(800))
    method.losses({"train": batch}, step_of(0))
    said = torch.stack([method.networks[n](batch.views[1]).softmax(1) for n in ("a_mean", "b_mean")])
    method.eval()
    assert method.believed.judge.said.shape == said.shape
    assert not method.believed.judge.said.isnan().any()
    method.believed.judge.said[:] = torch.from_numpy(probs)
    method.believed.noted[:] = torch.where(apart, 3.0, 1.0)  # all but these are learned by heart
    method.believed.labels[:] = torch.from_numpy(given)
    method.prepare_epoch(1, lambda stream: [])
    wrong = torch.from_numpy(given != truth)
    assert method.believed.judge.rate.item() == pytest.approx(wrong[apart].float().mean().item(), abs=0.08)
    assert not method.believed.kept[:, apart].any()
    assert wrong[method.believed.kept[0]].float().mean() < 0.1
    assert (~wrong & ~apart)[method.believed.kept[0]].sum() > 0.85 * (~wrong & ~apart).sum()


def test_a_resumed_run_divides_no_second_time():
    method = image_method("peer_ensemble", {"warm_epochs": 1} | MIXTURE, num_items=24)
    method.losses({"train": two_views(range(24))}, step_of(0))
    method.prepare_epoch(1, lambda stream: [])
    other = image_method("peer_ensemble", {"warm_epochs": 1} | MIXTURE, seed=9, num_items=24)
    method.believed.kept[0, 0] = ~method.believed.kept[0, 0]  # as nobody would divide it again
    other.load_state_dict(method.state_dict())
    other.prepare_epoch(1, lambda stream: [])
    assert torch.equal(other.believed.kept, method.believed.kept)


def test_the_averages_predict_together_or_the_networks_without_them():
    batch = two_views()
    for decay, names in ((0.9, ("a_mean", "b_mean")), (0.0, ("a", "b"))):
        method = image_method("peer_ensemble", {"ema_decay": decay}, num_items=24).eval()
        for index in range(3):
            with torch.no_grad():
                method.networks["a"][-1].bias += 1
            method.after_step(step_of(0, index))
        said = [method.networks[n](batch.inputs).softmax(1) for n in names]
        torch.testing.assert_close(method.predict(batch.inputs), (said[0] + said[1]) / 2)
    assert not [name for name in method.networks if name.endswith("mean")]


def trained_for_a_while(size, seed=3, **options):
    """Five epochs of six steps on a set of which a fifth of the labels is wrong, and which these are."""
    wrong = torch.arange(size) % 5 == 0
    data = ToyImages(size, wrong=tuple(wrong.nonzero()[:, 0].tolist()))
    options = {"warm_epochs": 2, "ramp_epochs": 2, "ema_decay": 0.9, "consistency": 1.0} | MIXED | options
    method = image_method("peer_ensemble", options, num_items=size, seed=seed)
    optimizer = torch.optim.Adam([p for p in method.parameters() if p.requires_grad], lr=0.003)
    batch, index = two_views(range(size), data), 0
    for epoch in range(5):
        method.prepare_epoch(epoch, lambda stream: [])
        for _ in range(6):
            optimizer.zero_grad()
            method.losses({"train": batch}, step_of(epoch, index)).total().backward()
            optimizer.step()
            method.after_step(step_of(epoch, index))
            index += 1
    right = (method.eval().predict(batch.inputs).argmax(1) == torch.arange(size) % 2).float().mean()
    return method, wrong, right


@pytest.mark.parametrize(
    "without",
    [
        {},
        MIXTURE,
        {"mixup_alpha": 0.0},
        {"consistency": 0.0},
        {"consistency": 0.0, "mixup_alpha": 0.0},
        {"ema_decay": 0.0},
        {"label_smoothing": 0.0},
    ],
)
def test_it_finds_wrong_labels_whatever_is_left_out(without):
    """The averages that judge them say what the images show."""
    method, wrong, right = trained_for_a_while(160, **{"forget_end": 0.2} | without)
    assert right > 0.95
    refused = ~method.believed.kept
    assert (refused & wrong).sum() > 0.8 * 2 * wrong.sum()
    assert (refused & wrong).sum() > 0.8 * refused.sum()


@pytest.mark.filterwarnings("ignore:forget_end. auto:coteach.errors.CoteachWarning")  # few labels
def test_it_estimates_how_many_are_wrong(monkeypatch):
    """By some sixty labels of each class, held out, so one draw says little: the mean of five."""
    monkeypatch.setattr(label_judge, "_BY_HEART", -math.inf)
    recall, precision = [], []
    for seed in range(5):
        method, wrong, right = trained_for_a_while(1200, seed, forget_end="auto")
        assert right > 0.95
        judged = ~method.believed.judge.held_out()
        refused = judged & ~method.believed.kept
        hits = (refused & wrong).sum()
        recall.append((hits / (2 * (judged & wrong).sum())).item())
        precision.append((hits / refused.sum()).item())
    assert sum(recall) / 5 > 0.65
    assert sum(precision) / 5 > 0.7


@pytest.mark.filterwarnings("ignore:forget_end. auto:coteach.errors.CoteachWarning")  # few labels
def test_nothing_is_refused_before_labels_are_learned_by_heart():
    """Thirty steps on a thousand labels: what is learned is what the images show, and a wrong label does no harm."""
    method, _wrong, right = trained_for_a_while(1200, 0, forget_end="auto")
    judge = method.believed.judge
    assert right > 0.95
    assert judge.memorization < 0.1
    assert judge.memorization != 0  # was looked at
    assert torch.equal(method.believed.kept, (~judge.held_out()).expand(2, 1200))


@pytest.mark.filterwarnings("ignore:forget_end. auto:coteach.errors.CoteachWarning")  # few labels
def test_labels_are_refused_once_they_are_learned_by_heart_and_from_then_on():
    """A quarter of the labels is wrong by lot, and a large learning rate learns them; judged anew after two epochs each."""
    wrong = tuple(i for i in range(400) if random.Random(i).random() < 0.25)
    method = image_method("peer_ensemble", {"warm_epochs": 2, "ema_decay": 0.9}, num_items=400)
    optimizer = torch.optim.Adam([p for p in method.parameters() if p.requires_grad], lr=0.02)
    batch, index, divided = two_views(range(400), ToyImages(400, wrong=wrong)), 0, []
    for epoch in range(9):
        method.prepare_epoch(epoch, lambda stream: [])
        divided.append(int(method.believed.divided))
        others = ~method.believed.judge.held_out()
        assert not (method.believed.kept & ~others).any()
        assert (method.believed.kept.sum() < 2 * others.sum()) == (divided[-1] >= 0)
        for _ in range(15):
            optimizer.zero_grad()
            terms = method.losses({"train": batch}, step_of(epoch, index))
            terms.total().backward()
            optimizer.step()
            method.after_step(step_of(epoch, index))
            index += 1
    first = divided[-1] - (divided[-1] - 2) // 2 * 2
    assert first in (2, 3)
    assert divided == [-1] * first + [epoch - (epoch - first) % 2 for epoch in range(first, 9)]
    assert terms.logs["memorization"] >= 0.1
    assert terms.logs["noise_rate"] > 0


def test_bad_options_are_refused():
    for option in (
        {"threshold": 1.0},
        {"mixup_alpha": -1.0},
        {"warm_epochs": 0},
        {"forget_end": 1.0},
        {"forget_end": "never"},
        {"label_smoothing": 2.0},
    ):
        with pytest.raises(ConfigError, match=next(iter(option))):
            create_method("peer_ensemble", option)


@pytest.mark.usefixtures("unchecked")
def test_no_forget_rate_is_none():
    """Not in a configuration, which is checked before: in Python."""
    with pytest.raises(OptionError, match="forget_end: None is unknown; give a share, 'auto' or 'mixture'"):
        PeerEnsembleConfig(forget_end=None)
