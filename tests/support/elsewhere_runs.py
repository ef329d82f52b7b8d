"""Runs on the device of ``other_device`` and the same on the CPU: what differs, and for what the host waited. Prints JSON.

python elsewhere_runs.py images | others | waits
"""

from __future__ import annotations

import json
import sys
import tempfile
import warnings
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from box_runs import asked
from lightning.pytorch.accelerators import Accelerator, AcceleratorRegistry
from lightning.pytorch.strategies import SingleDeviceStrategy, StrategyRegistry
from other_device import DEVICE, NAME, Elsewhere
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from toys import toy_run

import coteach
from coteach.compat import cleanlab
from coteach.data import sending
from coteach.data.crop_flip import RandomCropFlip
from coteach.methods.discovery import create_method
from coteach.models.cnn import CNN
from coteach.report.logs import read_log
from coteach.training import fit_arguments
from coteach.training.checkpoints import load_checkpoint
from coteach.training.epoch_means import EpochMeans
from coteach.training.options import TrainerOptions
from coteach.training.run import TrainingRun, train
from coteach.types import Share

IMAGES: list[tuple[str, dict[str, Any]]] = [
    ("supervised", {"class_weights": [1.0, 2.0, 1.0]}),
    ("co_teaching", {"forget_end": 0.2, "balance": "none"}),
    ("co_teaching", {"forget_end": [0.2, 0.1, 0.3], "balance": "set"}),
    ("co_teaching", {"forget_end": "auto_by_class"}),
    ("co_teaching_plus", {"forget_end": 0.2}),
    ("jocor", {"forget_end": 0.2}),
    ("elr", {"ema_decay": 0.9}),
    ("divide_mix", {"warm_epochs": 1}),
    ("peer_ensemble", {"warm_epochs": 1}),
    ("peer_ensemble", {"warm_epochs": 1, "forget_end": "mixture", "mixup_alpha": 1.0, "consistency": 1.0}),
]
MAPS: list[tuple[str, dict[str, Any]]] = [
    ("supervised", {}),
    ("soft_label", {}),
    ("co_teaching", {"forget_end": "auto"}),
    ("co_teaching_plus", {}),
    ("jocor", {}),
]
WITHOUT_WAITS = [
    ("co_teaching", {"forget_end": 0.2, "balance": "none"}),
    ("co_teaching_plus", {"forget_end": 0.2}),
    ("elr", {"ema_decay": 0.9}),
    ("jocor", {"forget_end": 0.2}),
    ("supervised", {"class_weights": [1.0, 2.0, 1.0]}),
    ("co_teaching", {"forget_end": [0.2, 0.1, 0.3]}),
]


class _Accelerator(Accelerator):
    def setup_device(self, device: torch.device) -> None: ...

    def teardown(self) -> None: ...

    def get_device_stats(self, device: Any) -> dict[str, Any]:
        return {}

    @staticmethod
    def parse_devices(devices: Any) -> Any:
        return [DEVICE]

    @staticmethod
    def get_parallel_devices(devices: Any) -> Any:
        return [DEVICE]

    @staticmethod
    def auto_device_count() -> int:
        return 1

    @staticmethod
    def is_available() -> bool:
        return True

    @staticmethod
    def name() -> str:
        return NAME


class _Strategy(SingleDeviceStrategy):
    def __init__(self, **given: Any) -> None:
        super().__init__(device=DEVICE, **given)


def _network() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 8, 3),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Dropout(0.1),
        nn.Flatten(),
        nn.Linear(288, 3),
    )


def _fit(
    name: str, options: dict[str, Any], folder: Path, *, there: bool, size: int = 240
) -> coteach.FitResult:
    """Three epochs on pictures whose brightest band is their class; a fifth of the labels is wrong."""
    generator = np.random.default_rng(0)
    classes = np.arange(size) % 3
    pictures = (generator.random((size, 3, 8, 8)) * 120).astype(np.uint8)
    pictures[np.arange(size), classes] += 80
    labels = np.where(generator.random(size) < 0.2, (classes + 1) % 3, classes)
    place: dict[str, Any] = {"device": DEVICE} if there else {}
    data = coteach.ArrayDataset(
        pictures, labels, clean_labels=classes, batch_augmentation=RandomCropFlip(1), **place
    )
    return coteach.fit(
        _network,
        data,
        method=create_method(name, options),
        val=coteach.ArrayDataset(pictures[:60], classes[:60], **place),
        epochs=3,
        batch_size=24,
        device=NAME if there else "cpu",
        output_dir=folder,
        options=TrainerOptions(strategy=NAME if there else "auto", log_images=0, log_every_n_steps=1000),
    )


def _images() -> list[Any]:
    found = []
    for name, options in IMAGES:
        with tempfile.TemporaryDirectory() as folder:
            with Elsewhere():
                ours = _fit(name, options, Path(folder) / "there", there=True)
                said = ours.predict(np.full((5, 3, 8, 8), 0.5, np.float32))
            theirs = _fit(name, options, Path(folder) / "here", there=False)
            differs = _other_figures(ours.history, theirs.history) + _unlike(
                ours.method.state_dict(), theirs.method.state_dict()
            )
            if not np.array_equal(said, theirs.predict(np.full((5, 3, 8, 8), 0.5, np.float32))):
                differs.append("predict")
            found.append([name, options, len(theirs.history) + len(theirs.method.state_dict()), differs])
    return found


