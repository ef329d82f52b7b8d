"""The maps of a report: what stands beside what, and where it comes from."""

from __future__ import annotations

import filecmp
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Int16

from coteach.cli.output import warn
from coteach.cli.report_runs import OpenRun, ReportOptions
from coteach.data.scene import SceneImage
from coteach.labels.votes import NO_VOTE
from coteach.legend import Legend
from coteach.methods.base import Method
from coteach.rasters.provenance import recorded_sources
from coteach.report.comparison import RunStyle
from coteach.report.views import (
    ImageView,
    LabelFiles,
    class_panel,
    difference_panel,
    p_soft_panels,
    photo_panel,
    vote_codes,
    w_conf_panel,
)
from coteach.training.scenes import predict_scene


def known_rasters(runs: Sequence[OpenRun], images: Sequence[Path]) -> list[Path]:
    """Whatever may know the names and colours of the classes: references, P_soft, sources."""
    found = [path for run in runs for image in images if (path := run.references.get(image)) is not None]
    soft = [run.labels[image].p_soft for run in runs for image in images if image in run.labels]
    sources = [path for p_soft in soft for path in recorded_sources(p_soft).values()]
    return list(dict.fromkeys([*found, *soft, *sources]))


def label_view(runs: Sequence[OpenRun], image: Path, options: ReportOptions, legend: Legend) -> ImageView:
    """An image, its reference, its sources and its soft labels."""
    owners = [run for run in runs if image in run.windows]
    view = ImageView.of(image, owners[0].windows[image], options.view_size)
    view.add("Image and reference", photo_panel(view, options.bands))
    reference = owners[0].references[image]
    if reference is not None:
        codes = view.codes(reference, len(legend.names))
        view.add("Image and reference", class_panel(f"Reference ({reference.name})", codes, legend))
    labels = list(dict.fromkeys(run.labels[image] for run in owners if image in run.labels))
    _add_sources(view, labels, reference, legend)
    _add_soft_labels(view, labels, legend)
    return view


def _add_sources(
    view: ImageView, labels: Sequence[LabelFiles], reference: Path | None, legend: Legend
) -> None:
    """Each source once, whichever soft labels it voted for; the reference stands elsewhere already."""
    seen = set() if reference is None else {reference.resolve()}
    for files in labels:
        for column, path in recorded_sources(files.p_soft).items():
            if path.resolve() in seen:
                continue
            seen.add(path.resolve())
            if not path.is_file():
                warn(f"{path}: does not exist any more; the source {column} is not shown")
                continue
            codes = view.codes(path, len(legend.names))
            view.add("Sources", class_panel(column.removesuffix("_path"), codes, legend))


def _add_soft_labels(view: ImageView, labels: Sequence[LabelFiles], legend: Legend) -> None:
    """The soft labels of several sources; that of one source shows nothing that the source does not."""
    several = [files for files in labels if len(recorded_sources(files.p_soft)) != 1] or list(labels[:1])
    shown: list[Path] = []
    for files in several:
        which = f" ({files.name})" if len(several) > 1 else ""
        if not any(filecmp.cmp(files.p_soft, other, shallow=False) for other in shown):
            shown.append(files.p_soft)
            for panel in p_soft_panels(view, files.p_soft, legend, which if len(shown) > 1 else ""):
                view.add("Soft label", panel)
        if files.w_conf is not None:
            view.add("Soft label", w_conf_panel(view, files, which))


def add_prediction(
    view: ImageView, run: OpenRun, method: Method, scene: SceneImage, legend: Legend, style: RunStyle
) -> None:
    """Predict the view with a run's method, and show it with what it got wrong."""
    codes = np.full((view.part.height, view.part.width), NO_VOTE, np.int16)
    for part in predict_scene(method, scene, len(legend.names), part=view.part):
        place = part.window._replace(
            row_off=part.window.row_off - view.part.row_off, col_off=part.window.col_off - view.part.col_off
        )
        place.cut(codes)[...] = part.classes
    view.add("Predictions", class_panel(run.name, codes, legend, style.color))
    reference = _reference(view, run, len(legend.names))
    if reference is not None:
        against = "the reference" if run.references.get(view.image) else "argmax of P_soft"
        panel = difference_panel(run.name, codes, reference, style.color)
        view.add(f"Where predictions differ from {against}", panel)


def _reference(view: ImageView, run: OpenRun, num_classes: int) -> Int16[np.ndarray, "h w"] | None:
    """What a run's prediction is held against; None where its data set does not know the image."""
    path = run.references.get(view.image)
    if path is not None:
        return view.codes(path, num_classes)
    return vote_codes(view, run.labels[view.image].p_soft) if view.image in run.labels else None
