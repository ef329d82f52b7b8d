"""coteach's part of compare_existing.py: the same experiments as compare_existing_theirs.py."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path

import albumentations
import numpy as np
import rasterio
import torch
import yaml
from torch.nn.functional import cross_entropy

import coteach
from coteach.labels.confidence import confidence_weight
from coteach.losses.soft_cross_entropy import masked_mean
from coteach.losses.target import as_soft_target
from coteach.selection.curriculum import CurriculumScheduler, retain_most_confident
from coteach.selection.small_loss import select_small_loss

Value = float | str | bool


def our_classification(inputs: Path) -> dict[str, Value]:
    """The parts of coteach that cleanlab's loss corresponds to."""
    data = {key: torch.from_numpy(array) for key, array in np.load(inputs / "images.npz").items()}
    logits, labels, classes = data["logits"], torch.arange(64) % 3, torch.arange(200) % 2
    losses = cross_entropy(logits, labels, reduction="none")
    few = masked_mean(losses[:4], select_small_loss(losses[:4], 0.8).mask)
    chosen = select_small_loss(cross_entropy(data["mirrored"], classes, reduction="none"), 0.5).mask
    rates = [CurriculumScheduler(e_warm=9, forget_end=0.4).forget_rate(epoch) for epoch in range(20)]
    return {
        "mean": (masked_mean(losses, select_small_loss(losses, 0.0).mask) / losses.mean()).item(),
        "few": bool(few.isfinite()),
        "class_weight": classes[chosen].double().mean().item(),
        "jump": max(np.diff(rates)),
        "cpu": our_steps(logits, labels),
        "top5": our_steps(logits, labels),
    }


def our_steps(images: torch.Tensor, labels: torch.Tensor) -> str:
    """Two networks, two batches, in a loop of one's own: coteach has no command for classification yet."""
    nets = [torch.nn.Linear(3, 3) for _ in range(2)]
    steps = [torch.optim.Adam(net.parameters()) for net in nets]
    for batch in (slice(32), slice(32, 64)):
        loss_a, loss_b = (cross_entropy(n(images[batch]), labels[batch], reduction="none") for n in nets)
        by_a, by_b = (select_small_loss(loss, 0.2).mask for loss in (loss_a, loss_b))
        (masked_mean(loss_a, by_b) + masked_mean(loss_b, by_a)).backward()
        for step in steps:
            step.step()
            step.zero_grad()
    return "trains"


def our_selection(inputs: Path) -> dict[str, Value]:
    """Curriculum, selection and losses of coteach on the same arrays."""
    data = {key: torch.from_numpy(array) for key, array in np.load(inputs / "selection.npz").items()}
    logits, p_soft = data["logits"], data["p_soft"]
    curriculum = CurriculumScheduler()
    loss = coteach.CoTeachingLoss("cot", num_classes=5, lambda_reg=0.0)
    here, there = logits.clone().requires_grad_(), logits.flip(-1).requires_grad_()
    loss.compute(
        {"logits_a": here, "logits_b": there}, {"mask": p_soft, "w_conf": data["unanimous"]}
    ).backward()

    def choose(target: object, epoch: float, share: float) -> tuple[torch.Tensor, torch.Tensor]:
        soft = as_soft_target(target, 5)
        admitted = retain_most_confident(soft.weight, share, valid=soft.valid).mask
        losses = -(soft.probs * logits.log_softmax(1)).sum(1)
        forget, group = curriculum.forget_rate(epoch), soft.probs.argmax(1)
        return admitted, select_small_loss(losses, forget, group=group, num_groups=5, eligible=admitted).mask

    admitted, chosen = choose({"mask": p_soft, "w_conf": data["varied"]}, 10, curriculum.retention_rate(10))
    _, ranked = choose({"mask": p_soft, "w_conf": data["two_levels"]}, 20, 1.0)
    nobody = data["with_gap"].sum(1) == 0
    _, gap = choose(data["with_gap"], 20, 1.0)
    regularised = coteach.CoTeachingLoss("cot", num_classes=5, lambda_reg=1.0)
    side = logits.flip(-1).requires_grad_()
    pair = {"logits_a": logits, "logits_b": side}
    change = regularised.compute(pair | {"features": logits}, p_soft) - loss.compute(pair, p_soft)
    half = {"mask": p_soft, "w_conf": torch.full_like(data["varied"], 0.5)}
    soft = coteach.SoftLabelWeightedCELoss("soft", num_classes=5)
    empty = np.zeros((4, 1, 1), np.float32)
    return {
        "equal": curriculum.curriculum_mask(torch.full_like(data["varied"], 0.8), 0).mean().item(),
        "unanimous": curriculum.curriculum_mask(data["unanimous"], 0).mean().item(),
        "no_gradient": bool(here.grad.abs().sum() > 0),
        "masked_chosen": chosen[~admitted].double().mean().item(),
        "forgotten": 1 - chosen[admitted].double().mean().item(),
        "doubtful": ranked[data["two_levels"][:, 0] < 0.8].double().mean().item(),
        "gap_weight": confidence_weight(empty, np.zeros((1, 1), bool), use_border=False).item(),
        "gap_quota": gap[~nobody & (data["with_gap"].argmax(1) == 0)].double().mean().item(),
        "reg_both": bool(torch.autograd.grad(change, side)[0].abs().sum() > 0),
        "weighted_mean": (soft.compute(logits, half) / soft.compute(logits, p_soft)).item(),
    }


