"""A training run in a folder: starts, resumes, or finds itself already finished."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import Logger
from torchmetrics import Metric

from coteach.data.worker_memory import freed_memory_kept
from coteach.errors import CoteachWarning, TrainingError
from coteach.files import remove_leftovers, write_text
from coteach.legend import Legend
from coteach.methods.base import Method, NetworkFactory, TaskInfo
from coteach.methods.detection_teacher import DetectionTeacher
from coteach.methods.label_method import LabelMethod
from coteach.training.checkpoints import FOLDER, load_checkpoint, method_weights, refuse_to_go_on
from coteach.training.epoch_lines import EpochLines
from coteach.training.figures import best_mode, validation_metrics
from coteach.training.history_recording import HISTORY_FILE, HistoryRecording
from coteach.training.interrupts import heeding_interrupts
from coteach.training.loss_guard import BAD_BATCH_FILE
from coteach.training.module import MethodModule, OptimizerFactory
from coteach.training.options import SchedulerOptions, TrainerOptions
from coteach.training.panels import ImagePanels
from coteach.training.quiet import quiet_lightning
from coteach.training.selection_truth import SelectionTruth
from coteach.training.state import read_state, refuse_another, write_state
from coteach.training.streams import LoaderOptions, refuse_no_batch
from coteach.training.teacher_panels import TeacherPanels
from coteach.training.trainer import make_trainer


@dataclass(frozen=True, kw_only=True)
class TrainingRun:
    """Everything that a run needs.

    Args:
        method: not yet set up.
        make_network: gives a freshly initialised network.
        make_optimizer: parameters -> optimizer.
        datasets: source name -> data set; ``train`` is required, ``val`` is validated on.
        num_classes: ``C``.
        output_dir: folder of the run; made if it is not there.
        seed: seed of everything random.
        scheduler: learning-rate schedule or None.
        loader: how samples are loaded.
        options: length, precision and so on.
        metrics: name -> figure of validation beside the method's own.
        identity: plain data that decides the result; a folder with another one is not resumed.
        files: name -> text, written into the folder when the run starts (its configuration).
        loggers: Lightning's loggers beside those for CSV and TensorBoard.
        legend: colours of the classes in the log's pictures; None means the palette.
        progress: show a progress bar.
        tell: called with a line on each epoch.
        after_epoch: called when an epoch has been trained.
        after_sigterm: what who has stopped it is told: how it goes on.
        folder_stays: False: it is deleted after the run, so no message speaks of files in it.
    """

    method: Method
    make_network: NetworkFactory
    make_optimizer: OptimizerFactory
    datasets: Mapping[str, Any]
    num_classes: int
    output_dir: Path
    seed: int = 0
    scheduler: SchedulerOptions | None = None
    loader: LoaderOptions = field(default_factory=LoaderOptions)
    options: TrainerOptions = field(default_factory=TrainerOptions)
    metrics: Mapping[str, Metric] = field(default_factory=dict)
    identity: Mapping[str, Any] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    loggers: Sequence[Logger] = ()
    legend: Legend | None = None
    progress: bool = False
    tell: Callable[[str], None] | None = None
    after_epoch: Callable[[], None] | None = None
    after_sigterm: str = "the same command goes on from its last checkpoint"
    folder_stays: bool = True

    @property
    def task(self) -> TaskInfo:
        """What the method may know of the task."""
        return TaskInfo(num_classes=self.num_classes, num_items=len(self.datasets["train"]), seed=self.seed)


def train(run: TrainingRun) -> Path:
    """Train; if the folder holds a shorter run of the same identity, go on where it was.

    Args:
        run: what to do.

    Returns:
        The last checkpoint.

    Raises:
        TrainingError: the folder holds another run or cannot be written, or training cannot go on.
        ConfigError: an option of the trainer cannot be had on this computer, the monitored figure is unknown, or there
            is no full batch.
        SystemExit: SIGTERM came.
    """
    last = run.output_dir / FOLDER / "last.ckpt"
    state = read_state(run.output_dir)
    reached: dict[str, Any] = {"epochs": 0, "batches_seen": 0, "seconds": 0.0}
    weights: Mapping[str, torch.Tensor] | None = None
    if last.is_file():
        refuse_another(run.output_dir, state, run.identity)
        content = load_checkpoint(last)
        reached = content["coteach"]
        weights = {
            name: value.to("meta") for name, value in method_weights(content).items()
        }  # names and shapes
        del content
    enough = run.options.is_reached(reached["epochs"], reached["batches_seen"])
    facts = _facts(run)
    if enough or reached.get("stopped_early", False):
        _warn_of_other_length(run, reached["epochs"], early=not enough)
        _write_files(run)  # names and colours of classes may be others
        if not state.get("finished"):  # killed between the last checkpoint and this note
            write_state(run.output_dir, facts | {"finished": True, "seconds": reached["seconds"]})
        return last
    run.method.setup(run.make_network, run.task)  # before anything is written: the network may be refused
    if weights is not None:
        refuse_to_go_on(last, reached, weights, run.method.state_dict())
    with quiet_lightning():
        module = _module(run, reached["seconds"])
        trainer = make_trainer(
            run.output_dir,
            run.options,
            seed=run.seed,
            best=best_mode(run.options, module.val_metrics) if "val" in run.datasets else None,
            progress=run.progress,
            after_epoch=run.after_epoch,
            loggers=run.loggers,
            listeners=_listeners(run),
        )
        refuse_no_batch(run.method.streams(0), run.datasets, run.loader, world_size=trainer.world_size)
        if trainer.is_global_zero:
            _claim(run, facts | {"finished": False, "seconds": reached["seconds"]})
            (run.output_dir / BAD_BATCH_FILE).unlink(missing_ok=True)  # of an earlier start
        on_cpu = (
            trainer.strategy.root_device.type == "cpu"
        )  # elsewhere the networks' numbers are not in this memory
        called = str(run.output_dir) if run.folder_stays else "coteach.fit"
        with heeding_interrupts(called, run.after_sigterm), freed_memory_kept(wanted=on_cpu):
            trainer.fit(module, ckpt_path=str(last) if last.is_file() else None, weights_only=True)
    if trainer.is_global_zero:
        write_state(run.output_dir, facts | {"finished": True, "seconds": module.seconds})
    return last


def _warn_of_other_length(run: TrainingRun, epochs: int, *, early: bool) -> None:
    """Tell that a run is longer already than it was asked to be, or has ended before."""
    limit = run.options.epoch_limit
    cause = ""
    if early:
        cause = f"was ended by early_stop_patience after {epochs} epochs and stays as it is; to train longer, give another folder"
    elif limit is not None and epochs > limit:
        cause = f"has {epochs} epochs already; asked for {limit}, it stays as it is"
    if cause:
        warnings.warn(f"{run.output_dir}: {cause}", CoteachWarning, stacklevel=4)  # past train and fit


def _listeners(run: TrainingRun) -> list[Callback]:
    """Lines on epochs, pictures of validation and of pseudo boxes, the labels' history, what of the selected ones is right."""
    listeners: list[Callback] = []
    if run.tell is not None:
        listeners.append(EpochLines(run.tell, run.options.monitored))
    if "val" in run.datasets and run.options.log_images > 0:
        legend = run.legend or Legend.of(run.num_classes)
        listeners.append(ImagePanels(run.datasets["val"], legend, run.options.log_images))
    if isinstance(run.method, LabelMethod) and run.options.record_history is not False:
        listeners.append(
            HistoryRecording(
                run.method, run.task, wanted=run.options.record_history, file=run.output_dir / HISTORY_FILE
            )
        )
    if (
        isinstance(run.method, DetectionTeacher)
        and "unlabelled" in run.datasets
        and run.options.log_images > 0
    ):
        unlabelled = run.datasets["unlabelled"]
        listeners.append(TeacherPanels(run.method, unlabelled, run.output_dir, run.options.log_images))
    right = getattr(run.datasets["train"], "right_labels", None)
    if isinstance(run.method, LabelMethod) and right is not None:
        known = torch.as_tensor(right, dtype=torch.int8)
        listeners.append(SelectionTruth(run.method, known, run.task.num_items))
    return listeners


