"""What a build of soft labels can be told, checked before anything is written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from coteach.errors import OptionError
from coteach.labels.borders import check_radius
from coteach.labels.confidence import WeightShares, check_entropy_norm, weight_shares
from coteach.labels.embeddings import check_resampling
from coteach.labels.reliability import check_enough
from coteach.labels.votes import check_num_classes, check_weights
from coteach.rasters.code_legend import check_legend
from coteach.rasters.code_meaning import CodeMeaning

BORDER_SOURCES = ("auto", "mask", "argmax")
WEIGHTS = ("equal", "learned")
AEF_SOURCES = ("gcs", "hf")
DTYPES = ("float32", "uint8")
FINGERPRINTS = ("stat", "content")


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildOptions:
    """The options of :func:`coteach.build_soft_labels`, which describes them.

    Raises:
        OptionError: one is out of range, or contradicts another.
    """

    num_classes: int
    alpha: float = 0.6
    beta: float = 0.0
    use_border: bool = True
    border_source: str = "auto"
    border_radius: float = 10
    entropy_norm: str = "max_entropy"
    image_key: str = "image_path"
    mask_key: str | None = "mask_path"
    lulc_keys: tuple[str, ...] = ()
    source_weights: Mapping[str, float] = field(default_factory=dict)
    weights: str = "equal"
    legends: Mapping[str, Mapping[int, int]] = field(default_factory=dict)
    aef_embeddings_dir: Path | None = None
    aef_source: str = "gcs"
    aef_resampling: str = "auto"
    dtype: str = "float32"
    votes_band: bool = False
    cog: bool = False
    fingerprint: str = "stat"
    patch_size: int | None = None
    stride: int | None = None
    ignore_codes: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        check_num_classes(self.num_classes)
        check_ignored(self.ignore_codes, self.num_classes)
        check_radius(self.border_radius)
        check_entropy_norm(self.entropy_norm)
        check_resampling(self.aef_resampling)
        _check_choice("border_source", self.border_source, BORDER_SOURCES)
        _check_choice("weights", self.weights, WEIGHTS)
        _check_choice("aef_source", self.aef_source, AEF_SOURCES)
        _check_choice("dtype", self.dtype, DTYPES)
        _check_choice("fingerprint", self.fingerprint, FINGERPRINTS)
        self._check_embeddings()
        self._check_keys()
        for key, legend in self.legends.items():
            check_legend(key, legend, self.num_classes)
        self._check_weights()
        self._check_sizes()

    @property
    def source_keys(self) -> tuple[str, ...]:
        """The columns that vote; the mask is one of them."""
        return self.lulc_keys if self.mask_key is None else (self.mask_key, *self.lulc_keys)

    @property
    def shares(self) -> WeightShares:
        """What each part of W_conf counts."""
        return weight_shares(self.alpha, self.beta, use_border=self.use_border)

    @property
    def vote_weights(self) -> tuple[float, ...] | None:
        """What the vote of each source counts; None counts each 1."""
        if not self.source_weights:
            return None
        return tuple(self.source_weights.get(key, 1.0) for key in self.source_keys)

    @property
    def pixel_embeddings(self) -> Path | None:
        """The folder of embeddings a pixel, if they count."""
        return self.aef_embeddings_dir if self.beta > 0 and self.aef_source == "gcs" else None

    @property
    def patch_embeddings(self) -> Path | None:
        """The folder of embeddings a tile, if they count."""
        return self.aef_embeddings_dir if self.beta > 0 and self.aef_source == "hf" else None

    def absolute(self) -> BuildOptions:
        """The same for a process with another working directory."""
        folder = self.aef_embeddings_dir
        return self if folder is None else replace(self, aef_embeddings_dir=folder.absolute())

    def meaning(self, key: str) -> CodeMeaning:
        """What the values of a source mean."""
        return CodeMeaning(self.num_classes, self.legends.get(key))

    def recipe(self) -> dict[str, Any]:
        """The options that a tile's rasters depend on, as JSON has them; but for what belongs to one source or border."""
        recipe: dict[str, Any] = {
            "num_classes": self.num_classes,
            "shares": list(self.shares),
            "dtype": self.dtype,
            "votes_band": self.votes_band,
            "cog": self.cog,
            "entropy_norm": self.entropy_norm,
        }
        if self.beta > 0:
            recipe |= {"aef_source": self.aef_source, "aef_resampling": self.aef_resampling}
        return recipe

    def _check_embeddings(self) -> None:
        weight_shares(self.alpha, self.beta, use_border=self.use_border)
        if self.beta > 0 and self.aef_embeddings_dir is None:
            cause = f"{self.beta:g} gives weight to embeddings, and there are none"
            raise OptionError("beta", cause, "name their folder (--aef-embeddings-dir), or leave it at 0")
        if self.beta == 0 and self.aef_embeddings_dir is not None:
            cause = f"{self.aef_embeddings_dir} would not be used, because beta is 0"
            raise OptionError("aef_embeddings_dir", cause, "give their weight (--beta 0.2), or leave it out")

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
        for name, given in (("source_weights", self.source_weights), ("legends", self.legends)):
            other = next((key for key in given if key not in self.source_keys), None)
            if other is not None:
                cause = f"{other!r} is no column that votes ({', '.join(self.source_keys)})"
                raise OptionError(name, cause, "correct the name, or name the column with --lulc-key")

    def _check_weights(self) -> None:
        if self.source_weights and self.weights == "learned":
            remedy = "leave out --source-weight, or --weights learned"
            raise OptionError("source_weights", "are given, and to be learned as well", remedy)
        if self.weights == "learned":
            check_enough(len(self.source_keys))
        if self.vote_weights is not None:
            check_weights(self.vote_weights, len(self.source_keys))

    def _check_sizes(self) -> None:
        check_size("patch_size", self.patch_size)
        check_size("stride", self.stride)
        if self.stride is not None and self.patch_size is None:
            raise OptionError("stride", "has no meaning without patches", "add --patch-size, or leave it out")


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
