"""Finding the wrong labels of CIFAR-10N: `coteach.audit` against confident learning, by average precision.

    python benchmarks/audit_cifar10n.py --noise worse --cleanlab-python /path/to/venv/bin/python
    python benchmarks/audit_cifar10n.py --noise worse --network features --start 12000 --images 8000 --epochs 10   # two cores
    python benchmarks/audit_cifar10n.py --noise fashion --images 2000 --epochs 5      # two cores

`fashion` is Fashion-MNIST whose confused classes (shirt and T-shirt, coat and pullover, ...) are mislabelled at known
rates. The rival is the package cleanlab in an environment of its own: it runs in a process that is given arrays and
gives back scores. It gets the same mean probabilities of the training history as we do, and out-of-fold ones of networks
trained in the same way on the other folds, which is how it is meant to be used; of its scores each is reported.
`--network features` trains a small head on features of EfficientNet-Lite0 with ImageNet weights, as one would on few cores.
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import nn

import coteach
from coteach.data.samples import prepare_cifar10, prepare_cifar10n, prepare_fashion_mnist
from coteach.labels.noise import transition_noise
from coteach.methods.co_teaching import CoTeaching, CoTeachingConfig
from coteach.methods.label_method import LabelMethod
from coteach.methods.peer_ensemble import PeerEnsemble
from coteach.methods.supervised import Supervised
from coteach.training.fit_result import FitResult
from coteach.training.history_recording import read_history
from lite_features import head, lite_features

CONFUSED = {(6, 0): 0.3, (0, 6): 0.25, (2, 4): 0.3, (4, 2): 0.25, (3, 6): 0.2, (7, 9): 0.3, (5, 7): 0.3}
THEIRS = ("self_confidence", "normalized_margin", "confidence_weighted_entropy")
RIVAL = """
import sys, numpy as np
from cleanlab.rank import get_label_quality_scores
given = np.load(sys.argv[1])
names = sys.argv[3:]
scores = {}
for key in ("history", "folds"):
    for name in names:
        adjust = name != "confidence_weighted_entropy"
        scores[f"{key}/{name}"] = -get_label_quality_scores(given["labels"], given[key], method=name)
        if adjust:
            scores[f"{key}/{name}, adjusted"] = -get_label_quality_scores(
                given["labels"], given[key], method=name, adjust_pred_probs=True)
np.savez(sys.argv[2], **scores)
"""


def confused(truth: np.ndarray) -> np.ndarray:
    """Labels of Fashion-MNIST as people might give them: classes that look alike are mistaken."""
    transition = np.eye(10)
    for (true, given), rate in CONFUSED.items():
        transition[true, given] = rate
        transition[true, true] -= rate
    return transition_noise(truth, transition, seed=0).labels


def load(noise: str, chosen: slice) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Images (uint8), true classes, and labels as they are given."""
    if noise == "fashion":
        folder = prepare_fashion_mnist()
        files = (folder / f"train-{part}.gz" for part in ("images-idx3-ubyte", "labels-idx1-ubyte"))
        data = coteach.ArrayDataset(*map(str, files), start=chosen.start, stop=chosen.stop)
        images = np.stack([np.asarray(data.plain(i)["image"]) for i in range(len(data))])
        truth = data.labels.values
        return images, truth, confused(truth)
    labels = np.load(prepare_cifar10n())
    images = np.load(prepare_cifar10() / "train.npz")["images"][chosen]
    clean, given = (labels[name][chosen].astype(np.int64) for name in ("clean", noise))
    return images, clean, given


def network(bands: int) -> Callable[[], nn.Module]:
    """A small convolutional network for two cores."""

    def block(before: int, after: int) -> list[nn.Module]:
        return [nn.Conv2d(before, after, 3, padding=1), nn.BatchNorm2d(after), nn.ReLU()]

    def make() -> nn.Module:
        first = [*block(bands, 16), nn.MaxPool2d(2), *block(16, 32), nn.MaxPool2d(2), *block(32, 64)]
        return nn.Sequential(
            *first, nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Dropout(0.25), nn.Linear(256, 10)
        )

    return make


