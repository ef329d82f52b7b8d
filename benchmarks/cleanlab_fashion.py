"""Co-teaching on Fashion-MNIST with wrong labels: cleanlab's functions, ours in their place, and our own training.

    python -m venv /tmp/cleanlab && /tmp/cleanlab/bin/pip install cleanlab torch scikit-learn
    python benchmarks/cleanlab_fashion.py --cleanlab-python /tmp/cleanlab/bin/python

The setting is that of noisy_fashion.py: 8000 images, the same network, AdamW at 1e-3 along a cosine, the true rate after
a quarter of the epochs. cleanlab (AGPL) runs in a process and an environment of its own; what it calls `.cuda()` on stays where
it is. Both hand-written loops begin with the same networks and batches. Every side runs alone on one thread; accuracy is that
of the two networks' mean probability on 10,000 test images, over the last third of the epochs.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.optim import AdamW
from torch.optim.lr_scheduler import CosineAnnealingLR
from torch.utils.data import DataLoader, TensorDataset

from cleanlab_coteaching import accuracy
from fashion_network import network

SIDES = {"theirs": "cleanlab", "dropin": "coteach.compat.cleanlab", "native": "coteach.fit"}


def main() -> None:
    """Run every side and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--cleanlab-python", type=Path, help="interpreter of the environment that has cleanlab"
    )
    parser.add_argument("--noise", nargs="+", default=["sym-20", "sym-50", "pair-45"])
    parser.add_argument("--images", type=int, default=8000)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        torch.set_num_threads(1)
        given = dict(np.load(options.folder / "inputs.npz"))
        print(json.dumps([measured(options.side, given, options.epochs, seed) for seed in options.seeds]))
        return
    if options.cleanlab_python is None:
        parser.error("give --cleanlab-python")
    print(
        "| noise | side | last epochs: mean accuracy | by seed | CPU seconds | peak memory, MB |\n|---|---|---|---|---|---|"
    )
    for noise in options.noise:
        with tempfile.TemporaryDirectory() as folder:
            np.savez(Path(folder) / "inputs.npz", **inputs(noise, options.images))
            for side, name in SIDES.items():
                python = str(options.cleanlab_python) if side == "theirs" else sys.executable
                command = [python, "-W", "ignore", __file__, "--side", side, "--folder", folder]
                command += ["--epochs", str(options.epochs), "--seeds", *map(str, options.seeds)]
                told = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
                runs = json.loads(told.splitlines()[-1])
                accuracy = [100 * run["accuracy"] for run in runs]
                cells = [noise, name, f"{np.mean(accuracy):.1f}", " ".join(f"{one:.1f}" for one in accuracy)]
                cells += [
                    f"{np.mean([run['seconds'] for run in runs]):.0f}",
                    f"{max(run['megabytes'] for run in runs):.0f}",
                ]
                print(f"| {' | '.join(cells)} |", flush=True)


def inputs(noise: str, count: int) -> dict[str, np.ndarray]:
    """Images, labels and the rate of the wrong ones."""
    from noisy_fashion import NOISE, images_of

    images, labels = images_of("train")
    test, truth = images_of("t10k")
    given = NOISE[noise](labels)[:count]
    rate = np.array((given != labels[:count]).mean())
    return {"images": images[:count], "given": given, "test": test, "truth": truth, "rate": rate}


def measured(side: str, given: dict[str, np.ndarray], epochs: int, seed: int) -> dict[str, float]:
    """Accuracy, seconds of CPU time of training with a test after each epoch, and the most memory of the process."""
    module = imported(side)  # before the clock starts
    started = time.process_time()
    by_epoch = native(given, epochs, seed) if side == "native" else by_hand(module, given, epochs, seed)
    return {
        "accuracy": float(np.mean(by_epoch[-max(1, epochs // 3) :])),
        "seconds": time.process_time() - started,
        "megabytes": peak_megabytes(),
    }


def peak_megabytes() -> float:
    """Of this process alone: getrusage counts what its parent had when it started this one."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found
    return int(found[1]) / 1024


def imported(side: str) -> Any:
    """The module whose functions a side calls."""
    if side == "native":
        import_module("coteach.fitting")  # which coteach itself imports when it is asked for `fit`
        return import_module("known_noise")
    if side == "dropin":
        return import_module("coteach.compat.cleanlab")
    torch.Tensor.cuda = torch.nn.Module.cuda = lambda self, *_, **__: self
    return import_module("cleanlab.experimental.coteaching")


def by_hand(module: Any, given: dict[str, np.ndarray], epochs: int, seed: int) -> list[float]:
    """The loop that scripts write around the module's functions; accuracy after each epoch."""
    torch.manual_seed(seed)
    images, test = (torch.from_numpy(given[key])[:, None].float() / 255 for key in ("images", "test"))
    truth = torch.from_numpy(given["truth"])
    models = [network() for _ in range(2)]
    optimizers = [AdamW(model.parameters(), lr=1e-3) for model in models]
    schedules = [CosineAnnealingLR(optimizer, epochs) for optimizer in optimizers]
    loader = DataLoader(TensorDataset(images, torch.from_numpy(given["given"])), batch_size=128, shuffle=True)
    rates = module.forget_rate_scheduler(epochs, float(given["rate"]), max(1, epochs // 4), 1)
    args = SimpleNamespace(num_iter_per_epoch=len(loader), print_freq=10_000, epochs=epochs, batch_size=128)
    found = []
    for epoch in range(epochs):
        pairs: list[Any] = [part for pair in zip(models, optimizers, strict=True) for part in pair]
        module.train(loader, epoch, *pairs, args, rates, None, accuracy)
        for schedule in schedules:
            schedule.step()
        found.append(tested(models, test, truth))
    return found


@torch.no_grad()
def tested(models: list[torch.nn.Module], test: Tensor, truth: Tensor) -> float:
    """Share of right answers of the mean probability."""
    for model in models:
        model.eval()
    right = [
        sum(model(part).softmax(1) for model in models).argmax(1) == labels  # type: ignore[union-attr]
        for part, labels in zip(test.split(500), truth.split(500), strict=True)
    ]
    return torch.cat(right).float().mean().item()


def native(given: dict[str, np.ndarray], epochs: int, seed: int) -> list[float]:
    """The same by `coteach.fit`; accuracy after each epoch."""
    import coteach
    from known_noise import CLASSES, methods

    method, config = methods(float(given["rate"]), epochs)["co_teaching"]
    # a rate is reached at e_warm here, in the last of num_gradual epochs there
    config = replace(config, e_warm=max(1, config.e_warm - 1))
    result = coteach.fit(
        network,
        coteach.ArrayDataset(given["images"], given["given"], num_classes=CLASSES),
        method=method(config),
        val=coteach.ArrayDataset(given["test"], given["truth"], num_classes=CLASSES),
        epochs=epochs,
        seed=seed,
        device="cpu",
    )
    return [result.history["val/OA"][epoch] for epoch in range(epochs)]


if __name__ == "__main__":
    main()
