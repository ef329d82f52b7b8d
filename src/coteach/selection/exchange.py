"""The exchange of small-loss items between two networks, for training loops written by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from coteach.errors import InputError, OptionError
from coteach.selection.mixture import clean_probability
from coteach.selection.small_loss import select_small_loss

KeepRatio = float | np.floating[Any] | Tensor | Sequence[float] | Mapping[int, float]
Losses = Tensor | np.ndarray | Sequence[Tensor | np.ndarray | Sequence[float]]


def select_indices(
    targets: Tensor | np.ndarray | Sequence[int],
    losses: Losses,
    keep_ratio: KeepRatio = 0.85,
) -> list[Int64[Tensor, " k"]]:
    """In each class of the batch, each network names the items of smallest loss for the other to learn from.

    Of the ``n`` items of a class, ``k = max(1, floor(keep_ratio·n + 1e-6))`` are kept: a class with one item in the
    batch keeps it. The same losses give the same indices, equal ones too.

    Args:
        targets: ``(N,)`` the given label of every item, any integers.
        losses: the plain losses ``(N,)`` of model 1 and of model 2, in this order, as tensors, arrays or lists; no
            gradient is taken from them. NaN counts as the largest.
        keep_ratio: share of each class to keep, in (0, 1]; one for all, a list with one for each of the classes
            0, 1, …, or a mapping from class to share.

    Returns:
        The indices for model 1, which model 2 chose, and those for model 2, which model 1 chose: int64, ascending,
        on the device of the losses.

    Raises:
        InputError: not the losses of two models, not one loss an item, or a label is no integer.
        OptionError: a ratio is outside (0, 1], or a class of the batch has none.

    Example:
        >>> losses = torch.tensor([0.3, 0.1, 0.2, 5.0]), torch.tensor([0.1, 0.2, 0.3, 6.0])
        >>> select_indices(torch.tensor([0, 0, 0, 1]), losses, keep_ratio=0.67)
        [tensor([0, 1, 3]), tensor([1, 2, 3])]
    """
    if len(losses) != 2:
        raise InputError("losses", f"of {len(losses)} models", "give those of model 1 and model 2")
    labels, plain = _one_loss_an_item(targets, losses)
    classes, group = torch.unique(labels, return_inverse=True)
    forget = 1 - _ratios(keep_ratio, [int(c) for c in classes.tolist()]).to(labels.device)
    if not len(labels):
        return [torch.empty_like(labels, dtype=torch.int64) for _ in range(2)]
    kept = [select_small_loss(own, forget, group=group, num_groups=len(classes)).mask for own in plain]
    return [mask.nonzero()[:, 0] for mask in reversed(kept)]


def estimate_keep_ratio(
    targets: Tensor | np.ndarray | Sequence[int], losses: Losses, minimum: float = 0.1
) -> dict[int, float]:
    """The share of each class whose label is probably right, by the losses of the whole training set.

    A class's ratio is the mean of ``clean_probability`` over its items: with imbalance a small class is often
    mislabelled far more than a large one, and no one ratio fits both. The mixture is fitted to the losses of all
    classes together, in which an item of a small class that is named as one of the large stands out.

    Args:
        targets: ``(N,)`` the given label of every item.
        losses: the plain losses ``(N,)`` of one model, or of each of several, as tensors, arrays or lists; their mean
            counts. NaN is left out.
        minimum: no ratio is below it, in (0, 1].

    Returns:
        Class -> ratio in [minimum, 1], as ``select_indices`` takes it.

    Raises:
        InputError: no losses, not one an item, or a label is no integer.
        OptionError: ``minimum`` is outside (0, 1].
    """
    _check_ratio("minimum", minimum)
    models = [losses] if isinstance(losses, Tensor | np.ndarray) and losses.ndim == 1 else losses
    if not len(models):
        raise InputError("losses", "of no model", "give those of one model or more")
    labels, plain = _one_loss_an_item(targets, models)
    mean = torch.stack(plain).mean(0)
    clean, known = clean_probability(mean), ~mean.isnan()
    ratios = {}
    for c in torch.unique(labels).tolist():
        own = clean[(labels == c) & known]
        ratios[int(c)] = max(minimum, own.mean().item()) if len(own) else 1.0
    return ratios


def _one_loss_an_item(targets: Any, losses: Any) -> tuple[Tensor, list[Tensor]]:
    """Labels ``(N,)`` and the losses ``(N,)`` of each model, on the device of the first."""
    plain = [torch.as_tensor(own).detach() for own in losses]
    labels = torch.as_tensor(targets, device=plain[0].device)
    if labels.is_floating_point() and (labels != labels.round()).any():
        raise InputError(
            "targets", f"{labels[labels != labels.round()][0].item():g} is no class", "give integers"
        )
    for number, own in enumerate(plain, start=1):
        if own.shape != labels.shape or own.ndim != 1:
            raise InputError(
                f"losses of model {number}",
                f"shape {tuple(own.shape)} for targets of shape {tuple(labels.shape)}",
                "give one loss an item, unreduced (reduction='none')",
            )
    return labels, [own.to(labels.device) for own in plain]


def _ratios(keep_ratio: KeepRatio, classes: Sequence[int]) -> Float64[Tensor, " g"]:
    """``(G,)`` the ratio of each of these classes, checked."""
    given = _as_numbers(keep_ratio)
    if isinstance(given, dict):
        named = given
    elif given.ndim == 0:
        _check_ratio("keep_ratio", given.item())
        named = dict.fromkeys(classes, given.item())
    else:
        named = dict(enumerate(given.tolist()))
    for c, ratio in named.items():
        _check_ratio(f"keep_ratio of class {c}", ratio)
    missing = [c for c in classes if c not in named]
    if missing:
        raise OptionError(
            "keep_ratio", f"none for class {missing[0]}", "give one for every class, or one for all"
        )
    return torch.tensor([named[c] for c in classes], dtype=torch.float64)


def _as_numbers(keep_ratio: KeepRatio) -> dict[int, float] | Float64[Tensor, "*c"]:
    try:
        if isinstance(keep_ratio, Mapping):
            return {int(c): float(ratio) for c, ratio in keep_ratio.items()}
        return torch.as_tensor(keep_ratio, dtype=torch.float64)
    except (TypeError, ValueError, RuntimeError, OverflowError) as error:
        remedy = "give the share of a class to keep, such as 0.85, or one for each"
        raise OptionError("keep_ratio", f"is {keep_ratio!r}", remedy) from error


def _check_ratio(name: str, ratio: float) -> None:
    if not 0 < ratio <= 1:
        raise OptionError(
            name, f"{ratio} is outside (0, 1]", "give the share of a class to keep, such as 0.85"
        )
