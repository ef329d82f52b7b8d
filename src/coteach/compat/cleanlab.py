"""The functions of cleanlab's co-teaching module (``cleanlab.experimental.coteaching``), under their names.

A script that uses that module runs after changing where it imports from, on any device. What differs, and why, is in
docs/migrating_cleanlab.md. For new scripts, ``coteach train`` and ``coteach.fit`` do the same and more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float64, Int
from torch import Tensor, nn

from coteach.compat.cleanlab_loss import loss_coteaching
from coteach.compat.cleanlab_plans import (
    adjust_learning_rate,
    forget_rate_scheduler,
    initialize_lr_scheduler,
    of_epoch,
)
from coteach.data.sending import sent
from coteach.data.worker_memory import freed_memory_kept
from coteach.errors import InputError

__all__ = [
    "MINIMUM_BATCH_SIZE",
    "adjust_learning_rate",
    "evaluate",
    "forget_rate_scheduler",
    "initialize_lr_scheduler",
    "loss_coteaching",
    "train",
]

MINIMUM_BATCH_SIZE = 16
"""A last batch of fewer items is not learned from: too few to judge losses by."""


@runtime_checkable
class Loader(Protocol):
    """What gives batches of images and labels, and knows how many: a ``DataLoader``."""

    def __iter__(self) -> Any: ...
    def __len__(self) -> int: ...


def train(
    train_loader: Loader,
    epoch: int,
    model1: nn.Module,
    optimizer1: torch.optim.Optimizer,
    model2: nn.Module,
    optimizer2: torch.optim.Optimizer,
    args: Any,
    forget_rate_schedule: Sequence[float] | Float64[np.ndarray, " e"],
    class_weights: Tensor | Sequence[float] | None,
    accuracy: Callable[..., Sequence[Any]],
) -> tuple[float, float]:
    """One epoch of co-teaching, on the device of the models.

    Args:
        train_loader: gives batches of images and labels; a last batch below 16 is left out.
        epoch: counted from 0.
        model1: gives ``(N, C)`` scores.
        optimizer1: of ``model1``.
        model2: on the same device.
        optimizer2: of ``model2``.
        args: with ``print_freq`` (batches between two lines of figures), ``epochs`` (for these lines), and what else
            scripts keep there: ``batch_size`` and ``num_iter_per_epoch`` are not read.
        forget_rate_schedule: a forget rate an epoch.
        class_weights: one a class, or None.
        accuracy: ``accuracy(output, target, topk=(1, 5))`` gives one value a ``k``; with fewer than five classes it is
            called with their number for the 5.

    Returns:
        The mean over the batches of the first value of ``accuracy``, of ``model1`` and ``model2``.

    Raises:
        OptionError: the schedule has no rate for this epoch.
        InputError: there was no batch to learn from, or a label is no class.
    """
    forget_rate = of_epoch("forget_rate_schedule", forget_rate_schedule, epoch)
    device = _device_of(model1)
    model1.train()
    model2.train()
    total: list[Any] = [0, 0]
    batches = len(train_loader)
    learned = 0
    with freed_memory_kept(wanted=device.type == "cpu"):
        for i, (images, given) in enumerate(train_loader):
            if i + 1 == batches and len(given) < MINIMUM_BATCH_SIZE:
                break
            inputs, labels = sent(images, device), sent(_classes(given), device)
            scores = model1(inputs), model2(inputs)
            topk = (1, min(5, scores[0].shape[1]))
            values = [accuracy(own.detach(), labels, topk=topk)[0] for own in scores]
            total = [before + value for before, value in zip(total, values, strict=True)]
            learned += 1
            losses = loss_coteaching(*scores, labels, forget_rate, class_weights)
            for optimizer, loss in zip((optimizer1, optimizer2), losses, strict=True):
                optimizer.zero_grad()  # one after the other: it may be one optimizer of both networks
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
            if (i + 1) % args.print_freq == 0:
                figures = [float(figure) for figure in (*values, *(loss.detach() for loss in losses))]
                print(_line(epoch, args.epochs, i, batches, figures))  # noqa: T201 -- what print_freq asks for
    if not learned:
        cause = f"no batch, or only one of fewer than {MINIMUM_BATCH_SIZE} items"
        raise InputError("train_loader", cause, "give more items")
    return float(total[0]) / learned, float(total[1]) / learned


def _device_of(model: nn.Module) -> torch.device:
    """Where a model is; one without weights is on the CPU."""
    weights = next(model.parameters(), None)
    return torch.device("cpu") if weights is None else weights.device


def _one_an_item(labels: Tensor, loader: str) -> Tensor:
    """Labels of a column would be compared with each other's items."""
    if labels.ndim != 1:
        raise InputError(loader, f"gives labels of shape {tuple(labels.shape)}", "give one an item: (N,)")
    return labels


def _classes(labels: Tensor) -> Int[Tensor, " n"]:
    """Labels as torch takes them; fractions are none that could be cut off."""
    if labels.is_floating_point():
        raise InputError("train_loader", f"gives labels of {labels.dtype}", "give integer classes")
    return _one_an_item(labels, "train_loader").long()


def _line(epoch: int, epochs: int, i: int, batches: int, figures: Sequence[float]) -> str:
    accuracy1, accuracy2, loss1, loss2 = figures
    return (
        f"Epoch {epoch + 1}/{epochs}, batch {i + 1}/{batches}: "
        f"accuracy {accuracy1:.2f} and {accuracy2:.2f}, loss {loss1:.4f} and {loss2:.4f}"
    )


@torch.no_grad()
def evaluate(
    test_loader: Iterable[tuple[Tensor, Tensor]], model1: nn.Module, model2: nn.Module
) -> tuple[float, float]:
    """The accuracy of both models over all items that the loader gives; they are left in evaluation mode.

    Args:
        test_loader: gives batches of images and labels, of any size.
        model1: gives ``(N, C)`` scores.
        model2: gives ``(N, C)`` scores.

    Returns:
        Percent right, of ``model1`` and ``model2``.

    Raises:
        InputError: the loader is empty, or does not give one label an item.
    """
    models = model1.eval(), model2.eval()
    devices = [_device_of(model) for model in models]
    right: list[Any] = [0, 0]
    total = 0
    with freed_memory_kept(wanted=devices[0].type == "cpu"):
        for images, labels in test_loader:
            total += len(_one_an_item(labels, "test_loader"))
            for which, (model, device) in enumerate(zip(models, devices, strict=True)):
                right[which] = (
                    right[which] + (model(sent(images, device)).argmax(1) == sent(labels, device)).sum()
                )
    if total == 0:
        raise InputError("test_loader", "gave no items", "give at least one batch")
    return 100 * int(right[0]) / total, 100 * int(right[1]) / total
