"""The page of runs whose labels are boxes: measured, or as ``coteach evaluate`` has measured them."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from coteach.cli.config import RunConfig
from coteach.cli.evaluate import dataset_node, refuse_reference
from coteach.cli.evaluate_boxes import curves_beside, measure_boxes
from coteach.cli.legends import legend_of
from coteach.cli.progress import track
from coteach.cli.report_runs import ReportOptions
from coteach.cli.runs import CONFIG_FILE, config_of, finds_boxes, load_trained
from coteach.cli.targets import TargetResolver
from coteach.errors import ConfigError
from coteach.legend import Legend
from coteach.report.box_accuracy import distinct
from coteach.report.box_page import BoxReport, render_boxes
from coteach.report.box_runs import BoxRun
from coteach.report.comparison import unique_names
from coteach.report.logs import read_log
from coteach.report.pictures import data_uri
from coteach.report.templating import count_text
from coteach.report.views import Panel
from coteach.training.checkpoints import checkpoint_path
from coteach.training.state import read_state
from coteach.training.teacher_panels import KEPT, PICTURES_FOLDER, PICTURES_LIST, REFUSED, TRUE

_FIGURES = "evaluation.json"


def are_of_boxes(folders: Sequence[Path]) -> bool:
    """Whether the runs have boxes for labels.

    Raises:
        ConfigError: some have, some have not; or a folder is no run.
    """
    kinds = [finds_boxes(config_of(folder)) for folder in folders]
    if any(kinds) and not all(kinds):
        one, other = folders[kinds.index(True)], folders[kinds.index(False)]
        cause = f"has boxes for labels, {other} has not"
        raise ConfigError(str(one), cause, "report runs of one kind together")
    return all(kinds)


def make_box_report(
    folders: Sequence[Path], options: ReportOptions, *, allow_target: Sequence[str] = ()
) -> str:
    """Measure and show runs.

    Args:
        folders: of the runs.
        options: what is shown of them: the data set, the checkpoint and how many pictures.
        allow_target: packages whose objects a configuration may name, too.

    Returns:
        The page, HTML.

    Raises:
        CoteachError: a run or its data cannot be used, or the runs have different classes.
    """
    refuse_reference(options.reference, options.reference_key)
    resolver = TargetResolver(allow_target)
    configs = [config_of(folder) for folder in folders]
    legend = _common_legend(folders, configs, options)
    names = unique_names(folders)
    with track(len(folders), "report") as advance:
        runs = []
        for folder, name, config in zip(folders, names, configs, strict=True):
            runs.append(_run(folder, name, config, legend, options, resolver))
            advance()
    return render_boxes(
        BoxReport(
            title=f"{len(runs)} runs compared" if len(runs) > 1 else f"Run {runs[0].name}",
            runs=runs,
            legend=legend,
            signs=[
                ("kept", KEPT),
                ("refused: not sure enough", REFUSED),
                ("true, where the data set knows it", TRUE),
            ],
            facts=[
                ("data set", options.dataset),
                ("images", count_text(runs[0].figures["images"])),
                ("boxes", count_text(runs[0].figures["boxes"])),
                ("checkpoints", options.checkpoint),
            ],
            warning=_warning(runs),
            command=shlex.join(["coteach", *sys.argv[1:]]),
        )
    )


def _common_legend(folders: Sequence[Path], configs: Sequence[RunConfig], options: ReportOptions) -> Legend:
    """The classes of all runs; each must have the data set and the checkpoint, before anything is measured."""
    legend = _legend(configs[0])
    for folder, config in zip(folders, configs, strict=True):
        dataset_node(config, options.dataset, str(folder / CONFIG_FILE))
        checkpoint_path(folder, options.checkpoint)
        names = _legend(config).names
        if names != legend.names:
            cause = f"has the classes {', '.join(names)}, {folders[0]} has {', '.join(legend.names)}"
            raise ConfigError(str(folder), cause, "report runs of the same classes together")
    return legend


def _legend(config: RunConfig) -> Legend:
    """Names as the figures have them, and colours."""
    found = legend_of(config)
    names = config.class_names or [f"class {label}" for label in range(config.num_classes)]
    return Legend(tuple(distinct(names)), found.colors)


def _run(
    folder: Path,
    name: str,
    config: RunConfig,
    legend: Legend,
    options: ReportOptions,
    resolver: TargetResolver,
) -> BoxRun:
    figures, curves = _known_figures(folder, options) or _measured(folder, config, legend, options, resolver)
    epoch, pictures = _pictures(folder, options.max_tiles)
    return BoxRun(
        name=name,
        folder=folder,
        method=config.method,
        figures=figures,
        pr_curves=curves,
        log=read_log(folder),
        state=read_state(folder),
        config=(folder / CONFIG_FILE).read_text(encoding="utf-8"),
        pictures=pictures,
        pictures_epoch=epoch,
    )


def _known_figures(folder: Path, options: ReportOptions) -> tuple[Any, Any] | None:
    """What ``coteach evaluate`` has written, if that is of this data set and of this checkpoint as it is now."""
    file = folder / _FIGURES
    curves = curves_beside(file)
    if not (file.is_file() and curves.is_file()):
        return None
    weights = checkpoint_path(folder, options.checkpoint)
    if min(file.stat().st_mtime, curves.stat().st_mtime) < weights.stat().st_mtime:
        return None
    try:
        figures, lines = (json.loads(path.read_text(encoding="utf-8")) for path in (file, curves))
    except ValueError:  # damaged: measured again
        return None
    asked = {"dataset": options.dataset, "checkpoint": options.checkpoint}
    if not isinstance(figures, dict) or {key: figures.get(key) for key in asked} != asked:
        return None
    return (figures, lines) if {"AP", "classes", "images", "boxes"} <= figures.keys() else None


def _measured(
    folder: Path, config: RunConfig, legend: Legend, options: ReportOptions, resolver: TargetResolver
) -> tuple[dict[str, Any], dict[str, Any]]:
    node = dataset_node(config, options.dataset, str(folder / CONFIG_FILE))
    dataset = resolver.build(node, "dataset", options.dataset)
    method = load_trained(config, resolver, checkpoint_path(folder, options.checkpoint))
    accuracy = measure_boxes(method, dataset, class_names=config.class_names)
    return accuracy.as_dict(legend.names), accuracy.curves(legend.names)


def _pictures(folder: Path, most: int) -> tuple[int, list[Panel]]:
    """The pictures of pseudo boxes that training has left, and after which epoch, counted from 1."""
    place = folder / PICTURES_FOLDER
    try:
        content = json.loads((place / PICTURES_LIST).read_text(encoding="utf-8"))
        panels = []
        for one in content["pictures"][:most]:
            with Image.open(place / one["file"]) as picture:
                panels.append(Panel(_caption(one), data_uri(picture), photo=True))
        return content["epoch"] + 1, panels
    except (FileNotFoundError, ValueError, KeyError):  # not drawn, or the files of a run that was cut off
        return 0, []


def _caption(one: Mapping[str, Any]) -> str:
    true = "" if one["true"] is None else f", {one['true']} true"
    return f"{one['image']}: {one['kept']} kept, {one['refused']} refused{true}"


def _warning(runs: Sequence[BoxRun]) -> str:
    for run in runs:
        if any(run.figures[key] != runs[0].figures[key] for key in ("images", "boxes")):
            return (
                f"{run.name} is not measured on the images of {runs[0].name}: figures of such runs do not compare. "
                "Give them the same data set."
            )
    return ""
