"""``coteach predict``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from coteach.cli import shared_options as shared
from coteach.cli.output import SHOWN, detail, print_failures, say, warn
from coteach.cli.progress import track
from coteach.errors import IncompleteError, OptionError

if TYPE_CHECKING:
    import torch

    from coteach.training.scene_job import SceneJob, SceneReport
    from coteach.training.scenes import SceneOptions


_EPILOG = """\b
Example:
  coteach predict runs/a scenes/ --output-dir maps --disagreement

Run again after an interruption, it goes on where it was.
"""


@click.command(epilog=_EPILOG)
@click.argument("run_dir", type=click.Path(path_type=Path))
@click.argument("scenes", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--output-dir", type=click.Path(path_type=Path), required=True, help="Gets the maps.")
@shared.checkpoint
@click.option(
    "--window", type=int, default=512, show_default=True, help="Side of the windows predicted, in pixels."
)
@click.option(
    "--overlap", type=int, default=128, show_default=True, help="Pixels that neighbouring windows share."
)
@shared.batch_size
@click.option(
    "--tta",
    type=click.Choice(["none", "flips", "d4"]),
    default="none",
    show_default=True,
    help="Average over mirrored (flips) or also turned (d4) views of each window; takes 4 or 8 times as long.",
)
@click.option(
    "--disagreement",
    is_flag=True,
    help="Add a band that says how far the method's two networks are apart, 0 to 1.",
)
@shared.image_key("Column of the images, where SCENES are CSVs.")
@shared.device
@shared.allow_target
def predict(
    run_dir: Path,
    scenes: tuple[Path, ...],
    output_dir: Path,
    checkpoint: str,
    window: int,
    overlap: int,
    batch_size: int,
    tta: Literal["none", "flips", "d4"],
    image_key: str,
    device: str,
    allow_target: tuple[str, ...],
    *,
    disagreement: bool,
) -> None:
    """Class maps of whole SCENES by the run in RUN_DIR.

    SCENES are rasters of any size, folders of rasters, or CSV files with the column image_path and, if the maps are
    to have other names than the images, tile_id.

    Of each scene: {id}_class.tif with colours and class names, and {id}_confidence.tif with the probability of the
    class. Both lie where the image lies, and have NoData where it has. predictions.csv lists them. If a scene fails,
    the others are still predicted, and failures.csv says why.
    """
    from coteach.data.scene_files import find_scenes
    from coteach.training.scene_job import predict_scenes
    from coteach.training.scenes import SceneOptions

    options = SceneOptions(
        window=window, overlap=overlap, batch_size=batch_size, disagreement=disagreement, tta=tta
    )
    found = find_scenes(scenes, image_key)
    if output_dir.resolve() in [scene.resolve() for scene in scenes]:
        raise OptionError("--output-dir", "is a folder of scenes, too", "choose another one for the maps")
    job = scene_job(run_dir, checkpoint, output_dir, options, device_named(device), allow_target)
    report = predict_scenes(found, job, track, detail)
    _print(report)
    if report.failures:
        raise IncompleteError(
            str(output_dir),
            f"{len(report.failures)} of {len(found)} scenes failed",
            f"correct what {report.table.with_name('failures.csv')} lists and run it again; the rest is kept",
        )


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
    from coteach.rasters.fingerprint import stamps
    from coteach.training.checkpoints import checkpoint_path
    from coteach.training.scene_job import SceneJob

    config = config_of(run_dir)
    weights = checkpoint_path(run_dir, checkpoint)
    resolver = TargetResolver(allow_target)
    node = config.train_dataset
    transforms = [
        resolver.build(one, "transform", f"train_dataset.augmentation_list[{i}]")
        for i, one in enumerate(node.get("augmentation_list") or ())
    ]
    shown = {key: node.get(key) for key in ("image_scale", "augmentation_list")}
    return SceneJob(
        method=load_trained(config, resolver, weights).to(device),
        legend=legend_of(config, trained_on(config)),
        output_dir=output_dir,
        options=options,
        image_scale=node.get("image_scale"),
        augmentation_list=transforms,
        made_by={
            "checkpoint": stamps([weights.resolve()]),
            "method": config.method,
            "model": config.model,
            **shown,
        },
    )


def device_named(name: str) -> torch.device:
    """What ``--device`` names.

    Raises:
        OptionError: it is not there.
    """
    import torch

    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        cause = f"{name!r} cannot be used ({str(error).splitlines()[0]})"
        raise OptionError("--device", cause, "use auto, cpu, or cuda where there is a GPU") from error
    return device


def _print(report: SceneReport) -> None:
    counts = (
        f"{len(report.made)} predicted, {len(report.up_to_date)} up to date, {len(report.failures)} failed"
    )
    say(f"scenes: {counts}: {report.table}")
    if report.nowhere:
        listed = ", ".join(report.nowhere[:SHOWN]) + (", …" if len(report.nowhere) > SHOWN else "")
        warn(f"no coordinate reference system: {listed}; the maps have no place on earth either")
    print_failures([error for _, error in report.failures])
