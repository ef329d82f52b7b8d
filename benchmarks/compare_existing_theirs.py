"""The other packages' part of compare_existing.py: runs under the interpreter that has them, without coteach.

Reads what compare_existing.py put into INPUTS, runs public releases as they are, and writes one value a claim as JSON.
"""

from __future__ import annotations

import importlib.metadata
import json
import math
import subprocess
import sys
import types
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

Values = dict[str, object]


def cleanlab_claims(inputs: Path) -> Values:
    """cleanlab.experimental.coteaching."""
    from cleanlab.experimental import coteaching

    data = {key: torch.from_numpy(array) for key, array in np.load(inputs / "images.npz").items()}
    logits, labels = data["logits"], torch.arange(64) % 3
    plain = torch.nn.functional.cross_entropy(logits, labels)
    loss, _ = coteaching.loss_coteaching(logits, logits, labels, forget_rate=0.0)
    few, _ = coteaching.loss_coteaching(logits[:4], logits[:4], labels[:4], forget_rate=0.8)

    mirrored, classes = data["mirrored"].requires_grad_(), torch.arange(200) % 2
    weights = torch.tensor([1.0, 4.0])
    weighted, _ = coteaching.loss_coteaching(mirrored, mirrored, classes, 0.5, class_weights=weights)
    (gradient,) = torch.autograd.grad(weighted, mirrored)
    chosen = gradient.abs().sum(1) > 0  # who trains

    schedule = coteaching.forget_rate_scheduler(epochs=20, forget_rate=0.4, num_gradual=10, exponent=2)
    return {
        "mean": (loss / plain).item(),
        "few": bool(few.isfinite()),
        "class_weight": classes[chosen].double().mean().item(),
        "jump": float(np.abs(np.diff(schedule)).max()),
        "cpu": cleanlab_epoch(3, pretend_cuda=False),
        "top5": cleanlab_epoch(3, pretend_cuda=True),
    }


def outcome(action: Callable[[], object]) -> str:
    """What became of it: ``trains``, or the error's name and the first sentence of its message."""
    try:
        action()
    except Exception as error:  # noqa: BLE001 -- whichever it is, is the result
        return f"{type(error).__name__}: {str(error).splitlines()[0].split('. ')[0]}"
    return "trains"


def cleanlab_epoch(num_classes: int, *, pretend_cuda: bool) -> str:
    """One epoch of cleanlab's loop, with an accuracy function that counts the k best classes."""
    from cleanlab.experimental import coteaching

    def accuracy(output: torch.Tensor, target: torch.Tensor, topk: tuple[int, ...]) -> list[float]:
        best = output.topk(max(topk), 1).indices
        return [100 * (best[:, :k] == target[:, None]).any(1).double().mean().item() for k in topk]

    nets = [torch.nn.Linear(3, num_classes) for _ in range(2)]
    steps = [torch.optim.Adam(net.parameters()) for net in nets]
    samples = torch.utils.data.TensorDataset(torch.randn(64, 3), torch.arange(64) % num_classes)
    loader = torch.utils.data.DataLoader(samples, batch_size=32)
    options = types.SimpleNamespace(print_freq=1000, epochs=1, batch_size=32)
    pairs = (nets[0], steps[0], nets[1], steps[1])
    original = torch.Tensor.cuda
    if pretend_cuda:
        torch.Tensor.cuda = lambda self: self
    try:
        return outcome(lambda: coteaching.train(loader, 0, *pairs, options, np.zeros(1), None, accuracy))
    finally:
        torch.Tensor.cuda = original


