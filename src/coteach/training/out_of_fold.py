"""Class probabilities of each training image by networks that have not seen it (cross-validation)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float32, Int64

from coteach.data.folds import ImageSubset, draw_folds
from coteach.data.image_set import ImageSet
from coteach.errors import InputError, TrainingError
from coteach.files import whole_file
from coteach.methods.base import Stream
from coteach.methods.label_method import LabelMethod
from coteach.training.checkpoints import checkpoint_path, load_checkpoint, method_weights
from coteach.training.image_inference import predict_images
from coteach.training.precheck import refuse_lone_sample
from coteach.training.run import TrainingRun, train
from coteach.training.streams import refuse_no_batch

FILE = "out_of_fold.npz"
TrainFold = Callable[[ImageSubset, Path], LabelMethod]  # what to learn from, folder -> the trained method


@dataclass(frozen=True)
class OutOfFold:
    """Of ``N`` images.

    Args:
        probs: ``(N, C)`` float32, class probabilities by networks trained on the other folds.
        labels: ``(N,)`` int64, the given class; -1 for images without one and for those that could not be read.
        fold: ``(N,)`` int64, in which fold each image is.
    """

    probs: Float32[np.ndarray, "n c"]
    labels: Int64[np.ndarray, " n"]
    fold: Int64[np.ndarray, " n"]


def predict_out_of_fold(
    dataset: ImageSet,
    folds: int,
    train_fold: TrainFold,
    *,
    seed: int,
    folder: Path,
    begin: Callable[[int], None] = lambda _fold: None,
    check: Callable[[ImageSubset], None] = lambda _part: None,
) -> OutOfFold:
    """Train once a fold, on all others, and predict the fold; written to ``{folds}_folds/out_of_fold.npz``.

    Args:
        dataset: all images.
        folds: how many, from 2 to as many as there are images.
        train_fold: trains, or finds its folder finished.
        seed: of the draw of the folds.
        folder: what is written lies there in ``{folds}_folds``, a folder a fold among it; other numbers of folds have theirs beside it.
        begin: called with each fold, from 0, before it is trained.
        check: called with what is learned from, of each fold, before any is trained; may refuse it.

    Raises:
        OptionError: the number of folds is out of range.
        InputError: without one of the folds only one class is left. Nothing was trained or written then.
        TrainingError: a fold's folder holds another run or cannot be written, or it cannot be trained.
    """
    fold = draw_folds(dataset.labels.hard(), folds, seed)
    parts = [ImageSubset(dataset, np.flatnonzero(fold != k)) for k in range(folds)]
    _check_parts(parts)
    for part in parts:
        check(part)
    folder = folder / f"{folds}_folds"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        cause = f"cannot be written ({error.strerror or error})"
        raise TrainingError(str(folder), cause, "choose another output_dir") from error
    probs: np.ndarray | None = None
    labels = np.empty(len(dataset), np.int64)
    for k in range(folds):
        begin(k)
        method = train_fold(parts[k], folder / f"fold_{k}")
        apart = np.flatnonzero(fold == k)
        found = predict_images(method, dataset, items=apart)
        probs = np.empty((len(dataset), found.probs.shape[1]), np.float32) if probs is None else probs
        probs[apart], labels[apart] = found.probs, found.labels
    assert probs is not None
    with whole_file(folder / FILE) as partial, partial.open("wb") as stream:
        np.savez_compressed(stream, probs=probs, labels=labels, fold=fold)
    return OutOfFold(probs, labels, fold)


def _check_parts(parts: Sequence[ImageSubset]) -> None:
    """Refuse folds without which there is nothing to tell apart.

    Raises:
        InputError: only one class is left, or none; the message names the fold.
    """
    for number, part in enumerate(parts, start=1):
        if lone := part.lone_class():
            cause = f"without fold {number} of {len(parts)}, the labels that are left hold {lone}"
            remedy = "label more images of the rarest class, or do without folds"
            raise InputError("the training set", cause, remedy)


def check_like(run: TrainingRun) -> Callable[[ImageSubset], None]:
    """What refuses a part of the images of which ``run``'s batches cannot be made, or not trained on.

    Args:
        run: whose batches they are.
    """

    def check(part: ImageSubset) -> None:
        own = replace(run, datasets={**run.datasets, "train": part})
        refuse_no_batch((Stream(),), own.datasets, own.loader)
        refuse_lone_sample(own, own.make_network())

    return check


def train_like(run: TrainingRun, device: torch.device) -> TrainFold:
    """What trains a fold as ``run`` was trained, in one process and without its history.

    Args:
        run: whose configuration is taken; its folder is left alone.
        device: where the trained method predicts.

    Raises:
        InputError: the run's training set is none of images with a label each.
    """
    if not isinstance(run.datasets["train"], ImageSet) or not isinstance(run.method, LabelMethod):
        remedy = "leave out the folds; label maps are audited with --sources"
        raise InputError("the run", "was not trained on images with one label each", remedy)
    options = replace(
        run.options, record_history=False, log_images=0, devices=1, num_nodes=1, strategy="auto"
    )

    def train_fold(part: ImageSubset, folder: Path) -> LabelMethod:
        method = deepcopy(run.method)
        assert isinstance(method, LabelMethod)
        own = replace(
            run,
            method=method,
            datasets={**run.datasets, "train": part},
            output_dir=folder,
            options=options,
            identity={"run": run.identity, "part": part.fingerprint()},
            files={},
            loggers=(),
        )
        train(own)
        method.setup(own.make_network, own.task)  # also where the fold was found finished
        method.load_state_dict(method_weights(load_checkpoint(checkpoint_path(folder, "last"))))
        return method.eval().to(device)

    return train_fold
