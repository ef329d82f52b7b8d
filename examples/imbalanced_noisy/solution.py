"""Two networks that teach each other on imbalanced, noisy labels: a loop written by hand around `select_indices`.

    python examples/imbalanced_noisy/prepare.py data
    python examples/imbalanced_noisy/solution.py data                        # every recipe, seeds 123 to 127
    python examples/imbalanced_noisy/solution.py data --recipes class-aware --seeds 123

Every fifth row of `train` is held out: recipes are compared on it, its labels being as noisy as the others. `val` is
only reported. Figures are kept in FOLDER/results.json; a second call does what is missing and prints the table.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from coteach import estimate_keep_ratio, freed_memory_kept, select_indices
from coteach.files import write_json
from coteach.models import SmallMobileNet
from coteach.tables import read_table

EPOCHS, BATCH, LEARNING_RATE, WEIGHT_DECAY = 6, 128, 1e-2, 1e-3


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What a network learns from, and what is done with it afterwards.

    Args:
        keep: ``all``, the small-loss share of the ``batch`` (plain co-teaching) or of each ``class``.
        ratio: the share kept; None estimates that of each class from the losses of the epoch before.
        ramp: epochs in which the share left out rises to its value.
        balanced: what is kept of one class weighs as much in the loss as what is kept of the other.
        centred: after training :func:`centre` sets the threshold between the classes.
    """

    keep: str = "class"
    ratio: float | None = 0.85
    ramp: int = 0
    balanced: bool = False
    centred: bool = False


RECIPES = {
    "all samples": Recipe(keep="all"),
    "co-teaching": Recipe(keep="batch"),
    "class-aware": Recipe(),
    "estimated ratios, ramp": Recipe(ratio=None, ramp=3),
    "balanced, all samples": Recipe(keep="all", balanced=True),
    "balanced, class-aware, ramp": Recipe(ramp=3, balanced=True),
    "balanced, estimated ratios, ramp": Recipe(ratio=None, ramp=3, balanced=True),
    "all samples, centred": Recipe(keep="all", centred=True),
    "class-aware, centred": Recipe(centred=True),
    "balanced, all samples, centred": Recipe(keep="all", balanced=True, centred=True),
}


def load(folder: Path) -> tuple[Tensor, Tensor]:
    """Images ``(N, 1, H, W)`` in [0, 1] and labels ``(N,)``, in the order of the table."""
    rows = read_table(folder / "dataset_labels.csv").rows
    images = [np.asarray(Image.open(folder / "data" / row["file_name"]).convert("L")) for row in rows]
    return torch.from_numpy(np.stack(images))[:, None] / 255, torch.tensor(
        [int(row["label"]) for row in rows]
    )


def shares(recipe: Recipe, epoch: int, estimated: dict[int, float]) -> dict[int, float]:
    """The share of each class to keep in this epoch."""
    if recipe.keep == "all":
        return {0: 1.0, 1: 1.0}
    risen = min(1.0, epoch / recipe.ramp) if recipe.ramp else 1.0
    final = estimated if recipe.ratio is None else dict.fromkeys((0, 1), recipe.ratio)
    return {c: 1 - risen * (1 - ratio) for c, ratio in final.items()}


def train(recipe: Recipe, images: Tensor, labels: Tensor, seed: int) -> list[SmallMobileNet]:
    """Both networks, trained."""
    torch.manual_seed(seed)
    models = [SmallMobileNet(stride=2).to(images.device) for _ in range(2)]
    optimizers = [
        torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY) for model in models
    ]
    weight = torch.ones(2, device=labels.device)
    estimated = {0: 1.0, 1: 1.0}
    seen = torch.full((2, len(labels)), torch.nan, device=labels.device)
    for epoch in range(EPOCHS):
        keep = shares(recipe, epoch, estimated)
        if recipe.balanced:
            kept = torch.bincount(labels, minlength=2) * torch.tensor(
                [keep[0], keep[1]], device=labels.device
            )
            weight = kept.sum() / (2 * kept)
        for start in range(0, len(labels), BATCH):  # in order, as the task has it
            rows = slice(start, start + BATCH)
            targets = labels[rows]
            losses = [F.cross_entropy(model(images[rows]), targets, reduction="none") for model in models]
            seen[:, rows] = torch.stack(losses).detach()
            groups = torch.zeros_like(targets) if recipe.keep == "batch" else targets
            chosen = select_indices(groups, losses, keep)
            for optimizer in optimizers:
                optimizer.zero_grad()
            own = [
                (weight[targets[idx]] * loss[idx]).mean() for idx, loss in zip(chosen, losses, strict=True)
            ]
            sum(own).backward()  # the networks share nothing: one backward serves both
            for optimizer in optimizers:
                optimizer.step()
        estimated = estimate_keep_ratio(labels, seen)
    if recipe.centred:
        for model in models:
            centre(model, images, labels)
    return models


