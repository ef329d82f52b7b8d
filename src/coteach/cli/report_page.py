"""Opened runs -> the page: each is measured, and its maps stand beside what it learned from."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from coteach.cli.legends import legend_of
from coteach.cli.progress import track
from coteach.cli.report_maps import add_prediction, known_rasters, label_view
from coteach.cli.report_runs import OpenRun, ReportOptions, open_runs
from coteach.cli.targets import TargetResolver
from coteach.report.comparison import MeasuredRun, RunStyle
from coteach.report.figure_sets import IMAGES, MAPS
from coteach.report.page import Report, render
from coteach.report.spread import Summary
from coteach.report.templating import count_text


def make_report(
    folders: Sequence[Path],
    options: ReportOptions,
    *,
    allow_target: Sequence[str] = (),
    names: Sequence[str] | None = None,
    title: str | None = None,
    remark: str = "",
    summary: Summary | None = None,
) -> str:
    """Measure and show runs.

    Args:
        folders: of the runs.
        options: what is shown of them.
        allow_target: packages whose objects a configuration may name, too.
        names: one a run; None calls them by their folders.
        title: heading of the page; None says what it is.
        remark: what is to be said about this comparison; may be empty.
        summary: of several runs of each variant; None if there is none.

    Returns:
        The page, HTML.

    Raises:
        CoteachError: a run or its data cannot be used; see :func:`open_runs`.
    """
    resolver = TargetResolver(allow_target)
    runs = open_runs(folders, options, resolver, names)
    images = list(dict.fromkeys(image for run in runs for image in run.windows))
    shown = images[: options.max_tiles]
    legend = legend_of(runs[0].config, known_rasters(runs, shown))
    with track(len(runs) * (1 + len(shown)) + len(shown), "report") as advance:
        views = []
        for image in shown:
            views.append(label_view(runs, image, options, legend))
            advance()
        measured = []
        for index, run in enumerate(runs):
            method = run.trained(resolver)
            measured.append(run.measured(method, options, resolver))
            advance()
            for view in views:
                add_prediction(view, run, method, run.scene(view.image, resolver), legend, RunStyle.of(index))
                advance()
    return render(
        Report(
            title=title or (f"{len(runs)} runs compared" if len(runs) > 1 else f"Run {runs[0].name}"),
            runs=measured,
            legend=legend,
            views=views,
            facts=_facts(runs, measured, options),
            remark=remark,
            warning=_warning(runs, measured),
            images=len(images),
            figure_set=IMAGES if runs[0].num_images else MAPS,
            summary=summary,
            command=shlex.join(["coteach", *sys.argv[1:]]),
        )
    )


def _facts(
    runs: Sequence[OpenRun], measured: Sequence[MeasuredRun], options: ReportOptions
) -> list[tuple[str, str]]:
    counted = count_text(int(measured[0].accuracy.confusion.sum()))
    if runs[0].num_images:
        return [
            ("data set", options.dataset),
            ("images", count_text(runs[0].num_images)),
            ("images counted", counted),
            ("reference", "the data set's labels"),
            ("checkpoints", options.checkpoint),
        ]
    windows = sum(len(listed) for listed in runs[0].windows.values())
    images = len(runs[0].windows)
    reference = "argmax of each run's P_soft"
    if options.reference is not None:
        reference = options.reference.name
    elif options.reference_key is not None:
        reference = f"column {options.reference_key}"
    return [
        ("data set", options.dataset),
        ("images", f"{count_text(images)} ({count_text(windows)} windows)"),
        ("pixels counted", counted),
        ("reference", reference),
        ("checkpoints", options.checkpoint),
    ]


def _warning(runs: Sequence[OpenRun], measured: Sequence[MeasuredRun]) -> str:
    """What makes the runs hard to compare: they are not measured on the same pixels and classes."""
    items = "images" if runs[0].num_images else "pixels"
    first = measured[0].accuracy.confusion.sum(1)
    for run, other in zip(runs, measured, strict=True):
        if run.windows != runs[0].windows or not np.array_equal(other.accuracy.confusion.sum(1), first):
            return (
                f"{run.name} is not measured on the {items} and reference classes of {runs[0].name}: figures of such "
                "runs do not compare. Give them the same data set and --reference."
            )
    return ""
