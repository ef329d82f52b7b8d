"""Losses -> how likely each label is right: a mixture of two normal distributions (DivideMix, Li et al. 2020).

Right labels have small losses, wrong ones large: two normal distributions are fitted to the losses of the whole set
by expectation maximisation (Arazo et al. 2019 with a beta mixture; DivideMix with a normal one), and an item is
clean with the probability of the component of smaller mean.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from coteach.errors import OptionError
from coteach.selection.schedules import check_share
from coteach.selection.small_loss import select_small_loss
from coteach.types import Selection

_ITERATIONS = 10
_TOLERANCE = 1e-2  # of the mean log-likelihood
_FLOOR = 5e-4  # added to the variances


def clean_probability(
    losses: Float[Tensor, "*items"], valid: Bool[Tensor, "*items"] | None = None
) -> Float[Tensor, "*items"]:
    """Posterior probability of the component of smaller mean.

    Losses are first brought to [0, 1]. At most 10 iterations, ended earlier when the mean log-likelihood rises by
    less than 0.01, and 5e-4 added to the variances, as published. Unlike there, 0 and 1 are not the smallest and the
    largest loss but those within which 99.8 % lie, or, from 20 items on, all but one at each end, so that one enormous loss
    does not squeeze all others together.

    Args:
        losses: of the whole training set, any shape.
        valid: bool; others take no part and get 0. None means all. NaN is never valid.

    Returns:
        Shaped like ``losses``, float32 (float64 for float64), in [0, 1]; all 1 if the valid losses are equal.
    """
    wide = losses.detach().reshape(-1)
    wide = wide if wide.dtype == torch.float64 else wide.float()
    counts = ~wide.isnan() if valid is None else valid.reshape(-1) & ~wide.isnan()
    values = wide[counts].double()
    finite = values[values.isfinite()]
    if not len(finite) or finite.amin() == finite.amax():
        return counts.to(wide.dtype).reshape(losses.shape)
    low, high = _bounds(finite)
    scaled = ((values - low) / (high - low)).clamp(0, 1)
    clean = torch.zeros_like(wide)
    clean[counts] = _fit(scaled).to(wide.dtype)
    return clean.reshape(losses.shape)


def _bounds(values: Float[Tensor, " n"]) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """Between which 99.8 % lie, or all but two; the extremes if these are equal.

    torch.quantile has a limit of size, this has not.
    """
    outside = max(len(values) // 1000, min(1, len(values) // 20))
    low = values.kthvalue(1 + outside).values
    high = values.kthvalue(len(values) - outside).values
    return (values.amin(), values.amax()) if low == high else (low, high)


def _fit(x: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
    """Expectation maximisation; the components start as the two halves about the middle of the range."""
    upper = x > 0.5 * (x.amin() + x.amax())
    shares = torch.stack([~upper, upper]).double()
    before = -torch.inf
    for _ in range(_ITERATIONS):
        mass = shares.sum(1).clamp(min=1e-12)
        mean = (shares @ x) / mass
        variance = (shares * (x - mean[:, None]).square()).sum(1) / mass + _FLOOR
        joint = (mass / len(x)).log()[:, None] - 0.5 * (
            (x - mean[:, None]).square() / variance[:, None] + (2 * torch.pi * variance).log()[:, None]
        )
        evidence = joint.logsumexp(0)
        shares = (joint - evidence).exp()
        likelihood = evidence.mean().item()
        if likelihood - before < _TOLERANCE:
            break
        before = likelihood
    return shares[int(mean[1] < mean[0])]


def select_by_mixture(
    losses: Float[Tensor, "*items"],
    clean: Float[Tensor, "*items"],
    threshold: float = 0.5,
    *,
    group: Tensor | None = None,
    num_groups: int | None = None,
    minimum_share: float = 0.0,
    valid: Bool[Tensor, "*items"] | None = None,
    seed: int = 0,
) -> Selection:
    """Keep the items that are more likely clean than not; of every group at least a share.

    Args:
        losses: of the whole training set, any shape.
        clean: what ``clean_probability`` says of them.
        threshold: on that, in [0, 1).
        group: class of every item; with ``minimum_share`` it guards rare classes against being called noise.
        num_groups: ``G``; required with ``group``.
        minimum_share: of each group, the items of smallest loss that are kept in any case, in [0, 1).
        valid: bool; others are never kept.
        seed: for ties of the minimum.

    Returns:
        The selection.

    Raises:
        OptionError: a share is out of its range, or ``group`` comes without ``num_groups``.
    """
    check_share("threshold", threshold, below_one=True)
    check_share("minimum_share", minimum_share, below_one=True)
    if valid is None:
        valid = torch.ones_like(losses, dtype=torch.bool)
    mask = (clean > threshold) & valid
    if minimum_share > 0:
        least = select_small_loss(
            losses, 1 - minimum_share, group=group, num_groups=num_groups, eligible=valid, seed=seed
        )
        mask = mask | least.mask
    elif group is not None and num_groups is None:
        raise OptionError("num_groups", "missing although group is given", "give the number of groups")
    return Selection(mask=mask, count=mask.sum(), eligible=valid.sum())
