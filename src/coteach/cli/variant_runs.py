"""One variant trained and measured: what the demo and the ablation do again and again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from coteach.cli.config import RunConfig
from coteach.cli.data_paths import Node
from coteach.cli.evaluate_maps import measure
from coteach.cli.runs import build_run, load_trained
from coteach.cli.targets import TargetResolver
from coteach.report.metrics import Accuracy
from coteach.training.checkpoints import checkpoint_path
from coteach.training.run import train
from coteach.training.state import read_state


@dataclass(frozen=True)
class Result:
    """One trained variant.

    Args:
        variant: its name.
        seed: of the training.
        accuracy: split -> against the reference.
        seconds: of training.
        folder: of the run.
    """

    variant: str
    seed: int
    accuracy: Mapping[str, Accuracy]
    seconds: float
    folder: Path


class Countdown:
    """Tells of each epoch, and in the end of those that were not trained now.

    Args:
        epochs: of the run.
        advance: is told how many more epochs are done.
    """

    def __init__(self, epochs: int, advance: Callable[[int], None]) -> None:
        self._left = epochs
        self._advance = advance

    def count(self) -> None:
        """An epoch is done."""
        self._left -= 1
        self._advance(1)

    def finish(self) -> None:
        """No more epochs will be trained: an earlier session had done the rest, or the run has failed."""
        self._advance(self._left)


def slug(name: str) -> str:
    """A variant's name as that of a folder."""
    return name.lower().replace(" ", "_").replace("-", "_")


def run_variant(
    config: RunConfig,
    variant: str,
    measured: Mapping[str, Node],
    *,
    resolver: TargetResolver,
    reference: Path | None = None,
    reference_key: str | None = None,
    checkpoint: str = "last",
    after_epoch: Callable[[], None],
) -> Result:
    """Train, unless the run is finished, and measure.

    Args:
        config: of the run.
        variant: its name.
        measured: split -> data set to measure on.
        resolver: what targets are allowed.
        reference: one raster of true classes for all images, or None.
        reference_key: column of the data sets' tables with each row's reference, or None.
        checkpoint: which one is measured, ``last`` or ``best``.
        after_epoch: called after each epoch that is trained.

    Raises:
        CoteachError: it cannot be trained or measured.
    """
    train(replace(build_run(config, resolver, progress=False), after_epoch=after_epoch))
    folder = Path(config.output_dir)
    method = load_trained(config, resolver, checkpoint_path(folder, checkpoint))
    accuracy = {
        split: measure(
            method, resolver.build(node, "dataset", split), reference=reference, reference_key=reference_key
        )
        for split, node in measured.items()
    }
    return Result(variant, config.seed, accuracy, read_state(folder)["seconds"], folder)
