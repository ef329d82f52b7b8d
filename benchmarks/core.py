"""Speed and peak memory of selection, neighbourhood term and whole co-teaching loss against plain implementations.

    python benchmarks/core.py                              # the table of docs/benchmarks/core.md
    python benchmarks/core.py --device cuda --step-share   # on an accelerator, with the share of a whole training step

The plain implementations are written from the equations as one would at first: a sort for each class of each sample,
`unfold` to nine neighbours. Each measurement runs in a process of its own, plain and ours alternating; times are
medians, memory is the peak beyond what the inputs take (resident set on the CPU, allocated on the accelerator).
"""

from __future__ import annotations

import argparse
import json
import math
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from coteach import CoTeachingLoss
from coteach.losses.neighborhood import neighborhood_consistency
from coteach.selection.small_loss import select_small_loss

EPOCH, FORGET = 20, 0.3
CASES = ("selection", "neighbourhood", "co-teaching")


class Inputs:
    """Two networks' scores, soft labels with confidence, and images."""

    def __init__(self, options: argparse.Namespace) -> None:
        torch.manual_seed(0)
        b, c, n, device = options.batch, options.classes, options.size, options.device
        self.classes = c
        self.a, self.b = (torch.randn(b, c, n, n, device=device, requires_grad=True) for _ in range(2))
        self.probs = (2 * torch.randn(b, c, n, n, device=device)).softmax(1)
        self.weight = torch.rand(b, 1, n, n, device=device)
        self.features = torch.rand(b, 3, n, n, device=device)
        self.label = self.probs.argmax(1)
        self.losses = torch.rand(b, n, n, device=device) * 3
        self.admitted = torch.rand(b, n, n, device=device) < 0.95


# -- plain ------------------------------------------------------------------------------------------------------


def plain_selection(losses: Tensor, label: Tensor, eligible: Tensor, classes: int) -> Tensor:
    """Eq. 9, a class of a sample at a time."""
    chosen = torch.zeros_like(eligible)
    for sample in range(len(losses)):
        for c in range(classes):
            members = ((label[sample] == c) & eligible[sample]).flatten().nonzero()[:, 0]
            if len(members):
                order = losses[sample].flatten()[members].argsort()
                kept = max(1, math.floor((1 - FORGET) * len(members) + 1e-6))
                chosen[sample].view(-1)[members[order[:kept]]] = True
    return chosen


def plain_neighborhood(logits: Tensor, features: Tensor) -> Tensor:
    """Eq. 10 by unfolding to nine neighbours; the mean over ordered pairs."""
    b, _, h, w = logits.shape

    def neighbors(x: Tensor) -> Tensor:
        return F.unfold(x, 3, padding=1).view(b, x.shape[1], 9, h * w)

    log_p, unit = F.log_softmax(logits, 1), F.normalize(features, dim=1)
    inside = neighbors(torch.ones(b, 1, h, w, device=logits.device))[:, 0]
    similarity = (neighbors(unit) * unit.flatten(2)[:, :, None]).sum(1).clamp(min=0) * inside
    p = log_p.exp()
    divergence = (p.flatten(2)[:, :, None] * (log_p.flatten(2)[:, :, None] - neighbors(log_p))).sum(1)
    return (similarity * divergence).sum() / (inside.sum() - b * h * w)  # the pixel itself has divergence 0


def plain_co_teaching(data: Inputs) -> Tensor:
    """Eq. 6 to 11 for both networks."""
    weight, label = data.weight[:, 0], data.probs.argmax(1)
    count = math.floor(0.95 * weight.numel() + 0.5)
    admitted = torch.zeros_like(weight, dtype=torch.bool)
    admitted.view(-1)[weight.flatten().argsort(descending=True)[:count]] = True
    losses = [-(data.probs * F.log_softmax(z, 1)).sum(1) for z in (data.a, data.b)]
    by_a, by_b = (plain_selection(own.detach(), label, admitted, data.classes) for own in losses)
    cross = (weight * losses[0])[by_b].sum() / by_b.sum() + (weight * losses[1])[by_a].sum() / by_a.sum()
    regular = sum(plain_neighborhood(z, data.features) for z in (data.a, data.b)) / 2
    return cross + 0.1 * regular


# -- what is compared -------------------------------------------------------------------------------------------


def implementations(case: str, data: Inputs) -> dict[str, Callable[[], Tensor]]:
    """Name -> a function that does the work and gives something to compare."""
    if case == "selection":
        group = (
            data.label + torch.arange(len(data.label), device=data.label.device).view(-1, 1, 1) * data.classes
        )
        return {
            "plain": lambda: plain_selection(data.losses, data.label, data.admitted, data.classes),
            "ours": lambda: (
                select_small_loss(
                    data.losses,
                    FORGET,
                    group=group,
                    num_groups=data.classes * len(group),
                    eligible=data.admitted,
                ).mask
            ),
        }
    if case == "neighbourhood":
        return {
            "plain": lambda: learn(data, plain_neighborhood(data.a, data.features)),
            "ours": lambda: learn(data, neighborhood_consistency(data.a, data.features)),
        }
    loss = CoTeachingLoss("co-teaching", data.classes, balance="sample")
    loss.current_epoch = EPOCH
    prediction = {"logits_a": data.a, "logits_b": data.b, "features": data.features}
    target = {"mask": data.probs, "w_conf": data.weight}
    return {
        "plain": lambda: learn(data, plain_co_teaching(data)),
        "ours": lambda: learn(data, loss.compute(prediction, target)),
    }


