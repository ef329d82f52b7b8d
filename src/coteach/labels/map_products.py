"""Three imperfect land-cover products and a cartographic mask, made from one clean map.

Each errs in two ways. *Geometrically*, as its producer draws: in coarse units, off by a pixel or two, without small
patches; small classes suffer in all of them. *Thematically*, as its producer sees: each has its own systematic
confusion, by region and where the confused class is near, of classes that trade places in published maps. A map of
land cover calls the trees over a suburb forest, a map of land use calls the same pixels built-up, an outdated
map shows what stood there before. A network trained on one map learns that map's view, so that such errors
cost it far more than as many random ones; the other maps contradict them.

Classes are told apart by their area alone, so that any map will do. With the shares below the products of a map like
the North Carolina one (49, 30, 19 and 2 % of the pixels) err on 20-35 % of them.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int, Int16

from coteach.errors import OptionError
from coteach.labels.map_noise import (
    block_majority,
    blur_borders,
    confuse,
    displace,
    generalise,
    smooth_field,
)
from coteach.labels.votes import NO_VOTE


class Confusion(NamedTuple):
    """A share of one class is called another; classes by their rank in area, 0 the largest."""

    source: int
    target: int
    share: float


# The view of each producer. Land use: the largest class (forest, say) is drawn into the second (built-up).
# Land cover: the other way round. Outdated: the second is still what it was, the third (open land).
CONFUSIONS: dict[str, tuple[Confusion, ...]] = {
    "coarse": (Confusion(2, 0, 0.60), Confusion(0, 1, 0.22)),
    "shifted": (Confusion(1, 2, 0.55),),
    "regional": (Confusion(1, 0, 0.66), Confusion(0, 1, 0.15)),
    "mask": (Confusion(0, 1, 0.56), Confusion(2, 1, 0.22)),
}
REGION = 25.0  # radius of a region of confusion, pixels
SHARED = 0.2  # part of the variance of the regions that all products have in common
NEARNESS = 0.3  # how much less a pixel is confused for every e-fold of the distance to the other class
BLOCK = 5  # side of a coarse unit, pixels
SHIFT = (1.5, -1.5)  # rows, columns
WOBBLE, WOBBLE_SCALE = 1.0, 20.0  # standard deviation and radius of the local displacement, pixels
BLUR = 1.0  # radius of the window that smooths borders, pixels
MIN_PATCH = 30  # minimum mapping unit of the mask, pixels
HOLE = 0.08  # share of the regional product without data


def make_products(
    codes: Int[np.ndarray, "h w"], *, num_classes: int, seed: int
) -> dict[str, Int16[np.ndarray, "h w"]]:
    """Make four imperfect maps of a clean one.

    Args:
        codes: ``(h, w)`` true class codes in ``[0, num_classes)``, -1 = NoData.
        num_classes: C, at least 2.
        seed: same seed, same maps.

    Returns:
        Name -> ``(h, w)`` int16 codes, -1 = NoData: ``coarse`` (majority of blocks), ``shifted`` (misregistered,
        borders blurred), ``regional`` (confusion alone, and a hole without data), ``mask`` (generalised).

    Raises:
        OptionError: fewer than two classes, or a code that is none of them.

    Example:
        >>> truth = np.repeat(np.arange(4), 16)[:, None].repeat(64, axis=1)
        >>> sorted(make_products(truth, num_classes=4, seed=0))
        ['coarse', 'mask', 'regional', 'shifted']
    """
    if num_classes < 2:
        raise OptionError("num_classes", f"is {num_classes}", "give at least 2")
    if codes.size and not NO_VOTE <= codes.min() <= codes.max() < num_classes:
        raise OptionError(
            "codes", f"range from {codes.min()} to {codes.max()}", f"give codes -1 to {num_classes - 1}"
        )
    rng = np.random.default_rng(seed)
    sources = 1 + max(rule.source for rules in CONFUSIONS.values() for rule in rules)
    common = np.stack([smooth_field(codes.shape, REGION, rng) for _ in range(sources)])
    seen = {name: _as_seen(codes, rules, common, rng) for name, rules in CONFUSIONS.items()}

    coarse = block_majority(seen["coarse"], num_classes=num_classes, block=BLOCK)
    wobble = WOBBLE * np.stack([smooth_field(codes.shape, WOBBLE_SCALE, rng) for _ in range(2)])
    moved = displace(seen["shifted"], shift=SHIFT, wobble=wobble)
    shifted = blur_borders(moved, num_classes=num_classes, sigma=BLUR)
    clouds = smooth_field(codes.shape, REGION, rng)
    regional = np.where(clouds > np.quantile(clouds, 1 - HOLE), NO_VOTE, seen["regional"]).astype(np.int16)
    smooth = blur_borders(seen["mask"], num_classes=num_classes, sigma=BLUR)
    mask = generalise(smooth, min_patch=MIN_PATCH)
    return {"coarse": coarse, "shifted": shifted, "regional": regional, "mask": mask}


def _as_seen(
    codes: Int[np.ndarray, "h w"],
    rules: tuple[Confusion, ...],
    common: Float[np.ndarray, "r h w"],
    rng: np.random.Generator,
) -> Int16[np.ndarray, "h w"]:
    """The clean map as one producer classifies it, before it is drawn."""
    areas = np.bincount(codes[codes >= 0])
    by_area = [int(c) for c in np.argsort(-areas, kind="stable") if areas[c]]
    seen = codes.astype(np.int16)
    for rule in rules:
        own = smooth_field(
            codes.shape, REGION, rng
        )  # drawn for every rule: few classes change no other field
        if max(rule.source, rule.target) >= len(by_area):
            continue
        source, target = by_area[rule.source], by_area[rule.target]
        field = np.sqrt(SHARED) * common[rule.source] + np.sqrt(1 - SHARED) * own
        wrong = confuse(codes, source=source, target=target, share=rule.share, field=field, nearness=NEARNESS)
        seen = np.where(codes == source, wrong, seen)
    return seen
