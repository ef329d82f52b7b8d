"""The variants of Xiao et al. 2026: what each learns from, and how. The one place where they are defined."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from coteach.errors import OptionError
from coteach.schema import nearest

_DEFAULT_ALPHA = 0.6
_BORDER_OPTIONS = ("use_border", "border_source", "border_radius")


@dataclass(frozen=True, kw_only=True)
class LabelSet:
    """Soft labels that several variants may learn from.

    Args:
        name: of its folder.
        options: of ``coteach.build_soft_labels``.
        mask_only: the mask is the only map that votes.
    """

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)
    mask_only: bool = False

    @property
    def embeddings(self) -> str | None:
        """The kind of embeddings it needs, ``"gcs"`` or ``"hf"``; None if it needs none."""
        return str(self.options["aef_source"]) if self.options.get("beta") else None

    @property
    def with_border(self) -> bool:
        """Whether class borders count in its W_conf."""
        return bool(self.options.get("use_border", True))


@dataclass(frozen=True, kw_only=True)
class Variant:
    """One row of the comparison.

    Args:
        name: as in the paper, where it has one.
        labels: what it learns from.
        method: name and options.
        weighted: whether W_conf is used.
    """

    name: str
    labels: LabelSet
    method: Mapping[str, Any]
    weighted: bool = False

    @property
    def needs_mask(self) -> bool:
        """Whether it cannot be had without a mask."""
        borders = self.weighted and self.labels.with_border
        return self.labels.mask_only or (borders and self.labels.options.get("border_source") == "mask")

    @property
    def target(self) -> str:
        """What the loss compares with, in words."""
        return "mask, hard" if self.labels.mask_only else "P_soft"

    @property
    def weight(self) -> str:
        """What W_conf is made of, in words; 1 where it is not used."""
        if not self.weighted:
            return "1"
        options = self.labels.options
        parts = ["min-max entropy" if options.get("entropy_norm") == "minmax" else "entropy"]
        if self.labels.with_border:
            source = options.get("border_source")
            parts.append("border" if source is None else f"{source} border")
        if self.labels.embeddings:
            parts.append({"gcs": "embeddings by pixel", "hf": "embeddings by tile"}[self.labels.embeddings])
        return " + ".join(parts)


SUPERVISED: Mapping[str, Any] = {"name": "supervised"}
_SOFT_LABEL: Mapping[str, Any] = {"name": "soft_label"}
_MASK = LabelSet(name="mask", options={"use_border": False}, mask_only=True)
_E2_NB = LabelSet(name="e2_nb", options={"alpha": _DEFAULT_ALPHA, "use_border": False})
_E2 = LabelSet(name="e2", options={"alpha": _DEFAULT_ALPHA, "border_source": "argmax"})
_E3 = LabelSet(name="e3", options={"alpha": 0.5, "beta": 0.2, "aef_source": "hf", "border_source": "argmax"})
_E4 = LabelSet(name="e4", options={"alpha": 1.0, "use_border": False, "entropy_norm": "minmax"})
_E4_AEF = LabelSet(name="e4_aef", options={"alpha": 0.5, "beta": 0.2, "aef_source": "gcs"})
_E5 = LabelSet(
    name="e5",
    options={
        "alpha": _DEFAULT_ALPHA,
        "entropy_norm": "minmax",
        "border_source": "mask",
        "border_radius": 10,
    },
)

VARIANTS: Mapping[str, Variant] = {
    variant.name: variant
    for variant in (
        Variant(name="E0", labels=_MASK, method=SUPERVISED),
        Variant(name="E1", labels=_E2, method=_SOFT_LABEL),  # P_soft is the same in all sets of all maps
        Variant(name="E2-NB", labels=_E2_NB, method=_SOFT_LABEL, weighted=True),
        Variant(name="E2", labels=_E2, method=_SOFT_LABEL, weighted=True),
        Variant(name="E3", labels=_E3, method=_SOFT_LABEL, weighted=True),
        Variant(name="E4", labels=_E4, method=_SOFT_LABEL, weighted=True),
        Variant(name="E4-AEF", labels=_E4_AEF, method=_SOFT_LABEL, weighted=True),
        Variant(name="E5", labels=_E5, method=_SOFT_LABEL, weighted=True),
        Variant(
            name="CoT-Curr", labels=_E2, method={"name": "co_teaching", "lambda_reg": 0.0}, weighted=True
        ),
        Variant(
            name="CoT-Full", labels=_E2, method={"name": "co_teaching", "lambda_reg": 0.1}, weighted=True
        ),
    )
}


def twin_of(variant: Variant) -> Variant | None:
    """The same variant without class borders, or with them if it has none.

    A twin that gains a border takes that of the class with most votes, and alpha 0.6 if no share is left for it.

    Returns:
        The twin, under the paper's name if it has one; None for a variant that uses no weights.

    Example:
        >>> twin_of(VARIANTS["E2"]).name, twin_of(VARIANTS["E5"]).name, twin_of(VARIANTS["E4"]).name
        ('E2-NB', 'E5-NB', 'E4-B')
    """
    if not variant.weighted:
        return None
    labels = variant.labels
    options = {key: value for key, value in labels.options.items() if key not in _BORDER_OPTIONS}
    if labels.with_border:
        ending = "NB"
        options["use_border"] = False
    else:
        ending = "B"
        options["border_source"] = "argmax"
        if options["alpha"] + options.get("beta", 0) >= 1:
            options["alpha"] = _DEFAULT_ALPHA
    known = next((one.labels for one in VARIANTS.values() if one.labels.options == options), None)
    twin = replace(
        variant,
        name=f"{variant.name}-{ending}",
        labels=known or LabelSet(name=f"{labels.name}_{ending.lower()}", options=options),
    )
    same = (one for one in VARIANTS.values() if replace(one, name=twin.name) == twin)
    return next(same, twin)


def choose_variants(names: Sequence[str], *, both_borders: bool = False) -> list[Variant]:
    """Variants by name, in the order given, each once; with ``both_borders`` each is followed by its twin.

    Raises:
        OptionError: there is no variant of a name.
    """
    twins = {twin.name: twin for twin in map(twin_of, VARIANTS.values()) if twin is not None}
    known = {**twins, **VARIANTS}
    chosen: dict[str, Variant] = {}
    for name in names:
        if name not in known:
            raise OptionError("--variants", f"there is no {name!r}", nearest(name, known))
        twin = twin_of(known[name]) if both_borders else None
        for variant in (known[name], *(() if twin is None else (twin,))):
            chosen[variant.name] = variant
    return list(chosen.values())
