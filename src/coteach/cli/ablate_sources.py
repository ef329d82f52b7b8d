"""The maps of an ablation, and how they are divided."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Splitting:
    """How tiles or patches are divided, see ``coteach.generate_training_csv``.

    Args:
        train_ratio: share for training.
        val_ratio: share for validation.
        seed: of the draw.
        by: ``row``, ``tile`` or ``block``; None goes by the manifest.
        block_size: side of a block in pixels.
    """

    train_ratio: float = 0.7
    val_ratio: float = 0.15
    seed: int = 42
    by: str | None = None
    block_size: int | None = None


@dataclass(frozen=True, kw_only=True)
class Sources:
    """The maps of an ablation, and how they become label sets.

    Args:
        table: sources.csv.
        num_classes: C.
        image_key: column of the image.
        mask_key: column of the mask; None if there is none.
        lulc_keys: columns of the other maps.
        reference_key: column of the map that all runs are measured against.
        ignore_codes: codes that are known to mean no vote.
        legends: column -> value -> class; of maps that vote, and of the reference.
        embeddings: kind, ``gcs`` or ``hf`` -> folder of embeddings.
        patch_size: side of the patches; None trains on whole tiles.
        stride: pixels from one patch to the next.
        max_workers: processes of a build.
        splitting: of the tiles or patches.
    """

    table: Path
    num_classes: int
    image_key: str
    mask_key: str | None
    lulc_keys: tuple[str, ...]
    reference_key: str
    ignore_codes: tuple[int, ...] = ()
    legends: Mapping[str, Mapping[int, int]] = field(default_factory=dict)
    embeddings: Mapping[str, Path] = field(default_factory=dict)
    patch_size: int | None = None
    stride: int | None = None
    max_workers: int = 4
    splitting: Splitting = field(default_factory=Splitting)

    @property
    def voting(self) -> tuple[str, ...]:
        """The columns that vote."""
        return self.lulc_keys if self.mask_key is None else (self.mask_key, *self.lulc_keys)
