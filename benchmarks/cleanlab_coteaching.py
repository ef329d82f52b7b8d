"""The co-teaching functions of `coteach.compat.cleanlab` against those of the cleanlab package, value by value.

    python -m venv /tmp/cleanlab && /tmp/cleanlab/bin/pip install cleanlab torch scikit-learn
    python benchmarks/cleanlab_coteaching.py --cleanlab-python /tmp/cleanlab/bin/python

cleanlab (AGPL) runs in a process and an environment of its own and is never imported here; what it calls `.cuda()` on
stays where it is. Both get the same scores, batches and weights of networks. Prints the largest difference of each function.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

CASES = [(rate, weighted) for rate in (0.0, 0.1, 0.25, 0.3, 0.5) for weighted in (False, True)]
SCHEDULES = [(12, 0.2, 10, 1), (12, 0.2, 10, 2), (30, 0.45, 4, 0.5), (12, 0.2, 0, 1)]
PLANS = [(1e-3, 10, 4), (1e-3, 250, 80), (1e-3, 5, 8)]


def main() -> None:
    """Run both sides and compare."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--cleanlab-python", type=Path, help="interpreter of the environment that has cleanlab"
    )
    parser.add_argument("--side", choices=["ours", "theirs"], help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        torch.save(
            results(options.side, torch.load(options.folder / "inputs.pt")),
            options.folder / f"{options.side}.pt",
        )
        return
    if options.cleanlab_python is None:
        parser.error("give --cleanlab-python")
    with tempfile.TemporaryDirectory() as folder:
        torch.save(inputs(), Path(folder) / "inputs.pt")
        for side, python in (("ours", sys.executable), ("theirs", str(options.cleanlab_python))):
            command = [python, "-W", "ignore", __file__, "--side", side, "--folder", folder]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        ours, theirs = (torch.load(Path(folder) / f"{side}.pt") for side in ("ours", "theirs"))
    print("| what | largest difference |\n|---|---|")
    for name, values in ours.items():
        print(f"| {name} | {(values - theirs[name]).abs().max().item():.1e} |")


def inputs() -> dict[str, Any]:
    """Scores of two networks, labels, batches of images, and the first weights of all networks."""
    torch.manual_seed(0)
    linear = [nn.Linear(12, 6).state_dict() for _ in range(2)]
    from coteach.models import CNN

    return {
        "scores": torch.randn(2, 128, 10),
        "labels": torch.randint(0, 10, (128,)),
        "weights": torch.rand(10) + 0.1,
        "x": torch.randn(200, 12),
        "t": torch.randint(0, 6, (200,)),
        "linear": linear,
        "images": torch.rand(4, 3, 32, 32),
        "cnns": [CNN().state_dict() for _ in range(2)],
        "small_images": torch.rand(48, 3, 28, 28),
        "small_labels": torch.randint(0, 10, (48,)),
    }


def results(side: str, given: dict[str, Any]) -> dict[str, Tensor]:
    """What one side makes of the inputs."""
    if side == "ours":
        from coteach.compat import cleanlab as module
        from coteach.models import CNN

        scale_as_theirs(module)
    else:
        torch.Tensor.cuda = torch.nn.Module.cuda = lambda self, *_, **__: self
        from cleanlab.experimental import coteaching as module
        from cleanlab.experimental.cifar_cnn import CNN

    scores, labels = given["scores"], given["labels"]
    found = {
        "loss_coteaching": torch.stack(
            [
                value
                for rate, weighted in CASES
                for value in module.loss_coteaching(
                    *scores, labels, rate, given["weights"] if weighted else None
                )
            ]
        ),
        "forget_rate_scheduler": torch.cat(
            [torch.tensor(module.forget_rate_scheduler(*case)) for case in SCHEDULES]
        ),
        "initialize_lr_scheduler": torch.cat(
            [torch.tensor(module.initialize_lr_scheduler(*case)).flatten() for case in PLANS]
        ),
    }
    network = CNN(dropout_rate=0.0)
    network.load_state_dict(given["cnns"][0])
    found["CNN, training, without dropout"] = network(given["images"]).detach()
    found["CNN, evaluation, without dropout"] = network.eval()(given["images"]).detach()
    found |= trained(module, given)
    for dtype in (torch.float32, torch.float64):
        name = f"train: weights of the CNN after two epochs with class weights, {str(dtype).removeprefix('torch.')}"
        found[name] = deep(module, CNN, given, dtype)
    return found


def scale_as_theirs(module: Any) -> None:
    """Divide our losses once more, in `train` too."""
    right = module.loss_coteaching
    module.loss_coteaching = lambda *arguments: right(*arguments, legacy_scaling=True)


def trained(module: Any, given: dict[str, Any]) -> dict[str, Tensor]:
    """Three epochs of two linear models: what was returned, the weights at the end, and the evaluation."""
    batches = Batches(zip(given["x"].split(30), given["t"].split(30), strict=True))
    batches.dataset = given["x"]
    models = [nn.Linear(12, 6) for _ in range(2)]
    for model, state in zip(models, given["linear"], strict=True):
        model.load_state_dict(state)
    optimizers = [torch.optim.Adam(model.parameters(), lr=0.01) for model in models]
    rates = module.forget_rate_scheduler(3, 0.3, 2, 1)
    plan = module.initialize_lr_scheduler(0.01, 3, 1)
    args = SimpleNamespace(num_iter_per_epoch=100, print_freq=3, epochs=3, batch_size=30)
    returned = []
    for number in range(3):
        for optimizer in optimizers:
            module.adjust_learning_rate(optimizer, number, *plan)
        pairs = [part for pair in zip(models, optimizers, strict=True) for part in pair]
        returned += module.train(batches, number, *pairs, args, rates, given["weights"][:6], accuracy)
    return {
        "train: accuracies of three epochs": torch.tensor(returned),
        "train: weights after three epochs": torch.cat([model.weight.detach() for model in models]),
        "evaluate": torch.tensor(module.evaluate(batches, *models)),
    }


def deep(module: Any, cnn: type[nn.Module], given: dict[str, Any], dtype: torch.dtype) -> Tensor:
    """Two epochs of two 9-layer networks with Adam and class weights, without dropout: the weights at the end."""
    images = given["small_images"].to(dtype)
    batches = Batches(zip(images.split(16), given["small_labels"].split(16), strict=True))
    batches.dataset = images
    models = [cnn(dropout_rate=0.0).to(dtype) for _ in range(2)]
    for model, state in zip(models, given["cnns"], strict=True):
        model.load_state_dict(state)
    optimizers = [torch.optim.Adam(model.parameters(), lr=1e-3) for model in models]
    args = SimpleNamespace(num_iter_per_epoch=3, print_freq=100, epochs=2, batch_size=16)
    for number in range(2):
        pairs = [part for pair in zip(models, optimizers, strict=True) for part in pair]
        module.train(batches, number, *pairs, args, [0.0, 0.3], given["weights"].to(dtype), accuracy)
    return torch.cat([weight.detach().flatten() for model in models for weight in model.parameters()])


class Batches(list[Any]):
    """A loader: batches, and the data set they are of."""

    dataset: Any


def accuracy(output: Tensor, target: Tensor, topk: tuple[int, ...] = (1,)) -> list[Tensor]:
    """Percent right among the k highest scores."""
    best = output.topk(max(topk), 1).indices
    return [100 * (best[:, :k] == target[:, None]).any(1).float().mean() for k in topk]


if __name__ == "__main__":
    main()