def method(name: str, rate: float, epochs: int) -> LabelMethod:
    """The method that trains, told the true noise rate as co-teaching wants it."""
    if name == "supervised":
        return Supervised()
    if name == "peer_ensemble":
        return PeerEnsemble()
    options = {"p_start": 1.0, "p_end": 1.0, "lambda_reg": 0.0, "inference": "mean"}
    return CoTeaching(CoTeachingConfig(e_warm=max(1, epochs // 2), forget_end=rate, **options))


def average_precision(scores: np.ndarray, wrong: np.ndarray) -> float:
    """Mean precision at each wrong label, the most suspicious first."""
    hits = wrong[np.argsort(-scores, kind="stable")]
    return float((hits.cumsum() / np.arange(1, len(hits) + 1))[hits].mean())


def main() -> None:
    """Train, audit, print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--noise", default="worse", choices=("aggre", "random1", "worse", "fashion"))
    parser.add_argument(
        "--method", default="co_teaching", choices=("co_teaching", "peer_ensemble", "supervised")
    )
    parser.add_argument("--network", default="small", choices=("small", "features"))
    parser.add_argument("--start", type=int, default=0, help="first image")
    parser.add_argument("--images", type=int, default=50000)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--folds", type=int, default=3)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--cleanlab-python", type=Path)
    options = parser.parse_args()
    images, truth, given = load(options.noise, slice(options.start, options.start + options.images))
    wrong = given != truth
    count = len(images)
    if options.network == "features":
        images = lite_features(images)

    def fit(members: np.ndarray, folder: Path | None = None) -> FitResult:
        data = coteach.ArrayDataset(images[members], given[members], num_classes=10)
        return coteach.fit(
            head if options.network == "features" else network(data.num_bands),
            data,
            method=method(options.method, float(wrong.mean()), options.epochs),
            epochs=options.epochs,
            lr=1e-3 if options.network == "features" else 3e-3,
            output_dir=folder,
            device=options.device,
        )

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        fit(np.arange(count), folder / "run")
        history = read_history(folder / "run")
        probs = history["probs"].sum(0) / history["weight"].sum(0)[:, None]
        found = coteach.audit(str(folder / "run"))
        fold = np.random.default_rng(0).permutation(count) % options.folds
        outside = np.zeros((count, 10))
        for k in range(options.folds):
            apart = np.flatnonzero(fold == k)
            data = coteach.ArrayDataset(images[apart], given[apart], num_classes=10)
            shown = torch.stack([data.plain(i)["image"] for i in range(len(apart))])
            outside[apart] = fit(np.flatnonzero(fold != k)).predict(shown)
        rows = {"ours, history": found.p_wrong, "ours, out of fold": coteach.audit(outside, given).p_wrong}
        rows["ours, both"] = coteach.audit(str(folder / "run"), out_of_fold=outside).p_wrong
        rows |= {"mean loss": found.loss, "mean margin (AUM)": -found.margin, "forgetting": found.forgetting}
        if options.cleanlab_python is not None:
            np.savez(folder / "in.npz", labels=given, history=probs, folds=outside)
            command = [
                str(options.cleanlab_python),
                "-c",
                RIVAL,
                str(folder / "in.npz"),
                str(folder / "out.npz"),
            ]
            subprocess.run([*command, *THEIRS], check=True)
            rows |= {f"cleanlab, {key}": scores for key, scores in np.load(folder / "out.npz").items()}
    print(
        f"{options.noise}: {count} images, {options.method}, {options.epochs} epochs, {wrong.mean():.1%} wrong"
    )
    print(
        f"probabilities right {(probs.argmax(1) == truth).mean():.1%}, out of fold {(outside.argmax(1) == truth).mean():.1%}; "
        f"noise rate: ours {found.noise_rate:.1%}; suggested classes right {(found.suggested == truth).mean():.1%}"
    )
    print("| score | average precision |\n|---|---|")
    for label, scores in sorted(rows.items(), key=lambda row: -average_precision(row[1], wrong)):
        print(f"| {label} | {average_precision(scores, wrong):.3f} |")


if __name__ == "__main__":
    main()