def _compared(name: str, options: dict[str, Any], make: Callable[[Path], TrainingRun]) -> list[Any]:
    """Train twice; names of weights, tables and figures that differ."""
    weights, figures = [], []
    with tempfile.TemporaryDirectory() as folder:
        for place in (NAME, "cpu"):
            run = make(Path(folder) / place)
            strategy = NAME if place == NAME else "auto"
            run = replace(run, options=replace(run.options, accelerator=place, strategy=strategy))
            if place == NAME:
                with Elsewhere():
                    last = train(run)
            else:
                last = train(run)
            weights.append(load_checkpoint(last)["state_dict"])
            figures.append(read_log(run.output_dir).figures)
    differs = _unlike(*weights) + _other_figures(*figures)
    return [name, options, len(weights[1]) + len(figures[1]), differs]


def _other_figures(there: Mapping[str, Any], here: Mapping[str, Any]) -> list[str]:
    """Names of figures that are not the same, or on one side only."""
    return sorted(key for key in {*there, *here} if there.get(key) != here.get(key))


def _unlike(there: Mapping[str, torch.Tensor], here: Mapping[str, torch.Tensor]) -> list[str]:
    """Names of tensors that are not the same, or not there."""
    changed = [
        key for key in here if not torch.equal(_plain(there[key]).nan_to_num(), here[key].nan_to_num())
    ]
    return changed + sorted(set(there) ^ set(here))


def _maps() -> list[Any]:
    length = {"max_epochs": 4}
    return [
        _compared(
            name,
            options,
            lambda folder, name=name, options=options: toy_run(
                folder, name, method_options=options, options=length
            ),
        )
        for name, options in MAPS
    ]


def _boxes() -> list[Any]:
    names = ("supervised_detection", "soft_teacher", "unbiased_teacher")
    return [_compared(name, {}, lambda folder, name=name: asked(folder, name)) for name in names]


def _waits() -> list[Any]:
    """For each method: for what the host waited more often when there were twice as many batches to learn."""
    found = []
    for name, options in WITHOUT_WAITS:
        counts = []
        for size in (120, 240):
            with tempfile.TemporaryDirectory() as folder, Elsewhere() as there:
                _fit(name, options, Path(folder) / "run", there=True, size=size)
            counts.append(there.waits)
        found.append([name, options, dict(counts[0]), dict(counts[1] - counts[0])])
    return found


def _functions() -> list[Any]:
    """The functions for loops of one's own."""
    torch.manual_seed(0)
    pictures, labels = torch.rand(32, 3, 32, 32), torch.randint(4, (32,))
    losses = torch.rand(2, 32)
    sides = []
    for device in (DEVICE, torch.device("cpu")):
        with Elsewhere():
            torch.manual_seed(1)
            networks = [CNN(3, 4, 0.0).to(device).eval() for _ in range(2)]
            scores = [network(pictures.to(device)) for network in networks]
            pair = cleanlab.loss_coteaching(*scores, labels.to(device), 0.3, torch.rand(4).to(device))
            pair[0].backward()
            gradient = next(networks[0].parameters()).grad
            indices = coteach.select_indices(labels.to(device), tuple(losses.to(device)), 0.7)
            accuracies = torch.tensor(_cleanlab_epoch(networks))
            means = EpochMeans()
            for weight in (3, labels.to(device).sum()):  # figures of the host beside those of the device
                means.add({"rate": 0.3, "loss": pair[0].detach(), "found": Share(1, labels[0])}, weight)
            sides.append(
                [
                    accuracies,
                    *(one.cpu() for one in means.result(lambda sums: sums).values()),
                    *(one.detach().cpu() for one in (*pair, gradient)),
                    *(one.cpu() for one in indices),
                ]
            )
    differs = [
        number for number, pair in enumerate(zip(*sides, strict=True)) if not torch.equal(*map(_plain, pair))
    ]
    return [["functions", {}, len(sides[0]), differs]]


def _cleanlab_epoch(networks: list[nn.Module]) -> list[float]:
    """Accuracies of an epoch of the drop-in functions and after it."""
    items = TensorDataset(torch.rand(40, 3, 32, 32), torch.randint(4, (40,)))
    loader = DataLoader(items, batch_size=20)
    args = SimpleNamespace(print_freq=1000, epochs=1, batch_size=20, num_iter_per_epoch=2)
    pairs = [part for one in networks for part in (one, torch.optim.Adam(one.parameters(), lr=0.001))]
    weights = torch.tensor([1.0, 2.0, 0.5, 1.0])
    trained = cleanlab.train(loader, 0, *pairs, args, [0.2], weights, _accuracy)
    return [*trained, *cleanlab.evaluate(loader, *networks)]


def _accuracy(output: torch.Tensor, target: torch.Tensor, topk: tuple[int, ...]) -> list[torch.Tensor]:
    ranked = output.topk(max(topk)).indices
    return [100 * (ranked[:, :k] == target[:, None]).any(1).float().mean() for k in topk]


def _others() -> list[Any]:
    return [*_maps(), *_boxes(), *_functions()]


def _plain(tensor: torch.Tensor) -> torch.Tensor:
    return getattr(tensor, "here", tensor)


def main() -> None:
    """Run one group."""
    AcceleratorRegistry.register(NAME, _Accelerator)
    StrategyRegistry.register(NAME, _Strategy)
    fit_arguments._DEVICES = (*fit_arguments._DEVICES, NAME)
    sending._READS_AT_ONCE = (NAME,)
    groups = {"images": _images, "others": _others, "waits": _waits}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sys.stdout.write(f"{json.dumps(groups[sys.argv[1]]())}\n")


if __name__ == "__main__":
    main()
