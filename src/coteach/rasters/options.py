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
    ignore_codes: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        check_num_classes(self.num_classes)
        check_ignored(self.ignore_codes, self.num_classes)
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
        elsewhere = {
            "image_key", "mask_key", "lulc_keys", "patch_size", "stride", "max_workers", "ignore_codes",
        }  # fmt: skip
        return {name: value for name, value in dataclasses.asdict(self).items() if name not in elsewhere}

    def _check_keys(self) -> None:
        if not self.source_keys:
            remedy = "name the columns of label maps (--lulc-key, repeated)"
            raise OptionError("lulc_keys", "without a mask and label maps nothing votes", remedy)
        check_columns(self.image_key, self.source_keys)
        if self.use_border and self.border_source == "mask" and self.mask_key is None:
            cause = "'mask' needs the column of a mask, and none is used"
            raise OptionError(
                "border_source", cause, "choose auto or argmax, or name the column (--mask-key)"
            )

    def _check_sizes(self) -> None:
        check_size("patch_size", self.patch_size)
        check_size("stride", self.stride)
        if self.stride is not None and self.patch_size is None:
            raise OptionError("stride", "has no meaning without patches", "add --patch-size, or leave it out")
        check_workers(self.max_workers)


def check_columns(image_key: str, source_keys: Sequence[str]) -> None:
    """Refuse a column that is used twice.

    Raises:
        OptionError: there is one.
    """
    keys = (image_key, *source_keys)
    twice = next((key for key in keys if keys.count(key) > 1), None)
    if twice is not None:
        raise OptionError("lulc_keys", f"the column {twice!r} has two uses", "name every column once")


def check_size(name: str, value: int | None) -> None:
    """Refuse a number of pixels below 1; None passes.

    Raises:
        OptionError: it is below.
    """
    if value is not None and value < 1:
        raise OptionError(name, f"{value} is no size", "give a number of pixels, at least 1")


def check_workers(max_workers: int) -> None:
    """Refuse to work with nobody.

    Raises:
        OptionError: there is less than one process.
    """
    if max_workers < 1:
        raise OptionError("max_workers", f"{max_workers} do no work", "give at least 1")


def check_ignored(ignore_codes: Sequence[int], num_classes: int) -> None:
    """Refuse to pass over a class.

    Raises:
        OptionError: one of the codes is a class.
    """
    classes = [code for code in ignore_codes if 0 <= code < num_classes]
    if classes:
        cause = f"{classes[0]} is a class, since codes are 0 to {num_classes - 1}"
        raise OptionError("ignore_codes", cause, "give codes that mean no vote")


def _check_choice(name: str, value: str, choices: Sequence[str]) -> None:
    if value not in choices:
        raise OptionError(
            name, f"there is no {value!r}", f"choose {', '.join(choices[:-1])} or {choices[-1]}"
        )