def learn(data: Inputs, value: Tensor) -> Tensor:
    """One backward; gives the value and the gradient of network A's scores as one vector."""
    data.a.grad = data.b.grad = None
    value.backward()
    assert data.a.grad is not None
    return torch.cat([value.detach().view(1), data.a.grad.flatten()[:1000]])


# -- measuring --------------------------------------------------------------------------------------------------


def measure(options: argparse.Namespace) -> dict[str, float | bool]:
    """One implementation of one case, in this process."""
    small = argparse.Namespace(**vars(options) | {"batch": 1, "size": 16})
    implementations(options.case, Inputs(small))[
        options.implementation
    ]()  # imports and thread pools are not counted
    data = Inputs(options)
    run = implementations(options.case, data)[options.implementation]
    cuda = options.device != "cpu"
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    if cuda:
        torch.cuda.reset_peak_memory_stats()
        held = torch.cuda.memory_allocated()
    result = run()
    if cuda:
        torch.cuda.synchronize()
        peak = (torch.cuda.max_memory_allocated() - held) / 2**20
    else:
        peak = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 2**10
    times = []
    for _ in range(options.repeats):
        start = time.perf_counter()
        run()
        if cuda:
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    torch.save(result.detach().cpu(), options.save)
    return {"seconds": statistics.median(times), "peak_mib": peak}


def compare(options: argparse.Namespace, case: str) -> dict[str, float]:
    """Both implementations of a case, in processes of their own; refuses to go on if they differ."""
    with tempfile.TemporaryDirectory() as folder:
        return _compare(options, case, folder)


def _compare(options: argparse.Namespace, case: str, folder: str) -> dict[str, float]:
    found, results = {}, {}
    for name in ("plain", "ours"):
        save = Path(folder) / f"{name}.pt"
        command = [sys.executable, __file__, "--case", case, "--implementation", name, "--save", save]
        command += ["--batch", options.batch, "--classes", options.classes, "--size", options.size]
        command += ["--device", options.device, "--repeats", options.repeats]
        done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=True)
        found[name] = json.loads(done.stdout.splitlines()[-1])
        results[name] = torch.load(save)
    torch.testing.assert_close(results["ours"], results["plain"], rtol=1e-3, atol=1e-7)
    plain, ours = found["plain"], found["ours"]
    return {
        "plain_ms": 1000 * plain["seconds"],
        "ours_ms": 1000 * ours["seconds"],
        "times_faster": plain["seconds"] / ours["seconds"],
        "plain_mib": plain["peak_mib"],
        "ours_mib": ours["peak_mib"],
    }


def step_share(options: argparse.Namespace) -> None:
    """Share of the loss in a training step of two ResNet-34 U-Nets in bf16; and that it never makes the host wait."""
    import segmentation_models_pytorch as smp

    data = Inputs(options)
    networks = [
        smp.Unet("resnet34", encoder_weights=None, in_channels=3, classes=options.classes).to(options.device)
        for _ in range(2)
    ]
    optimizers = [torch.optim.AdamW(net.parameters(), fused=True) for net in networks]
    loss = CoTeachingLoss("co-teaching", options.classes)
    loss.current_epoch = EPOCH
    target = {"mask": data.probs, "w_conf": data.weight}

    def step(*, with_loss: bool) -> None:
        with torch.autocast("cuda", torch.bfloat16):
            a, b = (net(data.features) for net in networks)
        if with_loss:
            value = loss.compute({"logits_a": a, "logits_b": b, "features": data.features}, target)
        else:
            value = a.mean() + b.mean()
        value.backward()
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()

    times = {}
    for with_loss in (True, False):
        own = []
        for _ in range(options.repeats + 3):
            torch.cuda.synchronize()
            start = time.perf_counter()
            step(with_loss=with_loss)
            torch.cuda.synchronize()
            own.append(time.perf_counter() - start)
        times[with_loss] = statistics.median(own[3:])
    share = 1 - times[False] / times[True]
    print(f"training step {1000 * times[True]:.1f} ms, of which the loss {100 * share:.1f} %")
    torch.cuda.set_sync_debug_mode("error")  # raises where the host would wait
    prediction = {"logits_a": data.a, "logits_b": data.b, "features": data.features}
    loss.compute(prediction, target).backward()
    torch.cuda.set_sync_debug_mode("default")
    print("the loss made the host wait nowhere")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--classes", type=int, default=6)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--step-share", action="store_true")
    parser.add_argument("--save", help=argparse.SUPPRESS)
    parser.add_argument("--case", choices=CASES, help=argparse.SUPPRESS)
    parser.add_argument("--implementation", choices=("plain", "ours"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.case:
        print(json.dumps(measure(options)))
        return
    shape = f"B={options.batch}, C={options.classes}, {options.size} x {options.size}, float32"
    print(f"{shape}, {options.device}, {torch.get_num_threads()} threads, torch {torch.__version__}\n")
    print("| | plain, ms | ours, ms | times faster | plain, MiB | ours, MiB |")
    print("|---|---|---|---|---|---|")
    for case in CASES:
        row = compare(options, case)
        print(
            f"| {case} | {row['plain_ms']:.0f} | {row['ours_ms']:.0f} | {row['times_faster']:.1f} "
            f"| {row['plain_mib']:.0f} | {row['ours_mib']:.0f} |",
            flush=True,
        )
    if options.step_share:
        step_share(options)


if __name__ == "__main__":
    main()
