"""What to audit the sources of segmentation with."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from coteach.errors import OptionError
from coteach.methods.label_method import LabelMethod
from coteach.rasters.error_maps import MAX_CLASSES
from coteach.rasters.options import BuildOptions
from coteach.training.scene_job import SceneJob
from coteach.training.scenes import SceneOptions

DRAWN = 1 << 16  # pixels that the estimate is made of, about
_RECORDS = "fingerprints"


@dataclass(frozen=True, kw_only=True)
class SourceAuditJob:
    """What to audit sources with.

    Args:
        scene: the trained model, and where the maps go.
        sources: which columns are sources, and what their codes mean; of as many classes as the model.
        drawn: about how many pixels of all tiles the estimate is made of, at least 1.

    Raises:
        OptionError: there are more than 255 classes.
    """

    scene: SceneJob
    sources: BuildOptions
    drawn: int = DRAWN

    def __post_init__(self) -> None:
        if self.scene.num_classes > MAX_CLASSES:
            cause = f"{self.scene.num_classes} do not fit into a map of suggested classes"
            raise OptionError("num_classes", cause, f"audit a run of at most {MAX_CLASSES}")

    @cached_property
    def options(self) -> SceneOptions:
        """Windows; all trained networks are asked."""
        method = self.scene.method
        several = isinstance(method, LabelMethod) and len(method.trained) > 1
        return replace(self.scene.options, disagreement=several)

    @property
    def records(self) -> Path:
        """Folder of what was drawn, and of the records."""
        return self.scene.output_dir / _RECORDS
