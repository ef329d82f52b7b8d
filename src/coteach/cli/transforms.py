"""What happens to the images that a run is trained on."""

from __future__ import annotations

from typing import Any

from coteach.cli.config import RunConfig
from coteach.cli.targets import TargetResolver


def transforms_of(config: RunConfig, resolver: TargetResolver) -> list[Any]:
    """The transforms of the training set.

    Args:
        config: of the run.
        resolver: what targets are allowed.

    Raises:
        TargetError: one is not allowed, or refuses its values.
    """
    return [
        resolver.build(one, "transform", f"train_dataset.augmentation_list[{i}]")
        for i, one in enumerate(config.train_dataset.get("augmentation_list") or ())
    ]
