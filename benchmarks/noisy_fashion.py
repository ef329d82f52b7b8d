"""Fashion-MNIST with known label noise: test accuracy of every method, on two CPU cores.

    python benchmarks/noisy_fashion.py --folder runs/noisy_fashion                       # everything, resumable
    python benchmarks/noisy_fashion.py --noise sym-50 --methods ce co_teaching --seeds 1

Noise: symmetric 20 % and 50 %, pair flip 45 %. The first images of the training set train, with wrong labels; the 2000 after them, as
wrong, are the validation set; the 10,000 test images keep their labels and are only looked at. Every method has the same
network, epochs, batches and optimizer; those that take a forget rate are told the true one, except where the
name says `auto`. Two figures as in the papers: the mean over the last ten epochs (the last third of shorter runs), and the
epoch that is best on the noisy validation images.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torchmetrics import MetricCollection
from torchmetrics.classification import MulticlassAccuracy

import coteach
from audit_cifar10n import network
from coteach.data.samples import prepare_fashion_mnist
from coteach.files import write_json
from coteach.labels.class_noise import pair_flip_noise, symmetric_noise
from coteach.methods.co_teaching import CoTeaching, CoTeachingConfig
from coteach.methods.co_teaching_plus import CoTeachingPlus, CoTeachingPlusConfig
from coteach.methods.divide_mix import DivideMix, DivideMixConfig
from coteach.methods.elr import Elr, ElrConfig
from coteach.methods.jocor import JoCoR, JoCoRConfig
from coteach.methods.label_method import LabelMethod
from coteach.methods.peer_ensemble import PeerEnsemble, PeerEnsembleConfig
from coteach.methods.supervised import Supervised
from coteach.training.options import TrainerOptions
from coteach.types import Batch

CLASSES, HELD_OUT = 10, 2000
NOISE: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "sym-20": lambda labels: symmetric_noise(labels, CLASSES, 0.2, seed=1).labels,
    "sym-50": lambda labels: symmetric_noise(labels, CLASSES, 0.5, seed=1).labels,
    "pair-45": lambda labels: pair_flip_noise(labels, CLASSES, 0.45, seed=1).labels,
}


def methods(rate: float, epochs: int) -> dict[str, tuple[type[LabelMethod], Any]]:
    """Name -> class and options, for a noise rate and a length of training."""
    ramp = max(1, epochs // 4)
    plain = {"p_start": 1.0, "p_end": 1.0, "lambda_reg": 0.0, "e_warm": ramp, "inference": "mean"}
    return {
        "ce": (Supervised, None),
        "ce_ema": (Elr, ElrConfig(lambda_elr=0.0, ema_decay=0.99)),
        "co_teaching": (CoTeaching, CoTeachingConfig(forget_end=rate, **plain)),
        "co_teaching_auto": (CoTeaching, CoTeachingConfig(forget_end="auto", **plain)),
        "co_teaching_plus": (
            CoTeachingPlus,
            CoTeachingPlusConfig(forget_end=rate, e_warm=ramp, agree_epochs=ramp),
        ),
        "jocor": (JoCoR, JoCoRConfig(forget_end=rate, e_warm=ramp)),
        "elr": (Elr, ElrConfig()),
        "peer_ensemble": (
            PeerEnsemble,
            PeerEnsembleConfig(warm_epochs=ramp, ramp_epochs=ramp, ema_decay=0.99),
        ),
        "divide_mix": (DivideMix, DivideMixConfig(warm_epochs=ramp, ramp_epochs=ramp)),
    }


def images_of(part: str) -> tuple[np.ndarray, np.ndarray]:
    """Images (uint8) and labels of ``train`` or ``t10k``."""
    folder = prepare_fashion_mnist()
    files = [str(folder / f"{part}-{kind}.gz") for kind in ("images-idx3-ubyte", "labels-idx1-ubyte")]
    data = coteach.ArrayDataset(*files)
    images = np.stack([np.asarray(data.plain(index)["image"]) for index in range(len(data))])
    return images, data.labels.values


def measured(method: type[LabelMethod]) -> type[LabelMethod]:
    """The method, with accuracies of the noisy validation images (the first) and of the test images by themselves."""

    class Measured(method):  # type: ignore[misc, valid-type]
        def make_metrics(self) -> MetricCollection:
            return MetricCollection(
                {name: MulticlassAccuracy(CLASSES, average="micro") for name in ("noisy", "test")},
                compute_groups=False,
            )

        def update_metrics(self, metrics: MetricCollection, prediction: Tensor, batch: Batch) -> None:
            noisy = batch.ids < HELD_OUT
            for name, chosen in (("noisy", noisy), ("test", ~noisy)):
                if chosen.any():
                    metrics[name].update(prediction[chosen], batch.target[chosen])

    return Measured


def run(options: argparse.Namespace, noise: str, name: str, seed: int) -> dict[str, Any]:
    """Train once, and read the figures of its epochs."""
    images, labels = images_of("train")
    test = images_of("t10k")
    given = NOISE[noise](labels)
    train, held = slice(options.images), slice(options.images, options.images + HELD_OUT)
    rate = float((given[train] != labels[train]).mean())
    kind, config = methods(rate, options.epochs)[name]
    val = (np.concatenate([images[held], test[0]]), np.concatenate([given[held], test[1]]))
    start = time.perf_counter()
    result = coteach.fit(
        network(1),
        coteach.ArrayDataset(images[train], given[train], num_classes=CLASSES),
        method=measured(kind)(config),
        val=coteach.ArrayDataset(*val, num_classes=CLASSES),
        epochs=options.epochs,
        seed=seed,
        output_dir=options.folder / f"{noise}_{name}_{seed}",
        device=options.device,
        options=TrainerOptions(monitor="val/noisy", monitor_mode="max", log_images=0),
    )
    test_by_epoch, noisy = (
        [result.history[f"val/{key}"][e] for e in range(options.epochs)] for key in ("test", "noisy")
    )
    last = min(10, max(1, options.epochs // 3))
    return {
        "noise": noise, "method": name, "seed": seed, "wrong": rate,
        "last": statistics.mean(test_by_epoch[-last:]),
        "best": test_by_epoch[int(np.argmax(noisy))],
        "highest": max(test_by_epoch),
        "seconds": time.perf_counter() - start,
        "test_by_epoch": test_by_epoch,
    }  # fmt: skip


def main() -> None:
    """Run what is not there yet, print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--noise", nargs="+", default=list(NOISE), choices=list(NOISE))
    parser.add_argument(
        "--methods", nargs="+", default=list(methods(0.2, 20)), choices=list(methods(0.2, 20))
    )
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--images", type=int, default=8000)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--folder", type=Path, default=Path("runs/noisy_fashion"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    print("| noise | method | seed | last epochs | best by validation | seconds |\n|---|---|---|---|---|---|")
    for noise in options.noise:
        for seed in range(options.seeds):
            for name in options.methods:
                file = options.folder / f"{noise}_{name}_{seed}.json"
                if not file.is_file():
                    write_json(file, run(options, noise, name, seed))
                row = json.loads(file.read_text())
                accuracies = f"{100 * row['last']:.1f} | {100 * row['best']:.1f}"
                print(f"| {noise} | {name} | {seed} | {accuracies} | {row['seconds']:.0f} |", flush=True)


if __name__ == "__main__":
    main()
