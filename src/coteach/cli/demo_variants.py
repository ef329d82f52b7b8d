"""The demo's variants: the same network and budget on different labels."""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass, replace
from pathlib import Path

from coteach.cli.config import RunConfig
from coteach.cli.data_paths import Node
from coteach.cli.demo_labels import CLASS_NAMES, NUM_CLASSES, DemoLabels
from coteach.cli.variant_runs import slug
from coteach.cli.variants import SUPERVISED, VARIANTS, LabelSet, Variant


@dataclass(frozen=True, kw_only=True)
class Budget:
    """What every variant gets.

    Args:
        epochs: passes over the training patches.
        batch_size: patches a batch.
        learning_rate: peak of the schedule.
        e_warm: epochs over which co-teaching's rates rise.
    """

    epochs: int
    batch_size: int = 16
    learning_rate: float = 0.005
    e_warm: float = 4


def variants(budget: Budget) -> list[Variant]:
    """All rows, single products first, the clean reference last."""
    full = VARIANTS["CoT-Full"]
    return [
        *[_supervised(f"E0 {name}", name) for name in ("coarse", "shifted", "regional", "mask")],
        _supervised("E0 majority vote", VARIANTS["E2"].labels.name),
        *[VARIANTS[name] for name in ("E1", "E2-NB", "E2")],
        replace(full, method={**full.method, "e_warm": budget.e_warm}),
        _supervised("E0 clean", "clean"),
    ]


def _supervised(name: str, labels: str) -> Variant:
    return Variant(name=name, labels=LabelSet(name=labels), method=SUPERVISED)


def variant_config(
    variant: Variant, labels: DemoLabels, budget: Budget, folder: Path, seed: int
) -> RunConfig:
    """The configuration of a variant; its run goes to ``folder/<variant>_<seed>``."""
    split = labels.splits[variant.labels.name]
    return RunConfig(
        method=dict(variant.method),
        model={"_target_": "coteach.models.SmallFCN", "in_channels": 5, "classes": NUM_CLASSES},
        optimizer={"_target_": "torch.optim.AdamW", "lr": budget.learning_rate, "weight_decay": 1e-4},
        scheduler={
            "_target_": "torch.optim.lr_scheduler.OneCycleLR",
            "max_lr": budget.learning_rate,
            "epochs": budget.epochs,
            "steps_per_epoch": math.ceil(_row_count(split["train"]) / budget.batch_size),
            "pct_start": 0.2,
            "interval": "step",
        },
        train_dataset=dataset_node(split["train"], weighted=variant.weighted, augment=True),
        val_dataset=dataset_node(split["val"], weighted=variant.weighted),
        test_dataset=dataset_node(split["test"], weighted=variant.weighted),
        num_classes=NUM_CLASSES,
        class_names=CLASS_NAMES,
        data_loader={"batch_size": budget.batch_size},
        trainer={
            "max_epochs": budget.epochs,
            "accelerator": "cpu",
            "devices": 1,
            "check_val_every_n_epoch": max(1, budget.epochs // 6),
        },
        output_dir=str(folder / f"{slug(variant.name)}_{seed}"),
        seed=seed,
    )


def _row_count(table: Path) -> int:
    with table.open(newline="") as lines:
        return sum(1 for _ in csv.DictReader(lines))


def dataset_node(table: Path, *, weighted: bool, augment: bool = False) -> Node:
    """The data set of a table of patches, with W_conf if it is ``weighted``."""
    node: Node = {
        "_target_": "coteach.SoftLabelWindowedDataset",
        "input_csv_path": str(table.resolve()),
        "image_scale": 255,  # the bands are floats that hold 0 to 255
        "in_memory": True,
    }
    if weighted:
        node["w_conf_key"] = "w_conf_path"
    if augment:
        node["augmentation_list"] = [
            {"_target_": "albumentations.D4", "p": 1.0},
        ]
    return node