def run_command(*arguments: object) -> int:
    command = [sys.executable, "-m", "coteach.cli.main", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, check=False).returncode


def our_rasters(inputs: Path, work: Path) -> dict[str, Value]:
    """Soft labels, splits and data sets of coteach, by its commands."""

    def build(table: str, *options: str) -> int:
        fixed = ["--output-dir", work, "--num-classes", 4, "--lulc-key", "b_path", "--max-workers", 1]
        return run_command("build-soft-labels", inputs / table, *fixed, *options)

    def read(kind: str, tile: str) -> np.ndarray:
        with rasterio.open(work / kind / f"{tile}.tif") as file:
            return file.read()

    build("good.csv", "--patch-size", "32")
    first = {file: file.stat().st_mtime_ns for file in (work / "p_soft").iterdir()}
    covered = np.zeros((100, 100), bool)
    with (work / "soft_label_patches.csv").open(newline="") as stream:
        for row in csv.DictReader(stream):
            top, left = int(row["row_off"]), int(row["col_off"])
            covered[top : top + 32, left : left + 32] |= row["tile_id"] == "full"
    build("good.csv", "--patch-size", "32")
    run_command("generate-training-csv", inputs / "patches.csv", "--output-dir", work / "splits")
    plain = coteach.SoftLabelDataset(inputs / "images.csv")
    normalize = albumentations.Normalize(mean=(0.5,) * 3, std=(0.25,) * 3, max_pixel_value=1.0)
    normal = coteach.SoftLabelDataset(inputs / "images.csv", augmentation_list=[normalize])
    return {
        "w_conf": float(read("w_conf", "full").mean()),
        "nodata_sum": float(read("p_soft", "nodata")[:, :, 40:].sum(0).mean()),
        "uncovered": float(read("p_soft", "short")[0, :, 40:].mean()),
        "covered": float(covered.mean()),
        "remade": float(sum(file.stat().st_mtime_ns != time for file, time in first.items())),
        "exit_code": float(build("broken.csv")),
        "splits": str(work / "splits"),
        "scale": (plain[0]["image"][0, 0, 0] / plain[1]["image"][0, 0, 0]).item(),
        "normalize": normal[1]["image"].max().item(),
    }


def our_training(inputs: Path, work: Path) -> dict[str, Value]:
    """A schedule, clipping and accumulation with ``coteach train``."""
    config = {
        "num_classes": 4,
        "method": {"name": "co_teaching"},
        "model": {
            "_target_": "coteach.models.SmallFCN",
            "in_channels": 3,
            "classes": 4,
            "width": 4,
            "depth": 1,
        },
        "optimizer": {"_target_": "torch.optim.SGD", "lr": 0.1},
        "scheduler": {"_target_": "torch.optim.lr_scheduler.ExponentialLR", "gamma": 0.1},
        "train_dataset": {
            "_target_": "coteach.SoftLabelDataset",
            "input_csv_path": str(inputs / "images.csv"),
        },
        "data_loader": {"batch_size": 1},
        "trainer": {"max_epochs": 2, "accelerator": "cpu"},
    }

    def outcome(name: str, **options: object) -> str:
        trainer = config["trainer"] | options
        file = work / f"{name}.yaml"
        file.write_text(yaml.safe_dump(config | {"trainer": trainer, "output_dir": str(work / name)}))
        return "trains" if run_command("train", file) == 0 else "fails"

    work.mkdir(parents=True)
    outcome("schedule")
    state = torch.load(next((work / "schedule").rglob("last.ckpt")), weights_only=True)
    return {
        "schedule": state["optimizer_states"][0]["param_groups"][0]["lr"],
        "clip": outcome("clip", gradient_clip_val=1.0),
        "accumulate": outcome("accumulate", accumulate_grad_batches=2),
    }


def our_values(inputs: Path, work: Path) -> dict[str, Value]:
    """One value a claim."""
    return (
        our_classification(inputs)
        | our_selection(inputs)
        | our_rasters(inputs, work / "soft")
        | our_training(inputs, work / "runs")
    )
