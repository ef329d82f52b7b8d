"""Training on images whose wrong labels are known: what the benchmarks on Fashion-MNIST and CIFAR-10N have in common.

Two figures as in the papers: the mean test accuracy over the last ten epochs (the last third of shorter runs), and that of the
epoch that is best on noisy validation images. Test images are only looked at. `NAME_tuned` trains a method with every setting of
the optimizer that its benchmark lists, and takes for each of the two figures the setting that is best on noisy validation images.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor, nn
from torchmetrics import MetricCollection
from torchmetrics.classification import MulticlassAccuracy

import coteach
from coteach.files import write_json, write_text
from coteach.methods.co_teaching import CoTeaching, CoTeachingConfig
from coteach.methods.co_teaching_plus import CoTeachingPlus, CoTeachingPlusConfig
from coteach.methods.divide_mix import DivideMix, DivideMixConfig
from coteach.methods.elr import Elr, ElrConfig
from coteach.methods.jocor import JoCoR, JoCoRConfig
from coteach.methods.label_method import LabelMethod
from coteach.methods.peer_ensemble import PeerEnsemble, PeerEnsembleConfig
from coteach.methods.supervised import Supervised
from coteach.report.line_drawing import draw_by_epoch
from coteach.training.options import TrainerOptions
from coteach.training.state import read_state
from coteach.types import Batch

CLASSES = 10
SELECTED = "label_precision"  # what methods that select record of it
TUNED = "_tuned"  # behind the names of methods


def methods(rate: float, epochs: int, ema_decay: float = 0.999) -> dict[str, tuple[type[LabelMethod], Any]]:
    """Name -> class and options, for a noise rate, a length of training, and a length of moving averages."""
    ramp = max(1, epochs // 4)
    plain = {"p_start": 1.0, "p_end": 1.0, "lambda_reg": 0.0, "e_warm": ramp, "inference": "mean"}
    return {
        "ce": (Supervised, None),
        "ce_ema": (Elr, ElrConfig(lambda_elr=0.0, ema_decay=ema_decay)),
        "co_teaching": (CoTeaching, CoTeachingConfig(forget_end=rate, balance="none", **plain)),
        "co_teaching_auto": (CoTeaching, CoTeachingConfig(forget_end="auto", balance="none", **plain)),
        "co_teaching_balanced": (CoTeaching, CoTeachingConfig(forget_end=rate, **plain)),
        "co_teaching_set": (CoTeaching, CoTeachingConfig(forget_end=rate, balance="set", **plain)),
        "co_teaching_plus": (
            CoTeachingPlus,
            CoTeachingPlusConfig(forget_end=rate, e_warm=ramp, agree_epochs=ramp),
        ),
        "jocor": (JoCoR, JoCoRConfig(forget_end=rate, e_warm=ramp)),
        "jocor_set": (JoCoR, JoCoRConfig(forget_end=rate, e_warm=ramp, balance="set")),
        "elr": (Elr, ElrConfig()),
        "peer_ensemble": (
            PeerEnsemble,
            PeerEnsembleConfig(warm_epochs=ramp, ramp_epochs=ramp, ema_decay=ema_decay, forget_end="mixture"),
        ),
        "peer_ensemble_auto": (
            PeerEnsemble,
            PeerEnsembleConfig(warm_epochs=ramp, ramp_epochs=ramp, ema_decay=ema_decay, forget_end="auto"),
        ),
        "peer_ensemble_mixing": (
            PeerEnsemble,
            PeerEnsembleConfig(
                warm_epochs=ramp, ramp_epochs=ramp, ema_decay=ema_decay, mixup_alpha=1.0, consistency=1.0
            ),
        ),
        "peer_ensemble_rate": (
            PeerEnsemble,
            PeerEnsembleConfig(warm_epochs=ramp, ramp_epochs=ramp, ema_decay=ema_decay, forget_end=rate),
        ),
        "divide_mix": (DivideMix, DivideMixConfig(warm_epochs=ramp, ramp_epochs=ramp)),
    }


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One data set with one kind of noise.

    Args:
        noise: its name.
        images: ``(N, ...)`` uint8 of the training set.
        given: ``(N,)`` labels as they train.
        clean: ``(N,)`` the right ones, for figures only.
        held: images and given labels that choose the best epoch.
        test: images and right labels.
        network: gives a freshly initialised network.
        epochs: of each run.
        fit: further arguments of ``coteach.fit``.
        grid: name of a setting of the optimizer -> arguments of ``coteach.fit`` that replace those of ``fit``.
        data: further arguments of ``coteach.ArrayDataset``.
        options: further options of training.
        ema_decay: of moving averages: 0.999 remembers a thousand steps.
    """

    noise: str
    images: np.ndarray
    given: np.ndarray
    clean: np.ndarray
    held: tuple[np.ndarray, np.ndarray]
    test: tuple[np.ndarray, np.ndarray]
    network: Callable[[], nn.Module]
    epochs: int
    fit: Mapping[str, Any]
    grid: Mapping[str, Mapping[str, Any]]
    data: Mapping[str, Any]
    options: Mapping[str, Any]
    ema_decay: float = 0.999

    @property
    def rate(self) -> float:
        """Share of wrong labels."""
        return float((self.given != self.clean).mean())