def smt_selection(inputs: Path) -> Values:
    """Curriculum, selection and losses of pytorch-segmentation-models-trainer."""
    from pytorch_segmentation_models_trainer.custom_losses.co_teaching_loss import (
        CoTeachingLoss,
        CurriculumScheduler,
    )
    from pytorch_segmentation_models_trainer.custom_losses.soft_label_loss import SoftLabelWeightedCELoss
    from pytorch_segmentation_models_trainer.tools.soft_labels.build_soft_labels import compute_w_conf

    data = {key: torch.from_numpy(array) for key, array in np.load(inputs / "selection.npz").items()}
    logits, p_soft = data["logits"], data["p_soft"]
    curriculum = CurriculumScheduler()
    ones, unanimous = torch.full_like(data["varied"], 0.8), data["unanimous"]
    loss = CoTeachingLoss(num_classes=5, lambda_reg=0.0)
    here, there = logits.clone().requires_grad_(), logits.flip(-1).requires_grad_()
    loss.compute({"logits_a": here, "logits_b": there}, {"mask": p_soft, "w_conf": unanimous}).backward()

    def choose(
        weight: torch.Tensor, admitted: torch.Tensor, keep: float, labels: torch.Tensor
    ) -> torch.Tensor:
        losses = loss._masked_ce_per_pixel(logits, labels, weight, admitted)  # noqa: SLF001 -- the parts of
        return loss._class_balanced_mask(losses, labels, keep)  # noqa: SLF001 -- what compute() does

    admitted = curriculum.curriculum_mask(data["varied"], 10)
    chosen, kept = (
        choose(data["varied"], admitted, 1 - curriculum.forget_rate(10), p_soft),
        admitted[:, 0] > 0,
    )
    everybody = torch.ones_like(admitted)
    doubtful = data["two_levels"][:, 0] < 0.8
    ranked = choose(data["two_levels"], everybody, 0.7, p_soft)
    nobody = data["with_gap"].sum(1) == 0
    real_zero = ~nobody & (data["with_gap"].argmax(1) == 0)
    gap = choose(everybody, everybody, 0.7, data["with_gap"])

    regularised = CoTeachingLoss(num_classes=5, lambda_reg=1.0)
    side = logits.flip(-1).requires_grad_()
    with_reg = regularised.compute({"logits_a": logits, "logits_b": side, "features": logits}, p_soft)
    without = regularised.compute({"logits_a": logits, "logits_b": side}, p_soft)
    (change,) = torch.autograd.grad(with_reg - without, side)
    half = torch.full_like(data["varied"], 0.5)
    soft = SoftLabelWeightedCELoss(num_classes=5)
    return {
        "equal": curriculum.curriculum_mask(ones, 0).mean().item(),
        "unanimous": curriculum.curriculum_mask(unanimous, 0).mean().item(),
        "no_gradient": bool(here.grad.abs().sum() > 0),
        "masked_chosen": chosen[~kept].double().mean().item(),
        "forgotten": 1 - chosen[kept].double().mean().item(),
        "doubtful": ranked[doubtful].double().mean().item(),
        "gap_weight": float(compute_w_conf(np.zeros((4, 1, 1), np.float32), use_border=False).item()),
        "gap_quota": gap[real_zero].double().mean().item(),
        "reg_both": bool(change.abs().sum() > 0),
        "weighted_mean": (
            soft.compute(logits, {"mask": p_soft, "w_conf": half}) / soft.compute(logits, p_soft)
        ).item(),
    }


