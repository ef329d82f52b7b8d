"""``train`` and ``ablate`` as the interrupted commands of ``fault_settings.py``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import yaml
from fault_commands import Command, check_same_files, files_of
from fault_imports import BUILDING, TRAINING, import_all


def training(shared: Path) -> Iterator[Command]:
    """``train`` on maps: two networks, each with its optimizer and schedule, random flips and dropout."""
    from label_rasters import two_class_tiles

    import coteach

    sources = two_class_tiles(shared / "tiles", count=4, size=32)
    report = coteach.build_soft_labels(
        sources, shared / "soft", 2, lulc_keys=("a_path", "b_path"), patch_size=16, max_workers=1
    )
    dataset = {
        "_target_": "coteach.SoftLabelWindowedDataset",
        "input_csv_path": str(report.manifest),
        "w_conf_key": "w_conf_path",
        "image_scale": 255,
    }
    model = {
        "_target_": "coteach.models.SmallFCN",
        "in_channels": 2,
        "classes": 2,
        "width": 8,
        "dropout": 0.1,
    }
    yield _train_command(shared, {"name": "co_teaching", "e_warm": 1}, model, dataset, workers=0)


def training_images(shared: Path, workers: int = 0) -> Iterator[Command]:
    """``train`` on images by ELR: a running mean of the weights, a memory of the labels, mixing."""
    import numpy as np

    rng = np.random.default_rng(3)
    labels = rng.integers(0, 2, 32)
    images = rng.integers(0, 100, (32, 16, 16, 3)) + 100 * labels[:, None, None, None]
    np.savez(shared / "images.npz", images=images.astype(np.uint8), labels=labels)
    dataset = {"_target_": "coteach.ArrayDataset", "images": str(shared / "images.npz")}
    model = {"_target_": "coteach.models.SmallMobileNet", "in_channels": 3, "num_classes": 2}
    yield _train_command(shared, {"name": "elr", "ema_decay": 0.9}, model, dataset, workers=workers)


def _train_command(
    shared: Path,
    method: dict[str, object],
    model: dict[str, object],
    dataset: dict[str, object],
    *,
    workers: int,
) -> Command:
    from same_run import assert_same_run

    import_all(*TRAINING)
    flips = [{"_target_": "albumentations.HorizontalFlip", "p": 0.5}]
    content = {
        "num_classes": 2,
        "method": method,
        "model": model,
        "optimizer": {"_target_": "torch.optim.AdamW", "lr": 0.02},
        "scheduler": {"_target_": "torch.optim.lr_scheduler.StepLR", "step_size": 1, "gamma": 0.8},
        "train_dataset": dataset | {"augmentation_list": flips},
        "val_dataset": dataset,
        "data_loader": {"batch_size": 4, "num_workers": workers},
        "trainer": {
            "max_epochs": 3,
            "accelerator": "cpu",
            "checkpoint_every_steps": 2,
            "log_every_n_steps": 1,
        },
    }
    config = shared / "conf.yaml"
    config.write_text(yaml.safe_dump(content))

    def check(parts: Path, whole: Path) -> None:
        assert_same_run(parts, whole, lost=1)
        assert _names(parts) == _names(whole)

    return Command(lambda out: ["train", str(config), f"output_dir={out}"], check)


def _names(folder: Path) -> set[str]:
    """Names of the files but for the logs, which are as many as sessions."""
    return {name for name in files_of(folder) if not name.startswith(("logs/", "tensorboard/"))}


def ablating(shared: Path) -> Iterator[Command]:
    """``ablate``, two variants of one seed."""
    from label_rasters import two_class_tiles

    import_all("coteach.cli.ablate", "coteach.cli.ablate_job", *BUILDING, *TRAINING)
    sources = two_class_tiles(shared / "tiles", count=6, size=16)

    def words(out: Path) -> list[str]:
        maps = ("--lulc-key", "a_path", "--lulc-key", "b_path", "--reference-key", "truth_path")
        quick = ("--epochs", "1", "--max-workers", "1", "data_loader.batch_size=2", "trainer.accelerator=cpu")
        quick = (*quick, "model.width=4")
        variants = (
            "--variants",
            "E0,CoT-Curr",
            "--seeds",
            "1",
            "--train-ratio",
            "0.5",
            "--val-ratio",
            "0.17",
        )
        return [
            "ablate",
            str(sources),
            "--output-dir",
            str(out),
            "--num-classes",
            "2",
            *maps,
            *variants,
            *quick,
        ]

    yield Command(words, _check_same_ablation)


def _check_same_ablation(parts: Path, whole: Path) -> None:
    from label_rasters import rows_of
    from same_run import assert_same_run

    runs = [path.parent.relative_to(whole) for path in whole.rglob("run.json")]
    assert len(runs) == 2
    for run in runs:
        assert_same_run(parts / run, whole / run, lost=1)
    for labels in (whole / "labels").iterdir():
        check_same_files(parts / "labels" / labels.name, labels)
    tables = [
        [
            {name: cell for name, cell in row.items() if "seconds" not in name}
            for row in rows_of(folder / "ablation.csv")
        ]
        for folder in (parts, whole)
    ]
    assert tables[0] == tables[1]
    assert len(tables[0]) == 2
