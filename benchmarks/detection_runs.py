"""Detection with few labelled images: what the benchmarks on blood cells and tree crowns have in common.

Every run has the same detector, steps, optimizer and labelled images a step. `supervised` is Soft Teacher with unsupervised weight 0,
which skips that branch: its student is the supervised detector, its teacher the moving average of that. So each run gives two networks,
and an average is compared with an average.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.optim import AdamW
from torch.optim.lr_scheduler import LambdaLR

from coteach.data.detection_set import DetectionDataset
from coteach.files import write_json
from coteach.methods.detection_figures import BoxPrecision
from coteach.methods.detection_teacher import DetectionTeacher
from coteach.methods.soft_teacher import SoftTeacher, SoftTeacherConfig
from coteach.methods.unbiased_teacher import UnbiasedTeacher, UnbiasedTeacherConfig
from coteach.report.logs import read_log
from coteach.training.checkpoints import checkpoint_path, load_checkpoint, method_weights
from coteach.training.options import SchedulerOptions, TrainerOptions
from coteach.training.run import TrainingRun, train

METHODS = ("supervised", "soft_teacher", "unbiased_teacher", "all_labels")
_WARM_UP = 20  # steps over which the learning rate rises
_FIGURES = ("AP", "AP50")


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One training.

    Args:
        name: of the share of labels, such as ``10``.
        method: one of ``METHODS``.
        seed: of everything random.
        labelled: images with boxes, in weak views.
        unlabelled: images without.
        judged: name of a part (``val``, ``test``) -> its images.
        network: gives a freshly initialised detector.
    """

    name: str
    method: str
    seed: int
    labelled: DetectionDataset
    unlabelled: DetectionDataset | None
    judged: Mapping[str, DetectionDataset]
    network: Callable[[], nn.Module]

    @property
    def key(self) -> str:
        """Name of its files."""
        return f"{self.method}_{self.name}_{self.seed}"


def arguments(parser: argparse.ArgumentParser, *, folder: str, size: int) -> None:
    """The options that both benchmarks have."""
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=METHODS)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument(
        "--size", type=int, default=size, help="shorter side of an image, pixels (%(default)s)"
    )
    parser.add_argument("--steps", type=int, default=400, help="batches of each run (%(default)s)")
    parser.add_argument(
        "--burn-in", type=float, default=0.4, help="share of them without unlabelled images (%(default)s)"
    )
    parser.add_argument("--batch", nargs=2, type=int, default=[2, 2], metavar=("LABELLED", "UNLABELLED"))
    parser.add_argument(
        "--weight", type=float, default=1.0, help="of the unlabelled images' losses (%(default)s)"
    )
    parser.add_argument(
        "--thresholds",
        nargs="+",
        type=float,
        default=[0.7],
        help="least score of a trusted box, of all classes or one each (%(default)s)",
    )
    parser.add_argument(
        "--variance", type=float, default=0.02, help="of a box that teaches its place (%(default)s)"
    )
    parser.add_argument("--decay", type=float, default=0.99, help="of the teacher (%(default)s)")
    parser.add_argument("--frame", choices=["corners", "ellipse"], default="corners")
    parser.add_argument("--lr", type=float, default=5e-4)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--folder", type=Path, default=Path(folder))


def make_method(name: str, options: argparse.Namespace) -> DetectionTeacher:
    """The method, with the options that were asked for."""
    shared = {
        "labelled_batch": options.batch[0],
        "unlabelled_batch": options.batch[1],
        "unsupervised_weight": 0.0 if name in ("supervised", "all_labels") else options.weight,
        "burn_in": round(options.burn_in * options.steps),
        "ema_decay": options.decay,
        "thresholds": options.thresholds if len(options.thresholds) > 1 else options.thresholds[0],
        "box_frame": options.frame,
    }
    if name == "unbiased_teacher":
        return UnbiasedTeacher(UnbiasedTeacherConfig(**shared))
    return SoftTeacher(SoftTeacherConfig(**shared, variance=options.variance))


