"""What correcting labels after an audit is worth: co-teaching, `coteach.audit`, co-teaching again on the corrected labels.

    python benchmarks/train_again.py                                # half an hour of a core
    python benchmarks/train_again.py --tasks worse --seeds 0

Labels are replaced without a look (`suggested`), or by a person who makes no mistake and looks at those suspected most. Every training is told
the true share of wrong labels among those it learns. Training again costs as much as twice the epochs on the labels as they are.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np
from torch import nn
from torch.optim import AdamW

import coteach
from audit_cifar10n import confused, load, method
from coteach.data.samples import prepare_cifar10
from coteach.labels.noise import pair_flip_noise, symmetric_noise
from coteach.training.fit_result import FitResult
from fashion_network import network
from known_noise import CLASSES
from lite_features import head, lite_features
from noisy_fashion import images_of

REVIEWED = (0.1, 0.3)  # shares of the labels that are looked at
COUNT = 8000  # images that train
FIRST = 12000  # of CIFAR-10: features of others chose the audit's rules
EPOCHS = 10


class Task(NamedTuple):
    """Images with wrong labels, and others to judge by."""

    make: Callable[[], nn.Module]
    images: np.ndarray
    truth: np.ndarray
    given: np.ndarray
    test_images: np.ndarray
    test_truth: np.ndarray


FASHION = {
    "sym-20": lambda labels: symmetric_noise(labels, CLASSES, 0.2, seed=0).labels,
    "pair-45": lambda labels: pair_flip_noise(labels, CLASSES, 0.45, seed=0).labels,
    "confused": confused,
}


def task(name: str) -> Task:
    """Images of Fashion-MNIST with made noise, or features of CIFAR-10 with labels that people gave."""
    if name in FASHION:
        images, truth = (values[:COUNT] for values in images_of("train"))
        shown, right = images_of("t10k")
        return Task(network, images, truth, FASHION[name](truth), shown[:, None] / np.float32(255), right)
    images, truth, given = load(name, slice(FIRST, FIRST + COUNT))
    test = np.load(prepare_cifar10() / "test.npz")
    return Task(
        head,
        lite_features(images),
        truth,
        given,
        lite_features(test["images"]),
        test["labels"].astype(np.int64),
    )


def accuracies(of: Task, seed: int) -> dict[str, tuple[float, float]]:
    """Way of training -> share of wrong labels that it learned from, and accuracy on the test images."""

    def fit(labels: np.ndarray, epochs: int, folder: str | None = None) -> FitResult:
        return coteach.fit(
            of.make,
            coteach.ArrayDataset(of.images, labels, num_classes=CLASSES),
            method=method("co_teaching", float((labels != of.truth).mean()), epochs),
            epochs=epochs,
            optimizer=partial(AdamW, lr=1e-3),
            output_dir=folder,
            device="cpu",
            seed=seed,
        )

    def figures(labels: np.ndarray, result: FitResult) -> tuple[float, float]:
        right = result.predict(of.test_images).argmax(1) == of.test_truth
        return float((labels != of.truth).mean()), float(right.mean())

    with tempfile.TemporaryDirectory() as folder:
        first = fit(of.given, EPOCHS, folder)
        found = coteach.audit(folder)
    suspects = found.ranked()
    corrected = {"suggested": found.suggested}
    for share in REVIEWED:
        seen = suspects[: round(share * COUNT)]
        corrected[f"{share:.0%} reviewed"] = of.given.copy()
        corrected[f"{share:.0%} reviewed"][seen] = of.truth[seen]
    rows = {
        "as given": figures(of.given, first),
        "as given, twice as long": figures(of.given, fit(of.given, 2 * EPOCHS)),
    }
    rows |= {name: figures(labels, fit(labels, EPOCHS)) for name, labels in corrected.items()}
    return rows | {"true labels": figures(of.truth, fit(of.truth, EPOCHS))}


def main() -> None:
    """Train all, print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    names = [*FASHION, "random1", "worse"]
    parser.add_argument("--tasks", nargs="+", default=names, choices=names)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1])
    options = parser.parse_args()
    for name in options.tasks:
        of = task(name)
        runs = [accuracies(of, seed) for seed in options.seeds]
        print(f"{name}\n| labels | wrong | accuracy |\n|---|---|---|")
        for row in runs[0]:
            wrong, right = np.array([run[row] for run in runs]).T * 100
            print(f"| {row} | {wrong.mean():.1f} % | {right.mean():.1f} ± {right.std():.1f} |", flush=True)


if __name__ == "__main__":
    main()
