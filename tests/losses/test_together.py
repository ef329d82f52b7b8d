"""Two processes that train together decide and learn as one process with the whole batch would."""

import os
from datetime import timedelta

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from noisy_scores import noisy_scores, symmetric

from coteach import CoTeachingLoss, select_small_loss
from coteach.selection.curriculum import retain_most_confident
from coteach.selection.label_judge import LabelJudge
from coteach.selection.noise_rate import NoiseRate
from coteach.selection.running import RunningConfidence

CLASSES = 3


def whole_batch():
    """Losses, confidences and scores of six images; the first two have no label for half of their pixels."""
    generator = torch.Generator().manual_seed(6)
    shape = (6, CLASSES, 8, 9)
    scores = [torch.randn(shape, generator=generator) for _ in range(2)]
    probs = (3 * torch.randn(shape, generator=generator)).softmax(1)
    weight = (torch.rand(6, 1, 8, 9, generator=generator) * 4).round() / 4  # many ties
    probs[:2, :, :4], weight[:2, :, :4] = 1 / CLASSES, 0.0
    return scores, probs, weight, torch.rand(6, 2, 8, 9, generator=generator)


def learn(part, *, sync, retain_by="batch"):
    """Masks, and the gradients of the two networks' scores, for a part of the batch."""
    (a, b), probs, weight, features = whole_batch()
    leaves = [scores[part].clone().requires_grad_() for scores in (a, b)]
    loss = CoTeachingLoss("cot", CLASSES, e_warm=10, seed=3, sync=sync, retain_by=retain_by)
    loss.current_epoch, loss.current_step = 5, 2
    prediction = {"logits_a": leaves[0], "logits_b": leaves[1], "features": features[part]}
    loss.compute(prediction, {"mask": probs[part], "w_conf": weight[part]}).backward()
    losses = a[part].square().sum(1)
    group = probs[part].argmax(1)
    kept = select_small_loss(losses, 0.4, group=group, num_groups=CLASSES, seed=1, step=2, sync=sync)
    retained = retain_most_confident(weight[part], 0.6, seed=1, step=2, sync=sync)
    running = RunningConfidence().admit(weight[part], 0.6, sync=sync)
    return {
        "kept": kept.mask,
        "kept_count": kept.count,
        "retained": retained.mask,
        "running": running.mask.sum(),
        "gradients": [leaf.grad for leaf in leaves],
    }


# name -> the part of the batch that each process has, and how items are retained
CASES = {
    "equal parts": ((slice(0, 3), slice(3, 6)), "batch"),
    "unequal parts": ((slice(0, 2), slice(2, 6)), "batch"),
    "running estimate": ((slice(0, 3), slice(3, 6)), "set"),
}


def work(rank, port, folder):
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    dist.init_process_group("gloo", rank=rank, world_size=2, timeout=timedelta(seconds=60))
    for name, (parts, retain_by) in CASES.items():
        torch.save(learn(parts[rank], sync=True, retain_by=retain_by), folder / f"{name} {rank}.pt")
    torch.save(judge(rank), folder / f"judged {rank}.pt")
    dist.destroy_process_group()


def judge(seed):
    """Whether labels are learned by heart, labels divided, and rates, by what networks say that differ more than processors do."""
    probs, label, _ = (torch.from_numpy(part) for part in noisy_scores(symmetric(0.3, 3), 600, seed=seed))
    judged, rate = LabelJudge(600, 3, 1), NoiseRate(3)
    judged.said[:] = probs
    label = label.sort().values
    losses = torch.where(judged.held_out(), 1.0 + seed, 1.5).expand(2, -1)  # of the second process only
    by_heart = torch.tensor(judged.by_heart(losses, torch.ones(2, 600, dtype=torch.bool)))
    kept = judged.divide(label, torch.ones(2, 600, dtype=torch.bool), step=1)
    rate.held.said[:600], rate.held.labels[:600] = probs, label
    rate.held.seen += 600
    rate.begin_epoch(2)
    return [by_heart, judged.memorization, kept, judged.rate, rate.overall, rate.by_class]


def free_port():
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="module")
def learned(tmp_path_factory):
    """What two processes have found of all cases."""
    folder = tmp_path_factory.mktemp("learned")
    mp.spawn(work, (free_port(), folder), nprocs=2)
    return {
        name: [torch.load(folder / f"{name} {rank}.pt") for rank in (0, 1)] for name in (*CASES, "judged")
    }


@pytest.mark.parametrize("name", CASES)
def test_equal_masks_and_gradients(learned, name):
    both, (_, retain_by) = learned[name], CASES[name]
    alone = learn(slice(0, 6), sync=False, retain_by=retain_by)
    for key in ("kept", "retained"):
        assert torch.equal(torch.cat([own[key] for own in both]), alone[key])
    assert both[0]["kept_count"] == both[1]["kept_count"] == alone["kept_count"]
    for network in (0, 1):
        # DDP averages the gradients of the parameters: here half of the sum over the processes' own scores
        gradient = torch.cat([own["gradients"][network] for own in both]) / 2
        if retain_by == "batch":
            torch.testing.assert_close(gradient, alone["gradients"][network], rtol=1e-5, atol=1e-9)
        else:  # the same threshold; in its bin each process draws for itself
            assert gradient.shape == alone["gradients"][network].shape
    if retain_by == "set":
        total = sum(int(own["running"]) for own in both)
        assert abs(total - int(alone["running"])) < 6 * 10


def test_each_process_may_decide_for_itself():
    parts = [learn(part, sync=False) for part in (slice(0, 3), slice(3, 6))]
    alone = learn(slice(0, 6), sync=False)
    assert not torch.equal(torch.cat([own["kept"] for own in parts]), alone["kept"])


@pytest.mark.filterwarnings("ignore:forget_end. auto:coteach.errors.CoteachWarning")  # few labels
def test_labels_are_divided_as_in_the_first_process(learned):
    alone, other = judge(0), judge(1)
    for found, second, expected, own in zip(*learned["judged"], alone, other, strict=True):
        assert torch.equal(found, expected)
        assert torch.equal(second, expected)
        assert not torch.equal(own, expected)