def smt_rasters(inputs: Path, work: Path) -> Values:
    """Soft labels, splits and data sets of pytorch-segmentation-models-trainer, by its commands."""
    import pandas as pd
    import rasterio
    from click.testing import CliRunner
    from pytorch_segmentation_models_trainer.dataset_loader.soft_label_dataset import SoftLabelDataset
    from pytorch_segmentation_models_trainer.tools.cli import cli

    def build(table: str, *options: str) -> int:
        fixed = [
            "--output-dir",
            str(work),
            "--num-classes",
            "4",
            "--lulc-key",
            "b_path",
            "--max-workers",
            "1",
        ]
        return CliRunner().invoke(cli, ["build-soft-labels", str(inputs / table), *fixed, *options]).exit_code

    def read(kind: str, tile: str) -> np.ndarray:
        with rasterio.open(work / kind / f"{tile}.tif") as file:
            return file.read()

    if build("good.csv", "--patch-size", "32") != 0:
        sys.exit("build-soft-labels failed on the good table")
    first = {file: file.stat().st_mtime_ns for file in (work / "p_soft").iterdir()}
    patches = pd.read_csv(work / "soft_label_patches.csv")
    covered = np.zeros((100, 100), bool)
    for row in patches[patches.tile_id == "full"].itertuples():
        covered[row.row_off : row.row_off + 32, row.col_off : row.col_off + 32] = True
    build("good.csv", "--patch-size", "32")
    remade = [file for file, time in first.items() if file.stat().st_mtime_ns != time]

    CliRunner().invoke(
        cli, ["generate-training-csv", str(inputs / "patches.csv"), "--output-dir", str(work / "splits")]
    )
    normalize = {"_target_": "albumentations.Normalize", "mean": [0.5] * 3, "std": [0.25] * 3}
    plain = SoftLabelDataset(inputs / "images.csv")
    normal = SoftLabelDataset(inputs / "images.csv", augmentation_list=[normalize])
    return {
        "w_conf": float(read("w_conf", "full").mean()),
        "nodata_sum": float(read("p_soft", "nodata")[:, :, 40:].sum(0).mean()),
        "uncovered": float(read("p_soft", "short")[0, :, 40:].mean()),
        "covered": float(covered.mean()),
        "remade": len(remade),
        "exit_code": build("broken.csv"),
        "splits": str(work / "splits"),
        "scale": (plain[0]["image"][0, 0, 0] / plain[1]["image"][0, 0, 0]).item(),
        "normalize": normal[1]["image"].max().item(),
    }


def smt_training() -> Values:
    """A schedule and gradient clipping with CoTeachingModel."""
    import pytorch_lightning as pl
    from omegaconf import OmegaConf
    from pytorch_segmentation_models_trainer.model_loader.co_teaching_model import CoTeachingModel

    package = "pytorch_segmentation_models_trainer.custom_losses.co_teaching_loss"
    decay = {"_target_": "torch.optim.lr_scheduler.ExponentialLR", "gamma": 0.1}
    config = OmegaConf.create(
        {
            "model": {"_target_": "torch.nn.Conv2d", "in_channels": 3, "out_channels": 4, "kernel_size": 1},
            "loss": {"_target_": f"{package}.CoTeachingLoss", "num_classes": 4, "lambda_reg": 0.0},
            "optimizer": {"_target_": "torch.optim.SGD", "lr": 0.1},
            "scheduler_list": [{"scheduler": decay, "interval": "epoch"}],
        }
    )
    sample = {"image": torch.rand(3, 8, 8), "mask": {"mask": torch.full((4, 8, 8), 0.25)}}

    def fit(**options: object) -> pl.Trainer:
        torch.manual_seed(0)
        quiet = {
            "logger": False,
            "enable_checkpointing": False,
            "enable_progress_bar": False,
            "limit_val_batches": 0,
        }
        trainer = pl.Trainer(max_epochs=2, accelerator="cpu", enable_model_summary=False, **quiet, **options)
        trainer.fit(CoTeachingModel(config), torch.utils.data.DataLoader([sample] * 4, batch_size=2))
        return trainer

    return {
        "schedule": fit().optimizers[0].param_groups[0]["lr"],
        "clip": outcome(lambda: fit(gradient_clip_val=1.0)),
        "accumulate": outcome(lambda: fit(accumulate_grad_batches=2)),
    }


def package_shell(name: str, folder: Path) -> None:
    """Let modules of a package be imported one by one, without its __init__, which wants compiled extensions."""
    shell = types.ModuleType(name)
    shell.__path__ = [str(folder)]
    sys.modules[name] = shell