def _module(run: TrainingRun, seconds: float) -> MethodModule:
    return MethodModule(
        method=run.method,
        metrics=validation_metrics(run.method, run.metrics),
        datasets=run.datasets,
        make_optimizer=run.make_optimizer,
        scheduler=run.scheduler,
        loader=run.loader,
        options=run.options,
        task=_task_facts(run),
        seed=run.seed,
        bad_batch_file=run.output_dir / BAD_BATCH_FILE if run.folder_stays else None,
        seconds=seconds,
    )


def _task_facts(run: TrainingRun) -> dict[str, int | None]:
    return {
        "num_bands": getattr(run.datasets["train"], "num_bands", None),
        "num_items": run.task.num_items,
        "num_classes": run.num_classes,
    }


def _facts(run: TrainingRun) -> dict[str, Any]:
    """What ``run.json`` says of a run whatever its state."""
    return {
        "identity": run.identity,
        "method": run.method.name,
        "seed": run.seed,
        **_task_facts(run),
    }


def _claim(run: TrainingRun, state: Mapping[str, Any]) -> None:
    """Make the folder and write what the run is; nothing is left if that fails."""
    made = [folder for folder in (run.output_dir, *run.output_dir.parents) if not folder.exists()]
    try:
        run.output_dir.mkdir(parents=True, exist_ok=True)
        for folder in (run.output_dir, run.output_dir / FOLDER):
            if folder.is_dir():
                remove_leftovers(folder)
        _write_files(run)
        write_state(run.output_dir, state)
    except OSError as error:
        if made:
            shutil.rmtree(made[-1], ignore_errors=True)
        cause = f"cannot be written ({error.strerror or error})"
        raise TrainingError(str(run.output_dir), cause, "choose another output_dir") from error


def _write_files(run: TrainingRun) -> None:
    for name, text in run.files.items():
        write_text(run.output_dir / name, text)
