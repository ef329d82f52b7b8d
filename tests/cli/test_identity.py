"""What decides whether a folder's run is gone on with."""

import os

import numpy as np
import pytest
from label_rasters import write_map, write_sources

from coteach.cli.config import parse_config
from coteach.cli.runs import build_run
from coteach.cli.targets import TargetResolver


@pytest.fixture
def identity(tmp_path):
    """Identity of a configuration with changes."""
    for name in ("a", "b"):
        write_map(tmp_path / f"{name}.tif", np.zeros((2, 8, 8), np.uint8))
        write_map(tmp_path / f"{name}_soft.tif", np.full((2, 8, 8), 0.5, np.float32))
        row = {"image_path": f"{name}.tif", "p_soft_path": f"{name}_soft.tif", "mask_path": "none.tif"}
        write_sources(tmp_path / f"{name}.csv", [row])

    def of(**changes):
        def dataset(name):
            return {"_target_": "coteach.SoftLabelDataset", "input_csv_path": str(tmp_path / f"{name}.csv")}

        content = {
            "num_classes": 2,
            "method": {"name": "co_teaching"},
            "model": {"_target_": "torch.nn.Conv2d", "in_channels": 2, "out_channels": 2, "kernel_size": 1},
            "optimizer": {"_target_": "torch.optim.SGD", "lr": 0.1},
            "train_dataset": dataset("a"),
            "val_dataset": dataset("b"),
            "test_dataset": dataset("b"),
            "trainer": {"accelerator": "cpu"},
        }
        config = parse_config(content | changes, "test")
        return build_run(config, TargetResolver(), progress=False).identity

    return of


@pytest.mark.parametrize(
    "changes",
    [
        {"output_dir": "elsewhere"},
        {"test_dataset": None},
        {"class_names": ["x", "y"]},
        {"class_colors": ["#000000", "#ffffff"]},
        {"data_loader": {"num_workers": 2, "pin_memory": True}},
        {"data_loader": {"batch_size": 8}},  # the default
        {"trainer": {"accelerator": "cpu", "max_epochs": 7, "log_every_n_steps": 3}},
        {"trainer": {"accelerator": "cpu", "max_steps": 7}},
        {"method": {"name": "co_teaching", "lambda_reg": 0.1}},  # the default
        {"metrics": {"f1": {"_target_": "torchmetrics.classification.MulticlassF1Score", "num_classes": 2}}},
    ],
)
def test_what_does_not_decide_the_result(identity, changes):
    assert identity(**changes) == identity()


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"seed": 1}, "seed"),
        ({"optimizer": {"_target_": "torch.optim.SGD", "lr": 0.2}}, "optimizer"),
        ({"data_loader": {"batch_size": 4}}, "data_loader"),
        ({"trainer": {"accelerator": "cpu", "precision": "bf16-mixed"}}, "trainer"),
        ({"method": {"name": "co_teaching", "lambda_reg": 0.2}}, "method"),
        ({"val_dataset": None}, "val_dataset"),
    ],
)
def test_what_decides_it(identity, changes, key):
    first, second = identity(), identity(**changes)
    assert {k for k in first if first[k] != second[k]} == {key}


def test_data_counts_by_its_content(identity, tmp_path):
    first = identity()
    assert set(first["train_dataset"]["rasters"]) == {
        "a.tif",
        "a_soft.tif",
    }  # not the mask, which is not read
    status = (tmp_path / "a_soft.tif").stat()
    day = 86400 * 10**9
    os.utime(tmp_path / "a_soft.tif", ns=(day, day + 5))
    touched = identity()
    assert touched["train_dataset"]["rasters"]["a_soft.tif"] == (
        f"{status.st_size} bytes of 1970-01-02 00:00:00 (+5 ns)"
    )
    assert touched["val_dataset"] == first["val_dataset"]
    (tmp_path / "b.csv").write_text((tmp_path / "b.csv").read_text() + "a.tif,a_soft.tif,none.tif\n")
    assert identity()["val_dataset"]["input_csv_path"] != first["val_dataset"]["input_csv_path"]


def test_a_table_elsewhere_with_the_same_content_is_the_same(identity, tmp_path):
    first = identity()
    moved = tmp_path / "moved.csv"
    moved.write_bytes((tmp_path / "a.csv").read_bytes())
    node = {"_target_": "coteach.SoftLabelDataset", "input_csv_path": str(moved)}
    assert identity(train_dataset=node) == first
