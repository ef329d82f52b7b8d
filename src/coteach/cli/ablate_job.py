"""All of an ablation: labels, runs, and what is told and written of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from coteach.cli.ablate_labels import build_label_set
from coteach.cli.ablate_page import write_page
from coteach.cli.ablate_references import references
from coteach.cli.ablate_runs import Failure, epochs_of, run_all, variant_config
from coteach.cli.ablate_sources import Sources
from coteach.cli.ablate_table import SPLIT, Comparison, as_dict, border_rows, csv_rows, markdown, text_rows
from coteach.cli.config import RunConfig
from coteach.cli.legends import legend_of, trained_on
from coteach.cli.output import say
from coteach.cli.progress import track
from coteach.cli.targets import TargetResolver
from coteach.cli.variant_runs import Result
from coteach.cli.variants import Variant
from coteach.errors import CoteachError, IncompleteError
from coteach.files import write_json
from coteach.tables import write_table

_RESULTS = "ablation.json"


@dataclass(frozen=True, kw_only=True)
class AblationJob:
    """What is to be compared.

    Args:
        variants: in the order of the table.
        sources: of the labels.
        base: what all runs share.
        folder: gets ``labels``, ``runs`` and the results.
        seeds: of the runs of each variant.
        checkpoint: which one is measured, ``last`` or ``best``.
        allow_target: packages whose objects a configuration may name, too.
    """

    variants: Sequence[Variant]
    sources: Sources
    base: RunConfig
    folder: Path
    seeds: Sequence[int]
    checkpoint: str
    allow_target: Sequence[str]


def work(job: AblationJob) -> Comparison:
    """Build the label sets, train and measure; what fails is told and noted, and the rest goes on."""
    measured = references(job.sources, job.folder)
    splits, failures = _build(job, measured)
    windowed = job.sources.patch_size is not None
    configs = [
        (
            variant,
            variant_config(
                variant, job.base, splits[variant.labels.name], job.folder / "runs", seed, windowed=windowed
            ),
        )
        for seed in job.seeds
        for variant in job.variants
        if variant.labels.name in splits
    ]
    with track(epochs_of(job.base) * len(configs), "epochs") as advance:
        results, failed = run_all(
            configs,
            TargetResolver(job.allow_target),
            checkpoint=job.checkpoint,
            done=_tell_result,
            failed=_tell_failure,
            advance=advance,
        )
    return Comparison(job.variants, results, [*failures, *failed], _class_names(job, measured, configs))


def _class_names(
    job: AblationJob, measured: Mapping[str, Path], configs: Sequence[tuple[Variant, RunConfig]]
) -> list[str]:
    """From the configuration, else from the reference or another map that has them."""
    rasters = [next(iter(measured.values())), *(trained_on(configs[0][1]) if configs else ())]
    return list(legend_of(job.base, rasters).names)


def _build(
    job: AblationJob, measured: Mapping[str, Path]
) -> tuple[dict[str, dict[str, Path]], list[Failure]]:
    """Label set -> split -> table; and the variants whose label set could not be built."""
    splits: dict[str, dict[str, Path]] = {}
    failures = []
    for labels in {variant.labels.name: variant.labels for variant in job.variants}.values():
        try:
            splits[labels.name] = build_label_set(labels, job.sources, job.folder / "labels", measured)
            say(f"labels {labels.name}: {job.folder / 'labels' / labels.name}")
        except CoteachError as error:
            for variant in job.variants:
                if variant.labels.name == labels.name:
                    failures.append(Failure(variant.name, None, str(error)))
                    _tell_failure(failures[-1])
    return splits, failures


def _tell_result(result: Result) -> None:
    accuracy = result.accuracy[SPLIT]
    figures = f"mIoU {accuracy.mean_iou:.3f}   OA {accuracy.overall:.3f}   {result.seconds:6.1f} s"
    say(f"{result.variant:12} seed {result.seed}   {figures}")


def _tell_failure(failure: Failure) -> None:
    click.echo(f"Failed: {failure}", err=True)


def finish(job: AblationJob, comparison: Comparison, *, report: bool) -> None:
    """Print the tables and write the files.

    Args:
        job: what was asked for.
        comparison: what came out.
        report: whether to write the page.

    Raises:
        IncompleteError: something failed; all that succeeded is written.
    """
    job.folder.mkdir(parents=True, exist_ok=True)
    written: list[Path] = []
    if comparison.results or not (job.folder / _RESULTS).exists():  # what is there is more than nothing
        written.append(job.folder / _RESULTS)
        write_json(written[0], as_dict(comparison))
    if comparison.results:
        say(f"\n{markdown(text_rows(comparison))}\n")
        if comparison.pairs:
            say(f"{markdown(border_rows(comparison))}\n")
        rows = csv_rows(comparison)
        written.append(job.folder / "ablation.csv")
        write_table(written[-1], list(rows[0]), rows)
        if report:
            written += write_page(comparison, job.folder, job.checkpoint, job.allow_target)
    if written:
        say(f"written: {', '.join(map(str, written))}")
    if comparison.failures:
        lost = dict.fromkeys(failure.variant for failure in comparison.failures)
        cause = f"{', '.join(lost)} failed"
        raise IncompleteError(str(job.folder), cause, "see the messages above, and run it again")
