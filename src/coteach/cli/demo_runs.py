"""The demo's variants trained and measured, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from coteach.cli.demo_labels import DemoLabels
from coteach.cli.demo_variants import Budget, dataset_node, variant_config, variants
from coteach.cli.targets import TargetResolver
from coteach.cli.variant_runs import Countdown, Result, run_variant


def _silent(epochs: int) -> None:
    """Nobody follows the progress."""


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
            nodes = {
                split: dataset_node(labels.splits[variant.labels.name][split], weighted=False)
                for split in splits
            }
            left = Countdown(budget.epochs, advance)
            results.append(
                run_variant(
                    config,
                    variant.name,
                    nodes,
                    resolver=TargetResolver(),
                    reference=labels.sample.landcover,
                    after_epoch=left.count,
                )
            )
            left.finish()
            done(results[-1])
    return results
