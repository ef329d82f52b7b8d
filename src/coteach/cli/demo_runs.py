"""The demo's variants trained and measured, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from coteach.cli.config import RunConfig
from coteach.cli.demo_labels import DemoLabels
from coteach.cli.demo_variants import Budget, Variant, dataset_node, variant_config, variants
from coteach.cli.evaluate import measure
from coteach.cli.runs import build_run, load_trained
from coteach.cli.targets import TargetResolver
from coteach.report.metrics import Accuracy
from coteach.training.run import train
from coteach.training.state import read_state


@dataclass(frozen=True)
class Result:
    """One trained variant.

    Args:
        variant: its name.
        seed: of the training.
        accuracy: split -> against the untouched land cover.
        seconds: of training.
        folder: of the run.
    """

    variant: str
    seed: int
    accuracy: Mapping[str, Accuracy]
    seconds: float
    folder: Path


def _silent(epochs: int) -> None:
    """Nobody follows the progress."""


class _Countdown:
    """Tells of each epoch, and in the end of those that an earlier session had trained already."""

    def __init__(self, epochs: int, advance: Callable[[int], None]) -> None:
        self._left = epochs
        self._advance = advance

    def count(self) -> None:
        self._left -= 1
        self._advance(1)

    def finish(self) -> None:
        self._advance(self._left)


def run_variants(
    labels: DemoLabels,
    budget: Budget,
    folder: Path,
    *,
    seeds: Sequence[int],
    splits: Sequence[str] = ("test",),
    done: Callable[[Result], None],
    advance: Callable[[int], None] = _silent,
) -> list[Result]:
    """Train and measure every variant with every seed; finished runs are not trained again.

    Args:
        labels: what to train on.
        budget: epochs and so on.
        folder: runs go to ``folder/<variant>_<seed>``.
        seeds: of the trainings.
        splits: what to measure on, ``val`` or ``test``.
        done: is told each result.
        advance: is told how many more epochs are done, of all variants and seeds together.
    """
    results = []
    for seed in seeds:
        for variant in variants(budget):
            config = variant_config(variant, labels, budget, folder, seed)
            left = _Countdown(budget.epochs, advance)
            results.append(_run(config, variant, labels, splits, after_epoch=left.count))
            left.finish()
            done(results[-1])
    return results


def _run(
    config: RunConfig,
    variant: Variant,
    labels: DemoLabels,
    splits: Sequence[str],
    *,
    after_epoch: Callable[[], None],
) -> Result:
    resolver = TargetResolver()
    last = train(replace(build_run(config, resolver, progress=False), after_epoch=after_epoch))
    method = load_trained(config, resolver, last)
    accuracy = {}
    for split in splits:
        node = dataset_node(labels.splits[variant.labels][split], weighted=False)
        dataset = resolver.build(node, "dataset", split)
        accuracy[split] = measure(method, dataset, reference=labels.sample.landcover)
    folder = Path(config.output_dir)
    return Result(variant.name, config.seed, accuracy, read_state(folder)["seconds"], folder)
