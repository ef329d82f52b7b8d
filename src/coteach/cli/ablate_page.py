"""The page of an ablation, and its figure by itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean

from coteach.cli.ablate_labels import REFERENCE
from coteach.cli.ablate_table import Comparison, border_rows, text_rows
from coteach.cli.report_page import make_report
from coteach.cli.report_runs import ReportOptions
from coteach.cli.variant_table import spelled
from coteach.files import write_text
from coteach.report.comparison import RunStyle
from coteach.report.spread import Summary, dot_chart, draw_dots

_NOTE = (
    "One dot a run, that is a seed; the bar is their mean, the line one standard deviation of a sample to either side. "
    "Deviations are between trainings on the same pixels: between places they are larger."
)


def write_page(
    comparison: Comparison, folder: Path, checkpoint: str, allow_target: Sequence[str]
) -> list[Path]:
    """Write ``report.html`` and ``ablation.svg``.

    Args:
        comparison: with at least one result.
        folder: gets both.
        checkpoint: which one was measured.
        allow_target: packages whose objects a configuration may name, too.

    Returns:
        The files.
    """
    variants = comparison.measured
    styles = [RunStyle.of(index) for index in range(len(variants))]
    scores = {variant.name: comparison.figures["mIoU"][variant.name] for variant in variants}
    chart = dot_chart("mIoU on the test split", scores, [style.color for style in styles])
    write_text(folder / "ablation.svg", draw_dots(chart))
    shown = [next(r for r in comparison.results if r.variant == variant.name) for variant in variants]
    tables = [
        ("Mean ± standard deviation over the runs", text_rows(comparison)),
        ("With and without class borders in the weights", border_rows(comparison)),
    ]
    several = len(comparison.results) > len(shown)
    page = make_report(
        [result.folder for result in shown],
        ReportOptions(checkpoint=checkpoint, reference_key=REFERENCE),
        allow_target=allow_target,
        names=[result.variant for result in shown],
        title=f"{len(variants)} variants compared",
        remark="Below the summary one run of each variant is shown, the first." if several else "",
        summary=Summary("All runs", _lead(scores), _NOTE, chart, tables),
    )
    write_text(folder / "report.html", page)
    return [folder / "ablation.svg", folder / "report.html"]


def _lead(scores: Mapping[str, Sequence[float]]) -> str:
    """Which variant is highest in the mean over its runs."""
    best = max(scores, key=lambda name: mean(scores[name]))
    runs = len(scores[best])
    return f"{best} has the highest mIoU, {spelled(scores[best])} ({runs} run{'s' * (runs > 1)})."
