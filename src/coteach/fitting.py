"""``coteach.fit``: a method, a network and images in, trained networks out. The machinery is that of every run."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

from torch import Tensor
from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR

from coteach.data.folds import ImageSubset
from coteach.data.image_arrays import ArrayDataset
from coteach.data.image_files import ImageFiles
from coteach.data.image_set import ImageSet
from coteach.data.picture_reader import PictureReader
from coteach.errors import OptionError
from coteach.methods.base import NetworkFactory
from coteach.methods.label_method import LabelMethod
from coteach.report.logs import read_log
from coteach.training.checkpoints import FOLDER, checkpoint_path, load_checkpoint, method_weights
from coteach.training.fit_arguments import check_arguments, check_samples
from coteach.training.fit_checks import check_fit
from coteach.training.fit_identity import identity_of
from coteach.training.fit_result import FitResult
from coteach.training.loader_workers import refuse_in_starting_process
from coteach.training.options import SchedulerOptions, TrainerOptions
from coteach.training.run import TrainingRun, train
from coteach.training.streams import LoaderOptions

_AFTER_SIGTERM = (
    "a call with an output_dir, which stays, goes on from its last checkpoint when called again with it"
)


def fit(
    model_factory: NetworkFactory,
    dataset: Any,
    *,
    method: LabelMethod,
    val: Any = None,
    epochs: int = 10,
    batch_size: int = 128,
    lr: float = 1e-3,
    optimizer: Callable[[Iterable[Tensor]], Optimizer] | None = None,
    scheduler: Callable[[Optimizer], Any] | None = None,
    num_classes: int | None = None,
    seed: int = 0,
    output_dir: str | Path | None = None,
    device: str = "auto",
    num_workers: int = 0,
    keep: Literal["last", "best"] = "last",
    loader: LoaderOptions | None = None,
    options: TrainerOptions | None = None,
    progress: bool = False,
) -> FitResult:
    """Train networks on images with labels that may be wrong.

    Args:
        model_factory: gives a freshly initialised network, ``(B, bands, H, W)`` -> scores ``(B, C)``.
        dataset: ``(images, labels)`` as :class:`ArrayDataset` takes them, or a data set of ``(image, label)`` or of
            ``{"image", "mask"}``; the position of a sample is its id.
        method: what is trained and how, such as ``CoTeaching(CoTeachingConfig(forget_end=0.4, p_start=1, p_end=1))``. It is set up
            anew.
        val: what is validated on after each epoch, given like ``dataset``; None does not validate.
        epochs: >= 1.
        batch_size: samples a batch, >= 1.
        lr: learning rate of AdamW (``fused=True``), > 0; it falls to 0 along a cosine.
        optimizer: parameters -> another optimizer; its rate is then constant without a scheduler. Before a run one more of
            it, of the schedule and of the network is made for each that is trained, to see what they are.
        scheduler: optimizer -> a schedule that is stepped after each epoch: a ``torch.optim.lr_scheduler.LRScheduler``.
        num_classes: ``C``; None takes that of the data set.
        seed: of everything random.
        output_dir: folder for checkpoints and logs; called again with the same arguments, an interrupted run goes on
            there; with more epochs a finished one does, at the rates that a schedule of that length has from there on.
            None leaves nothing behind.
        device: ``auto``, ``cpu``, ``gpu``, ``cuda`` or ``mps``.
        num_workers: processes that load samples. Each runs a script again when it starts: its code must be under
            ``if __name__ == "__main__":``.
        keep: the weights after the ``last`` epoch, or those of the ``best`` balanced accuracy on ``val`` (or what
            ``options.monitor`` names).
        loader: further options of loading; batch size and workers are those above.
        options: further options of training; epochs and device are those above.
        progress: show a progress bar.

    Returns:
        The networks, what they predict, and the figures of every epoch.

    Raises:
        OptionError: an argument is out of range, or the number of classes cannot be told.
        InputError, ConfigError: images, labels and network do not fit each other.
        TrainingError: the folder holds another run, or training cannot go on.

    Example:
        >>> import numpy as np
        >>> from coteach import Supervised, fit
        >>> from coteach.models import SmallMobileNet
        >>> images, labels = np.random.rand(8, 12, 12).astype("float32"), np.arange(8) % 2
        >>> result = fit(SmallMobileNet, (images, labels), method=Supervised(), epochs=1, batch_size=4)
        >>> result.predict(images[:, None]).shape
        (8, 2)
    """
    check_arguments(model_factory=model_factory, method=method, epochs=epochs, batch_size=batch_size, lr=lr)
    check_arguments(optimizer=optimizer, scheduler=scheduler, num_classes=num_classes, seed=seed)
    check_arguments(
        output_dir=output_dir, device=device, num_workers=num_workers, loader=loader, options=options
    )
    _check_keep(keep, validated=val is not None)
    refuse_in_starting_process(num_workers)
    epochs, batch_size, lr, seed = int(epochs), int(batch_size), float(lr), int(seed)  # NumPy's are no JSON
    sets = {"train": as_dataset(dataset)} | ({} if val is None else {"val": as_dataset(val, "val")})
    if scheduler is None and optimizer is None:
        scheduler = partial(CosineAnnealingLR, T_max=epochs)
    with ExitStack() as stack:
        folder = Path(
            stack.enter_context(TemporaryDirectory(prefix="coteach-")) if output_dir is None else output_dir
        )
        run = TrainingRun(
            method=method,
            make_network=model_factory,
            make_optimizer=optimizer or partial(_adamw, lr=lr),
            datasets=sets,
            num_classes=_count_classes(sets["train"], num_classes),
            output_dir=folder,
            seed=seed,
            scheduler=None if scheduler is None else SchedulerOptions(make=scheduler),
            loader=replace(loader or LoaderOptions(), batch_size=batch_size, num_workers=num_workers),
            options=_trainer_options(options, epochs, device, validated=val is not None),
            progress=progress,
            after_sigterm=_AFTER_SIGTERM,
            folder_stays=output_dir is not None,
        )
        if keep == "best":
            _check_best(run)
        made = check_fit(run)
        num_bands = _num_bands(sets["train"])
        run = replace(run, identity=identity_of(run, made, lr=lr))
        train(run)
        _load(run, _kept(run, keep))
        reader = PictureReader.like(sets["train"]) if isinstance(sets["train"], ImageFiles) else None
        return FitResult(
            method,
            read_log(folder).figures,
            None if output_dir is None else folder,
            reader,
            num_bands,
        )


def _check_keep(keep: str, *, validated: bool) -> None:
    if keep not in ("last", "best") or (keep == "best" and not validated):
        cause = "needs val" if keep == "best" else f"{keep!r} is unknown"
        raise OptionError("keep", cause, "give keep='last', or keep='best' and a val")


def _check_best(run: TrainingRun) -> None:
    """Refuse to keep the best of no validation."""
    every, epochs = run.options.check_val_every_n_epoch, run.options.max_epochs
    validated = (run.output_dir / FOLDER / "best.ckpt").is_file()  # by a longer run, which stays as it is
    if epochs is not None and every > epochs and not validated:
        cause = (
            f"'best' needs a validation, and there is none: check_val_every_n_epoch {every}, epochs {epochs}"
        )
        raise OptionError("keep", cause, "lower check_val_every_n_epoch, or train longer")


def _kept(run: TrainingRun, keep: str) -> Path:
    """The checkpoint to keep. How many batches an epoch has, and so whether ``max_steps`` ends before a validation, is seen then."""
    if keep == "best" and not (run.output_dir / FOLDER / "best.ckpt").is_file():
        remedy, cause = "give keep='last'", f"there is no best.ckpt in {run.output_dir / FOLDER}"
        if run.options.max_steps is not None:
            cause, remedy = (
                "'best' needs a validation, and max_steps ended the run before the first",
                f"{remedy}, or more max_steps",
            )
        raise OptionError("keep", cause, remedy)
    return checkpoint_path(run.output_dir, keep)


def _num_bands(dataset: Any) -> int | None:
    """Of images as the networks are shown them: what is done to them may change it."""
    return len(dataset[0]["image"]) if isinstance(dataset, ImageSet | ImageSubset) else None


def _adamw(parameters: Iterable[Tensor], *, lr: float) -> AdamW:
    """In one pass over the weights, where torch has that: several times faster, and the same but for rounding."""
    weights = list(parameters)
    return AdamW(weights, lr=lr, fused=all(weight.is_floating_point() for weight in weights))


def as_dataset(given: Any, option: str = "dataset") -> Any:
    """``(images, labels)`` as an :class:`ArrayDataset`; a data set as it is; else an InputError that names the option."""
    check_samples(given, option)
    return ArrayDataset(*given) if isinstance(given, tuple) else given


def _count_classes(dataset: Any, given: int | None) -> int:
    """``C``: what is said, what the data set knows, or how many names torchvision's ``classes`` lists."""
    names = getattr(dataset, "classes", None)
    found = given if given is not None else getattr(dataset, "num_classes", None)
    if found is None and names is not None:
        found = len(names)
    if found is None or found < 2:
        cause = f"{type(dataset).__name__} does not tell" if found is None else f"{found} is below 2"
        raise OptionError("num_classes", cause, "give the number of classes")
    return int(found)


def _trainer_options(
    given: TrainerOptions | None, epochs: int, device: str, *, validated: bool
) -> TrainerOptions:
    chosen = given or TrainerOptions(log_images=0)
    monitor = chosen.monitor or ("val/BA" if validated else "val/loss")
    return replace(chosen, max_epochs=epochs, accelerator=device, devices=1, monitor=monitor)


def _load(run: TrainingRun, checkpoint: Path) -> None:
    """The kept weights, whether this process has trained them or found them finished."""
    run.method.setup(run.make_network, run.task)
    run.method.load_state_dict(method_weights(load_checkpoint(checkpoint)))
    run.method.eval()
