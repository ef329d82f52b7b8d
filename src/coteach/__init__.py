"""coteach: train vision models from imperfect labels, noisy, soft or missing.

Everything public is importable from here. Nothing is imported until it is asked for, so that
``import coteach`` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from coteach.cross_fitting import out_of_fold as out_of_fold
    from coteach.data.detection_files import CocoDetectionDataset as CocoDetectionDataset
    from coteach.data.detection_files import VocDetectionDataset as VocDetectionDataset
    from coteach.data.image_arrays import ArrayDataset as ArrayDataset
    from coteach.data.image_folder import ImageFolderDataset as ImageFolderDataset
    from coteach.data.image_table import ImageTableDataset as ImageTableDataset
    from coteach.data.mbtiles_soft_label import (
        MBTilesSoftLabelMaskWindowedDataset as MBTilesSoftLabelMaskWindowedDataset,
    )
    from coteach.data.shared_batches import SharedBatches as SharedBatches
    from coteach.data.soft_label import SoftLabelDataset as SoftLabelDataset
    from coteach.data.soft_label import SoftLabelWindowedDataset as SoftLabelWindowedDataset
    from coteach.data.soft_label_cached import SoftLabelCachedDataset as SoftLabelCachedDataset
    from coteach.data.splits import generate_training_csv as generate_training_csv
    from coteach.data.worker_memory import freed_memory_kept as freed_memory_kept
    from coteach.data.worker_memory import keep_freed_memory as keep_freed_memory
    from coteach.errors import CoteachError as CoteachError
    from coteach.fitting import fit as fit
    from coteach.labels.confidence import confidence_weight as confidence_weight
    from coteach.labels.votes import vote_shares as vote_shares
    from coteach.losses.co_teaching import CoTeachingLoss as CoTeachingLoss
    from coteach.losses.soft_cross_entropy import SoftLabelWeightedCELoss as SoftLabelWeightedCELoss
    from coteach.methods.base import Method as Method
    from coteach.methods.co_teaching import CoTeaching as CoTeaching
    from coteach.methods.co_teaching_plus import CoTeachingPlus as CoTeachingPlus
    from coteach.methods.divide_mix import DivideMix as DivideMix
    from coteach.methods.elr import Elr as Elr
    from coteach.methods.jocor import JoCoR as JoCoR
    from coteach.methods.peer_ensemble import PeerEnsemble as PeerEnsemble
    from coteach.methods.soft_label import SoftLabel as SoftLabel
    from coteach.methods.soft_teacher import SoftTeacher as SoftTeacher
    from coteach.methods.supervised import Supervised as Supervised
    from coteach.methods.supervised_detection import SupervisedDetection as SupervisedDetection
    from coteach.methods.unbiased_teacher import UnbiasedTeacher as UnbiasedTeacher
    from coteach.rasters.build import build_soft_labels as build_soft_labels
    from coteach.report.audit import audit as audit
    from coteach.selection.curriculum import CurriculumScheduler as CurriculumScheduler
    from coteach.selection.exchange import estimate_keep_ratio as estimate_keep_ratio
    from coteach.selection.exchange import select_indices as select_indices
    from coteach.selection.small_loss import select_small_loss as select_small_loss

__version__ = "0.1.0"

_HOME = {
    "ArrayDataset": "data.image_arrays",
    "CoTeaching": "methods.co_teaching",
    "CoTeachingLoss": "losses.co_teaching",
    "CoTeachingPlus": "methods.co_teaching_plus",
    "CocoDetectionDataset": "data.detection_files",
    "CoteachError": "errors",
    "CurriculumScheduler": "selection.curriculum",
    "DivideMix": "methods.divide_mix",
    "Elr": "methods.elr",
    "ImageFolderDataset": "data.image_folder",
    "ImageTableDataset": "data.image_table",
    "JoCoR": "methods.jocor",
    "MBTilesSoftLabelMaskWindowedDataset": "data.mbtiles_soft_label",
    "Method": "methods.base",
    "PeerEnsemble": "methods.peer_ensemble",
    "SharedBatches": "data.shared_batches",
    "SoftLabel": "methods.soft_label",
    "SoftLabelCachedDataset": "data.soft_label_cached",
    "SoftLabelDataset": "data.soft_label",
    "SoftLabelWeightedCELoss": "losses.soft_cross_entropy",
    "SoftLabelWindowedDataset": "data.soft_label",
    "SoftTeacher": "methods.soft_teacher",
    "Supervised": "methods.supervised",
    "SupervisedDetection": "methods.supervised_detection",
    "UnbiasedTeacher": "methods.unbiased_teacher",
    "VocDetectionDataset": "data.detection_files",
    "audit": "report.audit",
    "build_soft_labels": "rasters.build",
    "confidence_weight": "labels.confidence",
    "estimate_keep_ratio": "selection.exchange",
    "fit": "fitting",
    "freed_memory_kept": "data.worker_memory",
    "generate_training_csv": "data.splits",
    "keep_freed_memory": "data.worker_memory",
    "out_of_fold": "cross_fitting",
    "select_indices": "selection.exchange",
    "select_small_loss": "selection.small_loss",
    "vote_shares": "labels.votes",
}

__all__ = ["__version__", *_HOME]  # noqa: PLE0604 -- the keys of _HOME are names


def __getattr__(name: str) -> object:
    if name not in _HOME:
        msg = f"module 'coteach' has no attribute {name!r}"
        raise AttributeError(msg)
    value = getattr(import_module(f"coteach.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
