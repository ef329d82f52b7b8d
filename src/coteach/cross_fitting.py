"""``coteach.out_of_fold``: what networks that have not seen an image say of it, for the audit of its label."""

from __future__ import annotations

from contextlib import ExitStack
from copy import deepcopy
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from coteach.data.folds import ImageSubset
from coteach.data.image_set import ImageSet
from coteach.errors import InputError
from coteach.fitting import as_dataset, fit
from coteach.methods.base import NetworkFactory
from coteach.methods.label_method import LabelMethod
from coteach.training.fit_arguments import check_arguments
from coteach.training.out_of_fold import OutOfFold, predict_out_of_fold


def out_of_fold(
    model_factory: NetworkFactory,
    dataset: Any,
    *,
    method: LabelMethod,
    folds: int = 4,
    seed: int = 0,
    output_dir: str | Path | None = None,
    **options: Any,
) -> OutOfFold:
    """Train once a fold, on all other folds, and predict the fold.

    Args:
        model_factory: gives a freshly initialised network.
        dataset: ``(images, labels)`` as :class:`coteach.ArrayDataset` takes them, or a data set of this package.
        method: what is trained and how; a copy of it a fold.
        folds: how many; each has its share of every class.
        seed: of everything random, the folds too.
        output_dir: in its folder ``{folds}_folds`` lies a folder a fold; called again with the same arguments, it goes
            on where it was. None leaves nothing behind.
        options: further arguments of :func:`coteach.fit`.

    Returns:
        Probabilities, labels and folds, for ``coteach.audit(found.probs, found.labels)``, or beside a run's history
        ``coteach.audit(result, out_of_fold=found.probs)``.

    Raises:
        InputError: the data set is none of this package; images, labels and network do not fit each other; without
            one of the folds only one class is left.
        OptionError: an argument is out of range.
        TrainingError: the folder holds another run or cannot be written, or training cannot go on.

    Example:
        >>> from coteach import Supervised
        >>> from coteach.models import SmallMobileNet
        >>> import numpy as np
        >>> images, labels = np.random.rand(8, 12, 12).astype("float32"), np.arange(8) % 2
        >>> found = out_of_fold(SmallMobileNet, (images, labels), method=Supervised(), folds=2, epochs=1, batch_size=4)
        >>> found.probs.shape
        (8, 2)
    """
    check_arguments(model_factory=model_factory, method=method, folds=folds, seed=seed, output_dir=output_dir)
    check_arguments(num_classes=options.get("num_classes"))
    data = as_dataset(dataset)
    if not isinstance(data, ImageSet):
        cause = f"is a {type(data).__name__}"
        raise InputError("dataset", cause, "give (images, labels), or a set of images of this package")
    data.check_classes(options.get("num_classes") or data.num_classes)
    data.check_files()

    on_gpu = options.get("device", "auto") in ("auto", "gpu", "cuda") and torch.cuda.is_available()

    def train_fold(part: ImageSubset, folder: Path) -> LabelMethod:
        own = deepcopy(method)
        trained = fit(model_factory, part, method=own, seed=seed, output_dir=folder, **options).method
        return trained.to("cuda" if on_gpu else "cpu")

    with ExitStack() as stack:
        folder = Path(output_dir or stack.enter_context(TemporaryDirectory(prefix="coteach-")))
        return predict_out_of_fold(data, int(folds), train_fold, seed=int(seed), folder=folder)