@torch.no_grad()
def scores(model: SmallMobileNet, images: Tensor) -> Tensor:
    """``(N, 2)`` in evaluation mode."""
    model.eval()
    return torch.cat([model(part) for part in images.split(500)])


@torch.no_grad()
def centre(model: SmallMobileNet, images: Tensor, labels: Tensor) -> None:
    """Move the last bias to where the balanced accuracy on the given labels is highest.

    Needs no right labels: where noise depends on the class alone, the threshold that is best for the noisy ones is best
    for the right ones, whatever the rates and the imbalance (Menon et al., ICML 2015).

    Args:
        model: trained; changed in place.
        images: ``(N, 1, H, W)`` that it was trained on.
        labels: ``(N,)``, 0 or 1, their noisy labels.
    """
    margin, order = scores(model, images).diff(dim=1)[:, 0].sort()
    given = labels[order]
    share = 1 / torch.bincount(labels, minlength=2)[given]
    gain = torch.where(given == 0, share, -share).cumsum(0)  # of a threshold just above each margin
    best = gain.argmax()
    model.classifier[-1].bias[1] -= margin[best : best + 2].mean()


@torch.no_grad()
def balanced_accuracy(models: list[SmallMobileNet], images: Tensor, labels: Tensor) -> float:
    """The mean over both networks of the mean share of right answers in each class."""
    figures = []
    for model in models:
        right = scores(model, images).argmax(1) == labels
        figures += [right[labels == c].float().mean().item() for c in (0, 1)]
    return statistics.fmean(figures)


def points(accuracy: float) -> float:
    """0.5 to 0.8 as 0 to 100."""
    return 100 * min(1.0, max(0.0, (accuracy - 0.5) / 0.3))


def print_table(results: dict[str, dict[str, dict[str, float]]]) -> None:
    """Mean and standard deviation over the seeds, in Markdown."""
    print(
        "| recipe | seeds | held out, noisy: balanced accuracy | val: balanced accuracy | points | seconds |"
    )
    print("|---|---|---|---|---|---|")
    for name, by_seed in results.items():
        runs = list(by_seed.values())
        cells = []
        for key in ("held_out", "val"):
            values = [run[key] for run in runs]
            cells.append(f"{statistics.fmean(values):.3f} ± {statistics.pstdev(values):.3f}")
        gained = [points(run["val"]) for run in runs]
        cells.append(f"{statistics.fmean(gained):.1f} ± {statistics.pstdev(gained):.1f}")
        cells.append(f"{statistics.median(run['seconds'] for run in runs):.0f}")
        print(f"| {name} | {len(runs)} | {' | '.join(cells)} |")


def main() -> None:
    """Train what is missing, and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--recipes", nargs="+", choices=RECIPES, default=list(RECIPES), metavar="NAME")
    parser.add_argument("--seeds", nargs="+", type=int, default=[123, 124, 125, 126, 127])
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    options = parser.parse_args()
    images, labels = (part.to(options.device) for part in load(options.folder / "train"))
    val = [part.to(options.device) for part in load(options.folder / "val")]
    held_out = torch.arange(len(labels), device=options.device) % 5 == 4
    file = options.folder / "results.json"
    results = json.loads(file.read_text()) if file.exists() else {}
    for seed in options.seeds:
        for name in options.recipes:
            if str(seed) in results.get(name, {}):
                continue
            started = time.monotonic()
            with freed_memory_kept(wanted=options.device == "cpu"):
                models = train(RECIPES[name], images[~held_out], labels[~held_out], seed)
            seconds = time.monotonic() - started
            figures = {
                "held_out": balanced_accuracy(models, images[held_out], labels[held_out]),
                "val": balanced_accuracy(models, *val),
                "seconds": seconds,
            }
            results.setdefault(name, {})[str(seed)] = figures
            write_json(file, results)
            print(f"{name}, seed {seed}: {figures['val']:.3f} on val, {seconds:.0f} s", flush=True)
    print_table(results)


if __name__ == "__main__":
    main()
