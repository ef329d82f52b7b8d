"""Detection with few labelled images: what the benchmarks on blood cells and tree crowns have in common.

Every run has the same detector, steps and optimizer. All methods begin with the same burnt-in detector, trained once for each draw of
labels. Then `supervised` sees the labelled images that `soft_teacher` and `unbiased_teacher` see beside their unlabelled ones, as papers
compare them; `supervised_more` sees as many images a step as these two, all of them labelled, and so does `all_labels`. A supervised
method is Soft Teacher with unsupervised weight 0, which skips that branch: its student is the supervised detector, its teacher the
moving average of that. So each run gives two networks, and an average is compared with an average.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.optim import AdamW
from torch.optim.lr_scheduler import LambdaLR

from coteach.data.detection_set import DetectionDataset
from coteach.files import write_json
from coteach.methods.detection_figures import BoxPrecision
from coteach.methods.detection_teacher import DetectionTeacher
from coteach.training.checkpoints import checkpoint_path, load_checkpoint, method_weights
from coteach.training.options import SchedulerOptions, TrainerOptions
from coteach.training.run import TrainingRun, train
from coteach.training.state import read_state
from detection_choices import FIGURES, make_method

_WARM_UP = 20  # steps over which the learning rate rises


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


def run_setting(setting: Setting, options: argparse.Namespace) -> dict[str, Any]:
    """Train, going on where an interrupted run was, and judge student and teacher; what is there is read."""
    file = options.folder / f"{setting.key}.json"
    if not file.is_file():
        method, seconds = _train(setting, options)
        start = time.perf_counter()
        row: dict[str, Any] = {"name": setting.name, "method": setting.method, "seed": setting.seed}
        for part, dataset in setting.judged.items():
            for role, network in (("student", "a"), ("teacher", "teacher")):
                row[f"{part}/{role}"] = precision(method.networks[network], dataset)
        row |= {"seconds": seconds, "judging": time.perf_counter() - start}
        row["options"] = {key: str(value) for key, value in vars(options).items() if key != "folder"}
        write_json(file, row)
        print(f"{setting.key}: {_told(row)}", flush=True)
    found: dict[str, Any] = json.loads(file.read_text())
    return found


def _train(setting: Setting, options: argparse.Namespace) -> tuple[DetectionTeacher, float]:
    """Burn in, unless another method has done so for the same labels and seed, and go on from there; the seconds of both."""
    name = f"burn_in_{setting.name}_{setting.seed}"
    first = _stage(name, "burn_in", options.burn_in, setting.network, setting, options)
    burnt_in = first.networks["a"].state_dict()

    def network() -> nn.Module:
        made = setting.network()
        made.load_state_dict(burnt_in)
        return made

    method = _stage(setting.key, setting.method, options.steps, network, setting, options)
    # of all their sessions, and of burning in whether or not another method has done so
    seconds = sum(read_state(options.folder / stage)["seconds"] for stage in (name, setting.key))
    return method.eval(), seconds


def _stage(
    name: str,
    method_name: str,
    steps: int,
    network: Callable[[], nn.Module],
    setting: Setting,
    options: argparse.Namespace,
) -> DetectionTeacher:
    """Train for some steps in the folder ``name``, or go on there; the method, with what it has learned."""
    method = make_method(method_name, options)
    run = TrainingRun(
        method=method,
        make_network=network,
        make_optimizer=partial(AdamW, lr=options.lr, weight_decay=1e-4),
        scheduler=SchedulerOptions(make=partial(_schedule, steps), interval="step"),
        datasets={"train": _repeated(setting.labelled, batch=options.batch[0])}
        | ({} if setting.unlabelled is None else {"unlabelled": setting.unlabelled}),
        num_classes=setting.labelled.num_classes,
        output_dir=options.folder / name,
        seed=setting.seed
        + (1000 if name == setting.key else 0),  # other views than while burning in, alike for all methods
        options=TrainerOptions(
            max_steps=steps,
            checkpoint_every_steps=100,
            gradient_clip_val=10.0,
            accelerator=options.device,
            devices=1,
            log_images=0,
        ),
        identity={"config": repr(method.config), "size": options.size, "lr": options.lr, "steps": steps},
    )
    train(run)
    method.setup(run.make_network, run.task)
    method.load_state_dict(method_weights(load_checkpoint(checkpoint_path(run.output_dir, "last"))))
    return method


def _repeated(dataset: DetectionDataset, batch: int) -> DetectionDataset:
    """The same images several times, so that an epoch, and the checkpoint at its end, come every 100 steps or more."""
    known = dataset.annotations
    times = -(-100 * batch // len(known.images))
    return DetectionDataset(replace(known, images=known.images * times), weak=dataset.weak)


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
    return {name: float(found[name]) for name in FIGURES}


def _told(row: Mapping[str, Any]) -> str:
    parts = [
        f"{key} {100 * row[key]['AP']:.1f}/{100 * row[key]['AP50']:.1f}" for key in row if "/" in str(key)
    ]
    return f"{', '.join(parts)} (AP/AP50) in {row['seconds']:.0f} s"
