"""pytorch-segmentation-models-trainer 1.4: its classes under their old names, for Python code.

``CoTeachingModel(cfg)`` and ``SoftLabelModel(cfg)`` are LightningModules; ``cfg`` is an old configuration. What they
do is done by this package's methods; docs/migrating_smt.md says where results differ. Nothing heavy is imported before
a name is asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from coteach.compat.smt.modules import CoTeachingModel as CoTeachingModel
    from coteach.compat.smt.modules import SoftLabelModel as SoftLabelModel
    from coteach.data.mbtiles_soft_label import (
        MBTilesSoftLabelMaskWindowedDataset as MBTilesSoftLabelMaskWindowedDataset,
    )
    from coteach.data.soft_label import SoftLabelDataset as SoftLabelDataset
    from coteach.data.soft_label import SoftLabelWindowedDataset as SoftLabelWindowedDataset
    from coteach.data.soft_label_cached import SoftLabelCachedDataset as SoftLabelCachedDataset
    from coteach.losses.co_teaching import CoTeachingLoss as CoTeachingLoss
    from coteach.losses.soft_cross_entropy import SoftLabelWeightedCELoss as SoftLabelWeightedCELoss
    from coteach.selection.curriculum import CurriculumScheduler as CurriculumScheduler

_HOME = {
    "CoTeachingLoss": "coteach",
    "CoTeachingModel": "coteach.compat.smt.modules",
    "CurriculumScheduler": "coteach",
    "MBTilesSoftLabelMaskWindowedDataset": "coteach",
    "SoftLabelCachedDataset": "coteach",
    "SoftLabelDataset": "coteach",
    "SoftLabelModel": "coteach.compat.smt.modules",
    "SoftLabelWeightedCELoss": "coteach",
    "SoftLabelWindowedDataset": "coteach",
}

__all__ = [*_HOME]  # noqa: PLE0604 -- the keys of _HOME are names


def __getattr__(name: str) -> object:
    if name not in _HOME:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
