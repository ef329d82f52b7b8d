"""Three imperfect land-cover products and a cartographic mask, made from one clean map."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int, Int16

from coteach.labels.noise import (
    NO_DATA, block_majority, blur_borders, confuse, displace, generalise, smooth_field,
)

_REGION = 40.0
_SHARED = 0.5


def confusable(codes: Int[np.ndarray, "h w"], num_classes: int) -> list[int]:
    """For every class, the other class it borders on most often (4 neighbours; ties: the lowest code)."""
    borders = np.zeros((num_classes, num_classes), dtype=np.int64)
    for one, other in ((codes[1:], codes[:-1]), (codes[:, 1:], codes[:, :-1])):
        met = (one >= 0) & (other >= 0) & (one != other)
        np.add.at(borders, (one[met], other[met]), 1)
    borders += borders.T
    np.fill_diagonal(borders, -1)
    return [int(c) for c in borders.argmax(axis=1)]


def make_products(codes: Int[np.ndarray, "h w"], *, num_classes: int, seed: int) -> dict[str, Int16[np.ndarray, "h w"]]:
    """First guess."""
    shape = codes.shape
    rng = np.random.default_rng(seed)
    common = [smooth_field(shape, _REGION, rng) for _ in range(num_classes)]
    partner = confusable(codes, num_classes)

    def field(c: int) -> Float[np.ndarray, "h w"]:
        return np.sqrt(_SHARED) * common[c] + np.sqrt(1 - _SHARED) * smooth_field(shape, _REGION, rng)

    def confused(share: float) -> Int16[np.ndarray, "h w"]:
        out = codes.astype(np.int16)
        for c in range(num_classes):
            wrong = confuse(codes, source=c, target=partner[c], share=share, field=field(c), nearness=0.5)
            out = np.where(codes == c, wrong, out)
        return out

    coarse = block_majority(confused(0.1), num_classes=num_classes, block=12)
    wobble = 3.0 * np.stack([smooth_field(shape, _REGION, rng) for _ in range(2)])
    shifted = blur_borders(displace(confused(0.1), shift=(3, -4), wobble=wobble), num_classes=num_classes, sigma=2)
    regional = confused(0.28)
    hole = smooth_field(shape, _REGION, rng)
    regional[hole > np.quantile(hole, 0.92)] = NO_DATA
    mask = generalise(blur_borders(confused(0.1), num_classes=num_classes, sigma=3), min_patch=60)
    return {"coarse": coarse, "shifted": shifted, "regional": regional, "mask": mask}