def mmdet_claims(work: Path) -> Values:
    """Single modules of mmdetection, unmodified."""
    root = Path(str(importlib.metadata.distribution("mmdet").locate_file("mmdet")))
    for name in ("mmdet", "mmdet.engine", "mmdet.engine.hooks", "mmdet.structures", "mmdet.structures.bbox"):
        package_shell(name, root.parent.joinpath(*name.split(".")))
    sys.modules["mmdet.structures.bbox"].BaseBoxes = type("BaseBoxes", (), {})  # named in annotations only
    from mmdet.engine.hooks.mean_teacher_hook import MeanTeacherHook
    from mmdet.structures.bbox.transforms import bbox_project

    pair = types.SimpleNamespace(student=torch.nn.BatchNorm1d(1), teacher=torch.nn.BatchNorm1d(1))
    pair.student.running_mean.fill_(5.0)
    MeanTeacherHook().momentum_update(pair, 1.0)

    cos, sin = math.cos(math.pi / 6), math.sin(math.pi / 6)
    turn = torch.tensor([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]])
    box = torch.tensor([[-50.0, -25.0, 50.0, 25.0]])
    back = bbox_project(bbox_project(box, turn), turn.inverse())[0]
    area = (back[2] - back[0]) * (back[3] - back[1])
    return {
        "buffers": pair.teacher.running_mean.item() / 5,
        "box": (area / (100 * 50)).item(),
        "sampler": sampler_outcome(root),
        "split": labelled_share(root, work),
    }


def sampler_outcome(root: Path) -> str:
    """Ask GroupMultiSourceSampler for some batches where the second source has no portrait images."""
    script = f"""
import sys, types
for name in ("mmdet", "mmdet.datasets", "mmdet.datasets.samplers"):
    sys.modules[name] = types.ModuleType(name)
    sys.modules[name].__path__ = [{str(root.parent)!r} + "/" + name.replace(".", "/")]
import numpy as np
from mmdet.datasets.samplers.multi_source_sampler import GroupMultiSourceSampler
class Images(list):
    def get_data_info(self, index):
        return self[index]
both = [{{"width": 2, "height": 1}}, {{"width": 1, "height": 2}}] * 8
wide = both[:1] * 16
second = both if sys.argv[1] == "both" else wide
sets = types.SimpleNamespace(datasets=[Images(both), Images(second)], cumulative_sizes=[16, 32])
np.random.seed(0)
batches = iter(GroupMultiSourceSampler(sets, batch_size=2, source_ratio=[1, 1], seed=0))
print([next(batches) for _ in range(64)])
"""

    def run(shapes: str) -> str:
        command = [sys.executable, "-W", "ignore", "-c", script, shapes]
        try:
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL, timeout=60)
        except subprocess.TimeoutExpired:
            return "hangs (60 s)"
        return "goes on"

    if run("both") != "goes on":
        sys.exit(
            "mmdetection's sampler hangs with both shapes in both sources: the experiment itself is wrong"
        )
    return run("wide")


def labelled_share(root: Path, work: Path) -> float:
    """What split_coco.py calls 10 % of ten thousand images."""
    (work / "annotations").mkdir(parents=True)
    images = [{"id": index} for index in range(10_000)]
    content = {"images": images, "annotations": [], "licenses": [], "categories": [], "info": {}}
    (work / "annotations/instances_train2017.json").write_text(json.dumps(content))
    script = root / ".mim/tools/misc/split_coco.py"
    options = ["--data-root", str(work), "--out-dir", str(work), "--labeled-percent", "10", "--fold", "1"]
    subprocess.run([sys.executable, "-W", "ignore", str(script), *options], check=True, capture_output=True)
    files = [file for file in work.glob("*.json") if "unlabeled" not in file.name]
    return len(json.loads(files[0].read_text())["images"]) / 10_000


def main() -> None:
    if cleanlab_epoch(6, pretend_cuda=True) != "trains":
        sys.exit("cleanlab's loop does not even run with six classes: the experiment itself is wrong")
    inputs, output = Path(sys.argv[1]), Path(sys.argv[2])
    warnings.simplefilter("ignore")
    values = (
        cleanlab_claims(inputs)
        | smt_selection(inputs)
        | smt_rasters(inputs, output.parent / "smt")
        | smt_training()
    )
    values |= mmdet_claims(output.parent / "coco")
    names = ("cleanlab", "pytorch_segmentation_models_trainer", "mmdet", "torch", "pytorch_lightning")
    versions = {name.replace("_", "-"): importlib.metadata.version(name) for name in names}
    output.write_text(json.dumps({"values": values, "versions": versions}))


if __name__ == "__main__":
    main()
