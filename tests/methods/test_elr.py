"""ELR against loops, its table, and its options."""

import math

import pytest
import torch
from toy_images import ToyImages, draw, image_batch, image_method, step_of

from coteach.errors import ConfigError
from coteach.methods.base import Stream
from coteach.methods.discovery import create_method


def test_two_steps_by_loops():
    method = image_method("elr", {"beta": 0.6, "lambda_elr": 2.0}).eval()
    batch = image_batch()
    probs = method.networks["a"](batch.inputs).softmax(1).tolist()
    label, weight = batch.target["mask"].argmax(1).tolist(), batch.target["w_conf"].tolist()
    memory = [[0.0, 0.0] for _ in probs]
    for index in range(2):
        total = 0.0
        for i, p in enumerate(probs):
            memory[i] = [0.6 * t + 0.4 * q / sum(p) for t, q in zip(memory[i], p, strict=True)]
            held = math.log(1 - sum(t * q for t, q in zip(memory[i], p, strict=True)))
            total += -weight[i] * math.log(p[label[i]]) + 2.0 * held
        loss = method.losses({"train": batch}, step_of(0, index)).total()
        assert loss.item() == pytest.approx(total / len(probs), rel=1e-4)
    torch.testing.assert_close(method.table[batch.ids], torch.tensor(memory))
    assert (method.table[6:] == 0).all()


def test_images_without_a_label_are_not_remembered():
    method, batch = image_method("elr"), image_batch()
    batch.target["mask"][2], batch.target["w_conf"][2] = 0.5, 0.0
    method.losses({"train": batch}, step_of(0))
    assert (method.table[2] == 0).all()
    assert (method.table[[0, 1, 3]] > 0).all()


def test_the_table_is_part_of_a_checkpoint():
    method, batch = image_method("elr"), image_batch()
    method.losses({"train": batch}, step_of(0))
    other = image_method("elr", seed=9)
    other.load_state_dict(method.state_dict())
    assert torch.equal(other.table, method.table)
    assert (other.table[:6] > 0).all()


def test_the_mean_of_the_weights_predicts_and_is_remembered():
    method, batch = image_method("elr", {"ema_decay": 0.5}), image_batch()
    network, mean = method.networks["a"], method.networks["ema"]
    weights = [network[0].weight.detach().clone()]
    expected = weights[0].clone()
    for index in range(3):
        with torch.no_grad():
            network[0].weight += 1.0
            network[1].running_mean += 1.0
        method.after_step(step_of(0, index))
        decay = min(0.5, (1 + index) / (10 + index))
        expected = decay * expected + (1 - decay) * network[0].weight.detach()
    torch.testing.assert_close(mean[0].weight, expected)
    assert not any(p.requires_grad for p in mean.parameters())
    assert not mean[1].running_mean.any()  # those of the network, which do not fit, are not taken
    assert mean[1].num_batches_tracked == 0
    seen = mean[0](batch.inputs)
    method.losses({"train": batch}, step_of(0, 3))
    assert all(part.training for part in mean.modules())  # as it was
    torch.testing.assert_close(mean[1].running_mean, 0.1 * seen.mean((0, 2, 3)))  # its own
    scaled = (seen - seen.mean((0, 2, 3), keepdim=True)) / (
        seen.var((0, 2, 3), correction=0, keepdim=True) + 1e-5
    ).sqrt()
    said = mean[5](scaled.relu().flatten(1)).softmax(1)
    method.eval()
    torch.testing.assert_close(method.predict(batch.inputs), mean(batch.inputs).softmax(1))
    torch.testing.assert_close(
        method.table[batch.ids] / method.table[batch.ids].sum(1, keepdim=True), said, atol=1e-3, rtol=1e-3
    )


def test_mixup_mixes_images_labels_and_memory():
    method, batch = image_method("elr", {"mixup_alpha": 1.0, "lambda_elr": 1.0}).eval(), image_batch()
    from coteach.losses.mixup import draw_mixing

    mixing = draw_mixing(batch.ids, 1.0, seed=3, step=0)
    share, partner = mixing.share, mixing.partner.tolist()
    plain = method.networks["a"](batch.inputs).softmax(1).tolist()
    total = 0.0
    for i, j in enumerate(partner):
        image = share * batch.inputs[i] + (1 - share) * batch.inputs[j]
        p = method.networks["a"](image[None]).softmax(1)[0].tolist()
        label = share * batch.target["mask"][i] + (1 - share) * batch.target["mask"][j]
        w = share * batch.target["w_conf"][i].item() + (1 - share) * batch.target["w_conf"][j].item()
        t = [0.3 * (share * plain[i][c] + (1 - share) * plain[j][c]) for c in range(2)]
        total -= w * sum(label[c].item() * math.log(p[c]) for c in range(2))
        total += math.log(1 - sum(t[c] * p[c] for c in range(2)))
    loss = method.losses({"train": batch}, step_of(0)).total()
    assert loss.item() == pytest.approx(total / 6, rel=1e-4)


def fitted(lambda_elr):
    """Share of wrong labels that a network has learned by heart after long training."""
    data = ToyImages(24, noise=0.0, wrong=(0, 5, 11))
    method = image_method("elr", {"lambda_elr": lambda_elr}, num_items=24)
    optimizer = torch.optim.Adam(method.networks["a"].parameters(), lr=0.02)
    batch = draw(Stream(), 0, data)
    for index in range(150):
        optimizer.zero_grad()
        method.losses({"train": batch}, step_of(0, index)).total().backward()
        optimizer.step()
    method.eval()
    said = method.predict(batch.inputs).argmax(1)
    return (said == batch.target["mask"].argmax(1))[[0, 5, 11]].float().mean().item()


def test_it_learns_fewer_wrong_labels_by_heart():
    assert fitted(0.0) == 1.0
    assert fitted(3.0) < 0.5


def test_bad_options_are_refused():
    for option in ({"beta": 1.0}, {"lambda_elr": -1.0}, {"ema_decay": 1.5}, {"mixup_alpha": -0.1}):
        with pytest.raises(ConfigError, match=next(iter(option))):
            create_method("elr", option)
