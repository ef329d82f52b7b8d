"""``coteach predict`` for runs that make maps."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from coteach.cli.incomplete import incomplete
from coteach.cli.output import SHOWN, detail, print_failures, say, warn
from coteach.cli.progress import track

if TYPE_CHECKING:
    import torch

    from coteach.training.scene_job import SceneJob, SceneReport
    from coteach.training.scenes import SceneOptions


def predict_maps(
    run_dir: Path,
    checkpoint: str,
    sources: tuple[Path, ...],
    output_dir: Path,
    options: SceneOptions,
    *,
    device: torch.device,
    image_key: str,
    allow_target: tuple[str, ...],
) -> None:
    """Class maps of scenes.

    Args:
        run_dir: folder of the run.
        checkpoint: ``best``, ``last`` or a file.
        sources: rasters, folders and tables.
        output_dir: gets the maps.
        options: windows.
        device: where the networks run.
        image_key: column of tables.
        allow_target: packages allowed in the configuration.

    Raises:
        IncompleteError: a scene failed; the others are done.
        CoteachError: the run, the sources or the options cannot be used.
    """
    from coteach.data.scene_files import find_scenes
    from coteach.training.scene_job import predict_scenes

    found = find_scenes(sources, image_key)
    job = scene_job(run_dir, checkpoint, output_dir, options, device, allow_target)
    report = predict_scenes(found, job, track, detail)
    _print(report)
    if report.failures:
        raise incomplete(output_dir, len(report.failures), len(found), "scenes", report.table)


def scene_job(
    run_dir: Path,
    checkpoint: str,
    output_dir: Path,
    options: SceneOptions,
    device: torch.device,
    allow_target: tuple[str, ...],
) -> SceneJob:
    """The trained model, and the preprocessing that it was trained with.

    Raises:
        CoteachError: the run's configuration or checkpoint is missing or damaged.
    """
    from coteach.cli.legends import legend_of, trained_on
    from coteach.cli.runs import config_of, load_trained
    from coteach.cli.targets import TargetResolver
    from coteach.cli.transforms import transforms_of
    from coteach.rasters.fingerprint import stamps
    from coteach.training.checkpoints import checkpoint_path
    from coteach.training.scene_job import SceneJob

    config = config_of(run_dir)
    weights = checkpoint_path(run_dir, checkpoint)
    resolver = TargetResolver(allow_target)
    node = config.train_dataset
    shown = {key: node.get(key) for key in ("image_scale", "augmentation_list")}
    return SceneJob(
        method=load_trained(config, resolver, weights).to(device),
        legend=legend_of(config, trained_on(config)),
        output_dir=output_dir,
        options=options,
        image_scale=node.get("image_scale"),
        augmentation_list=transforms_of(config, resolver),
        made_by={
            "checkpoint": stamps([weights.resolve()]),
            "method": config.method,
            "model": config.model,
            **shown,
        },
    )


def _print(report: SceneReport) -> None:
    counts = (
        f"{len(report.made)} predicted, {len(report.up_to_date)} up to date, {len(report.failures)} failed"
    )
    without_data = f" ({len(report.empty)} without data)" if report.empty else ""
    say(f"scenes: {counts}{without_data}: {report.table}")
    if report.nowhere:
        warn(
            f"no coordinate reference system: {_listed(report.nowhere)}; the maps have no place on earth either"
        )
    if report.empty:
        cause = f"no data anywhere (NoData, mask, or NaN): {_listed(report.empty)}"
        warn(
            f"{cause}; their maps are NoData throughout: look at these images and at the NoData value they declare"
        )
    print_failures([error for _, error in report.failures])


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:SHOWN]) + (", …" if len(names) > SHOWN else "")
