"""What a build of soft labels can be told, checked before anything is written."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from coteach.errors import OptionError
from coteach.labels.borders import check_radius
from coteach.labels.confidence import check_entropy_norm, weight_shares
from coteach.labels.votes import check_num_classes

BORDER_SOURCES = ("auto", "mask", "argmax")


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildOptions:
    """The options of :func:`coteach.build_soft_labels`, which describes them.

    Raises:
        OptionError: one is out of range, or contradicts another.
    """

    num_classes: int
    alpha: float
    beta: float
    use_border: bool
    border_source: str
    border_radius: float
    entropy_norm: str
    image_key: str
    mask_key: str | None
    lulc_keys: tuple[str, ...]
    patch_size: int | None
    stride: int | None
    max_workers: int

    def __post_init__(self) -> None:
        check_num_classes(self.num_classes)
        weight_shares(self.alpha, self.beta, use_border=self.use_border)
        if self.beta > 0:
            cause = f"{self.beta:g} gives weight to embeddings, which cannot be read yet"
            raise OptionError("beta", cause, "leave it at 0")
        check_radius(self.border_radius)
        check_entropy_norm(self.entropy_norm)
        _check_choice("border_source", self.border_source, BORDER_SOURCES)
        self._check_keys()
        self._check_sizes()

    @property
    def source_keys(self) -> tuple[str, ...]:
        """The columns that vote; the mask is one of them."""
        return self.lulc_keys if self.mask_key is None else (self.mask_key, *self.lulc_keys)

    def recipe(self) -> dict[str, object]:
        """The options that the rasters depend on, as JSON has them."""
        elsewhere = {"image_key", "mask_key", "lulc_keys", "patch_size", "stride", "max_workers"}
        return {name: value for name, value in dataclasses.asdict(self).items() if name not in elsewhere}

    def _check_keys(self) -> None:
        if not self.source_keys:
            remedy = "name the columns of label maps (--lulc-key, repeated)"
            raise OptionError("lulc_keys", "without a mask and label maps nothing votes", remedy)
        keys = (self.image_key, *self.source_keys)
        twice = next((key for key in keys if keys.count(key) > 1), None)
        if twice is not None:
            raise OptionError("lulc_keys", f"the column {twice!r} has two uses", "name every column once")
        if self.use_border and self.border_source == "mask" and self.mask_key is None:
            cause = "'mask' needs the column of a mask, and none is used"
            raise OptionError(
                "border_source", cause, "choose auto or argmax, or name the column (--mask-key)"
            )

    def _check_sizes(self) -> None:
        for name, value in (("patch_size", self.patch_size), ("stride", self.stride)):
            if value is not None and value < 1:
                raise OptionError(name, f"{value} is no size", "give a number of pixels, at least 1")
        if self.stride is not None and self.patch_size is None:
            raise OptionError("stride", "has no meaning without patches", "add --patch-size, or leave it out")
        if self.max_workers < 1:
            raise OptionError("max_workers", f"{self.max_workers} do no work", "give at least 1")


def _check_choice(name: str, value: str, choices: Sequence[str]) -> None:
    if value not in choices:
        raise OptionError(
            name, f"there is no {value!r}", f"choose {', '.join(choices[:-1])} or {choices[-1]}"
        )
