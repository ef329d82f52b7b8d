"""``coteach audit`` of the labels of images."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coteach.cli.audit_tables import TABLE, paths_of, refuse_edited, write_tables
from coteach.cli.output import detail, say, warn
from coteach.cli.progress import shows_progress, track
from coteach.errors import InputError, TrainingError

if TYPE_CHECKING:
    import numpy as np

    from coteach.cli.config import RunConfig
    from coteach.cli.targets import TargetResolver
    from coteach.report.audit_page import Suspect
    from coteach.report.label_audit import LabelAudit
    from coteach.training.out_of_fold import OutOfFold

_PAGE = "audit.html"


def audit_images(
    run_dir: Path, folder: Path, top: int, allow_target: tuple[str, ...], *, folds: int | None
) -> None:
    """Audit the labels that a run was trained on.

    Args:
        run_dir: the run.
        folder: where table, page and figures go.
        top: pictures in the gallery.
        allow_target: packages that configurations may name too.
        folds: train as many times as the run was, each without one fold, for probabilities out of fold; None does not.

    Raises:
        ConfigError: the folder is no run, or its images are not where they were.
        InputError: the training set is another one than that of the run, or the folder holds labels corrected by hand.
        OptionError: the folder cannot be written.
        TrainingError: the run has recorded nothing and there are no folds, or Ctrl-C was pressed while they were trained.
    """
    from coteach.cli.evaluate import dataset_node
    from coteach.cli.legends import legend_of
    from coteach.cli.runs import CONFIG_FILE, config_of
    from coteach.cli.targets import TargetResolver
    from coteach.cli.writable import check_writable_folder
    from coteach.training.history_recording import find_history, read_history

    config = config_of(run_dir)
    resolver = TargetResolver(allow_target)
    history = read_history(run_dir) if folds is None else find_history(run_dir)
    check_writable_folder(folder, f"--output-dir {folder}")
    refuse_edited(folder)
    node = dataset_node(config, "train_dataset", str(run_dir / CONFIG_FILE))
    dataset = resolver.build(node, "dataset", "train_dataset")
    names = list(config.class_names or getattr(dataset, "class_names", None) or legend_of(config).names)
    if history is not None:
        _check_same(dataset, history["label"], run_dir, names)
    _warn_of_exchanged(dataset, run_dir)
    outside = None if folds is None else _out_of_fold(config, resolver, folds, folder)
    found = _estimate(history, outside)
    folder.mkdir(parents=True, exist_ok=True)
    write_tables(folder, found, dataset, names, {"folds": folds})
    facts = [("method", str(config.method.get("name", "")))]
    facts += [] if folds is None else [("out of fold", f"{folds} folds")]
    _write_page(folder, run_dir, found, names, _gallery(dataset, found, top), facts, folds)
    _tell(run_dir, found, None if history is None else int(history["epoch"].max()) + 1)
    say(f"written: {folder / _PAGE}")


def _estimate(history: dict[str, np.ndarray] | None, outside: OutOfFold | None) -> LabelAudit:
    from coteach.report.audit import audit_history, audit_probs

    if history is not None:
        return audit_history(history, None if outside is None else outside.probs)
    assert outside is not None  # a run with neither was refused
    return audit_probs(outside.probs, outside.labels)


def _tell(run_dir: Path, found: LabelAudit, epochs: int | None) -> None:
    from coteach.training.history_recording import HISTORY_FILE

    count = len(found.ranked())
    say(f"{found.noise_rate:.1%} of {count} labels are probably wrong; {TABLE} lists them first")
    if found.caution:
        warn(found.caution)
    if epochs is None:
        warn(f"{run_dir} has recorded no history of its labels: judged by the folds alone")
    elif not (run_dir / HISTORY_FILE).is_file():
        warn(
            f"{run_dir} has no {HISTORY_FILE}, as of a run that has not ended: judged by its last checkpoint, of epoch {epochs}"
        )


def _out_of_fold(config: RunConfig, resolver: TargetResolver, folds: int, folder: Path) -> OutOfFold:
    """Train what is not trained yet, in ``folder/{folds}_folds``."""
    from coteach.cli.devices import prepared_device
    from coteach.cli.runs import build_run
    from coteach.training.out_of_fold import check_like, predict_out_of_fold, train_like

    run = build_run(config, resolver, progress=shows_progress())
    train_fold = train_like(run, prepared_device("auto"))
    try:
        return predict_out_of_fold(
            run.datasets["train"],
            folds,
            train_fold,
            seed=run.seed,
            folder=folder,
            begin=lambda fold: detail(f"fold {fold + 1} of {folds}"),
            check=check_like(run),
        )
    except KeyboardInterrupt as pressed:
        remedy = "the same command goes on with the fold that was interrupted"
        raise TrainingError(str(folder), "stopped by Ctrl-C", remedy) from pressed


def _write_page(
    folder: Path,
    run_dir: Path,
    found: LabelAudit,
    names: list[str],
    suspects: list[Suspect],
    facts: list[tuple[str, str]],
    folds: int | None,
) -> None:
    from coteach.files import write_text
    from coteach.report.audit_page import AuditPage, render_audit
    from coteach.report.templating import count_text

    page = AuditPage(
        title=f"Labels of {run_dir.resolve().name}",
        audit=found,
        names=names,
        suspects=suspects,
        facts=[
            ("labels", count_text(len(found.ranked()))),
            ("probably wrong", count_text(round(found.noise_rate * len(found.ranked())))),
            ("networks agree with", f"{found.followed:.0%} of the labels"),
            *facts,
        ],
        table=TABLE,
        command=shlex.join(["coteach", *sys.argv[1:]]),
        folds=folds,
    )
    write_text(folder / _PAGE, render_audit(page))


def _check_same(dataset: Any, recorded: np.ndarray, run_dir: Path, names: list[str]) -> None:
    """Refuse to show other images than those the history is of.

    Raises:
        InputError: the training set has become another one.
    """
    from coteach.data.image_set import ImageSet

    remedy = "restore the data that the run was trained on, or train again"
    if len(dataset) != len(recorded):
        cause = f"has {len(dataset)} images, the history of {run_dir} has {len(recorded)}"
        raise InputError("train_dataset", cause, remedy)
    if not isinstance(dataset, ImageSet):
        return
    labels = dataset.labels.hard()
    other = (labels >= 0) & (recorded >= 0) & (labels != recorded)
    if other.any():
        first = int(other.argmax())
        cause = (
            f"of {len(labels)} labels {other.sum()} are not those in the history of {run_dir}: {dataset.place(first)} is "
            f"{_named(names, int(labels[first]))}, there image {first} is {_named(names, int(recorded[first]))}"
        )
        raise InputError("train_dataset", cause, remedy)


def _warn_of_exchanged(dataset: Any, run_dir: Path) -> None:
    """Tell of images that are not as they were when the run was trained."""
    from coteach.data.image_set import ImageSet
    from coteach.training.state import read_state

    trained_on = read_state(run_dir).get("identity", {}).get("train_dataset", {}).get("content")
    if isinstance(dataset, ImageSet) and trained_on not in (None, dataset.fingerprint()):
        warn(
            f"train_dataset: names, sizes or times of the images are not those when {run_dir} was trained; if images "
            "were exchanged, the audit names wrong ones"
        )


def _named(names: list[str], code: int) -> str:
    """Classes may be fewer now than the history has."""
    return repr(names[code]) if code < len(names) else f"class {code}"


def _gallery(dataset: Any, found: LabelAudit, top: int) -> list[Suspect]:
    from coteach.report.audit_page import Suspect, suspect

    chosen, paths = found.ranked()[:top].tolist(), paths_of(dataset)
    shown = []
    with track(len(chosen), "pictures") as advance:
        for item in chosen:
            path = paths.get(item, "")
            try:
                shown.append(suspect(item, dataset.plain(item)["image"].numpy(), path))
            except InputError as error:  # a picture that is gone is worth no failure
                shown.append(Suspect(item, path, "", error.cause))
            advance()
    return shown