def run_setting(setting: Setting, options: argparse.Namespace) -> dict[str, Any]:
    """Train, going on where an interrupted run was, and judge student and teacher; what is there is read."""
    file = options.folder / f"{setting.key}.json"
    if not file.is_file():
        start = time.perf_counter()
        method, seconds = _train(setting, options)
        row: dict[str, Any] = {"name": setting.name, "method": setting.method, "seed": setting.seed}
        for part, dataset in setting.judged.items():
            for role, network in (("student", "a"), ("teacher", "teacher")):
                row[f"{part}/{role}"] = precision(method.networks[network], dataset)
        row |= {"seconds": seconds, "judging": time.perf_counter() - start - seconds}
        row["options"] = {key: str(value) for key, value in vars(options).items() if key != "folder"}
        write_json(file, row)
        print(f"{setting.key}: {_told(row)}", flush=True)
    found: dict[str, Any] = json.loads(file.read_text())
    return found


def _train(setting: Setting, options: argparse.Namespace) -> tuple[DetectionTeacher, float]:
    method = make_method(setting.method, options)
    sets = {"train": setting.labelled}
    if setting.unlabelled is not None:
        sets["unlabelled"] = setting.unlabelled
    run = TrainingRun(
        method=method,
        make_network=setting.network,
        make_optimizer=partial(AdamW, lr=options.lr, weight_decay=1e-4),
        scheduler=SchedulerOptions(make=partial(_schedule, options.steps), interval="step"),
        datasets=sets,
        num_classes=setting.labelled.num_classes,
        output_dir=options.folder / setting.key,
        seed=setting.seed,
        options=TrainerOptions(
            max_steps=options.steps,
            checkpoint_every_steps=100,
            gradient_clip_val=10.0,
            accelerator=options.device,
            devices=1,
            log_images=0,
        ),
        identity={
            "config": repr(method.config),
            "size": options.size,
            "lr": options.lr,
            "steps": options.steps,
        },
    )
    start = time.perf_counter()
    train(run)
    seconds = time.perf_counter() - start
    method.setup(run.make_network, run.task)
    method.load_state_dict(method_weights(load_checkpoint(checkpoint_path(run.output_dir, "last"))))
    return method.eval(), seconds


def _schedule(steps: int, optimizer: torch.optim.Optimizer) -> LambdaLR:
    """Up to the full rate, and down to zero along a cosine."""
    return LambdaLR(
        optimizer, lambda step: min(1.0, (step + 1) / _WARM_UP) * 0.5 * (1 + math.cos(math.pi * step / steps))
    )


@torch.inference_mode()
def precision(network: nn.Module, dataset: DetectionDataset) -> dict[str, float]:
    """AP and AP50 on images as they are."""
    metric = BoxPrecision(dataset.num_classes)
    for index in range(len(dataset)):
        sample = dataset.plain(index)
        metric.update(network([sample["image"]]), [sample["mask"]], [sample["ignore"]])
    found = metric.compute()
    return {name: float(found[name]) for name in _FIGURES}


def pseudo_boxes(folder: Path) -> Mapping[str, Mapping[int, float]]:
    """What a run has logged of its pseudo boxes: figure -> epoch -> value."""
    return {key: by for key, by in read_log(folder).figures.items() if "pseudo_boxes" in key}


def _told(row: Mapping[str, Any]) -> str:
    parts = [
        f"{key} {100 * row[key]['AP']:.1f}/{100 * row[key]['AP50']:.1f}" for key in row if "/" in str(key)
    ]
    return f"{', '.join(parts)} (AP/AP50) in {row['seconds']:.0f} s"


def print_table(rows: Sequence[Mapping[str, Any]]) -> None:
    """One line a share of labels and method: mean over the seeds and half the range between them, in percent."""
    print(
        "| labels | method | seeds | student AP | student AP50 | teacher AP | teacher AP50 | teacher AP, val | seconds |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for name, method in dict.fromkeys((row["name"], row["method"]) for row in rows):
        own = [row for row in rows if (row["name"], row["method"]) == (name, method)]
        columns = [("test/student", one) for one in _FIGURES] + [("test/teacher", one) for one in _FIGURES]
        cells = [_spread([100 * row[part][one] for row in own]) for part, one in columns]
        cells.append(_spread([100 * row["val/teacher"]["AP"] for row in own]))
        seconds = statistics.mean(row["seconds"] for row in own)
        print(f"| {name} | {method} | {len(own)} | {' | '.join(cells)} | {seconds:.0f} |")


def _spread(values: Sequence[float]) -> str:
    return f"{statistics.mean(values):.1f} ± {(max(values) - min(values)) / 2:.1f}"