def measured(method: type[LabelMethod], held: int) -> type[LabelMethod]:
    """The method, with accuracies of the noisy validation images (the first ``held``) and of the test images by themselves."""

    class Measured(method):  # type: ignore[misc, valid-type]
        def make_metrics(self) -> MetricCollection:
            return MetricCollection(
                {name: MulticlassAccuracy(CLASSES, average="micro") for name in ("noisy", "test")},
                compute_groups=False,
            )

        def update_metrics(self, metrics: MetricCollection, prediction: Tensor, batch: Batch) -> None:
            noisy = batch.ids < held
            for name, chosen in (("noisy", noisy), ("test", ~noisy)):
                if chosen.any():
                    metrics[name].update(prediction[chosen], batch.target[chosen])

    return Measured


def train(
    setting: Setting, name: str, kind: type[LabelMethod], config: Any, seed: int, run: Path
) -> dict[str, Any]:
    """Train once (what was interrupted goes on), and read the figures of its epochs."""
    val = [np.concatenate(parts) for parts in zip(setting.held, setting.test, strict=True)]
    result = coteach.fit(
        setting.network,
        coteach.ArrayDataset(
            setting.images, setting.given, clean_labels=setting.clean, num_classes=CLASSES, **setting.data
        ),
        method=measured(kind, len(setting.held[1]))(config),
        val=coteach.ArrayDataset(
            *val, num_classes=CLASSES, **{k: v for k, v in setting.data.items() if k != "batch_augmentation"}
        ),
        epochs=setting.epochs,
        seed=seed,
        output_dir=run,
        options=TrainerOptions(monitor="val/noisy", monitor_mode="max", log_images=0, **setting.options),
        **setting.fit,
    )
    epochs = range(setting.epochs)
    test, noisy = ([result.history[f"val/{key}"][e] for e in epochs] for key in ("test", "noisy"))
    last = min(10, max(1, setting.epochs // 3))
    curves = {key: list(by.values()) for key, by in result.history.items() if SELECTED in key}
    return {
        "noise": setting.noise, "method": name, "seed": seed, "wrong": setting.rate,
        "last": statistics.mean(test[-last:]),
        "best": test[int(np.argmax(noisy))],
        "noisy": max(noisy),
        "noisy_last": statistics.mean(noisy[-last:]),
        "seconds": read_state(run)["seconds"],  # of all its parts
        "test_by_epoch": test,
        "noisy_by_epoch": noisy,
        "selection_by_epoch": curves,
    }  # fmt: skip


def arguments(parser: argparse.ArgumentParser, noise: Sequence[str], folder: str) -> None:
    """The options that both benchmarks have."""
    known = list(methods(0.2, 20))
    tuned = [name + TUNED for name in ("ce", "ce_ema")]
    wrong = [name for name in noise if name != "none"]
    parser.add_argument("--noise", nargs="+", default=wrong, choices=list(noise))
    parser.add_argument("--methods", nargs="+", default=known, choices=[*known, *tuned])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--device", default="auto")
    parser.add_argument("--folder", type=Path, default=Path(folder))


def run_all(options: argparse.Namespace, setting_of: Callable[[str], Setting]) -> None:
    """Train what is missing, print a table (mean over the seeds, half the range between them), draw label precision."""
    _check_folder(options)
    rows = []
    for noise in options.noise:
        setting = setting_of(noise)
        precision: dict[str, list[float]] = {}
        for name in options.methods:
            found = [_kept(options, setting, name, seed) for seed in options.seeds]
            cells = [noise, name, str(len(found))]
            for key in ("last", "best"):
                values = [100 * one[key] for one in found]
                cells.append(f"{statistics.mean(values):.1f} ± {(max(values) - min(values)) / 2:.1f}")
            rows.append([*cells, f"{statistics.mean(one['seconds'] for one in found):.0f}"])
            curves = [curve for one in found for curve in one["selection_by_epoch"].values()]
            precision[name] = [statistics.mean(values) for values in zip(*curves, strict=True)]
        note = f"share of right labels among the selected; {1 - setting.rate:.0%} of all are right"
        write_text(options.folder / f"precision_{noise}.svg", draw_by_epoch(noise, precision, note=note))
    print(
        "| noise | method | seeds | last epochs | best by validation | seconds |\n|---|---|---|---|---|---|"
    )
    for row in rows:
        print(f"| {' | '.join(row)} |")


def _check_folder(options: argparse.Namespace) -> None:
    """Results are found by noise, method and seed; a folder has those of one setting."""
    free = ("noise", "methods", "seeds", "folder", "device")
    given = {name: str(value) for name, value in vars(options).items() if name not in free}
    file = options.folder / "setting.json"
    if not file.is_file() and any(options.folder.glob("*.json")):
        raise SystemExit(
            f"{options.folder}: does not say of which setting its results are; give another --folder"
        )
    before = json.loads(file.read_text()) if file.is_file() else given
    if before != given:
        raise SystemExit(f"{options.folder}: has results of {before}, not of {given}; give another --folder")
    options.folder.mkdir(parents=True, exist_ok=True)
    write_json(file, given)


def _kept(options: argparse.Namespace, setting: Setting, name: str, seed: int) -> dict[str, Any]:
    if name.endswith(TUNED):
        return _tuned(options, setting, name.removesuffix(TUNED), seed)
    return _once(options, setting, name, seed)


def _tuned(options: argparse.Namespace, setting: Setting, name: str, seed: int) -> dict[str, Any]:
    """The last epochs of the setting whose last epochs are best on validation images, the best epoch of the one with that."""
    rows = {
        chosen: _once(options, replace(setting, fit={**setting.fit, **fit}), name, seed, f"-{chosen}")
        for chosen, fit in setting.grid.items()
    }
    steady, peak = (max(rows, key=lambda chosen: rows[chosen][key]) for key in ("noisy_last", "noisy"))
    print(
        f"{setting.noise} {name}{TUNED} {seed}: {steady} for the last epochs, {peak} for the best", flush=True
    )
    return {
        "last": rows[steady]["last"],
        "best": rows[peak]["best"],
        "seconds": sum(row["seconds"] for row in rows.values()),
        "selection_by_epoch": {},
    }


def _once(
    options: argparse.Namespace, setting: Setting, name: str, seed: int, suffix: str = ""
) -> dict[str, Any]:
    run = options.folder / f"{setting.noise}_{name}{suffix}_{seed}"
    file = run.with_name(f"{run.name}.json")
    if not file.is_file():
        kind, config = methods(setting.rate, setting.epochs, setting.ema_decay)[name]
        row = train(setting, name, kind, config, seed, run)
        write_json(file, row)
        print(f"{run.name}: {row['last']:.3f} in {row['seconds']:.0f} s", flush=True)
    found: dict[str, Any] = json.loads(file.read_text())
    return found
