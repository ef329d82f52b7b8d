"""Configuration files of small runs, for tests of the command line."""

from __future__ import annotations

from pathlib import Path

import yaml


def write_small_fcn_run(
    folder: Path, datasets: dict[str, dict], *, network: dict[str, int], batch_size: int, epochs: int
) -> Path:
    """``conf.yaml`` in the folder: a SmallFCN learns soft labels of four classes on the CPU, into ``run`` beside it."""
    content = {
        "num_classes": 4,
        "method": {"name": "soft_label"},
        "model": {"_target_": "coteach.models.SmallFCN", "classes": 4, **network},
        "optimizer": {"_target_": "torch.optim.AdamW", "lr": 0.02},
        **datasets,
        "data_loader": {"batch_size": batch_size},
        "trainer": {"max_epochs": epochs, "accelerator": "cpu"},
        "output_dir": str(folder / "run"),
    }
    path = folder / "conf.yaml"
    path.write_text(yaml.safe_dump(content))
    return path
