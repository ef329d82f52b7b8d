"""``coteach export``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from coteach.cli import shared_options as shared
from coteach.cli.output import detail, say
from coteach.errors import OptionError

if TYPE_CHECKING:
    from coteach.training.export import Exported

_EPILOG = """\b
Example:
  coteach export runs/a --format onnx --output model.onnx
"""


@click.command(epilog=_EPILOG)
@click.argument("run_dir", type=click.Path(path_type=Path))
@click.option(
    "--format",
    "file_format",
    type=click.Choice(["onnx", "torch-export"]),
    required=True,
    help="onnx needs the extra 'export'.",
)
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), required=True, help="The file.")
@shared.checkpoint
@click.option(
    "--size",
    type=click.IntRange(min=1),
    default=256,
    show_default=True,
    help="Side in pixels of the images to try it with; the only size that it takes if the network fixes one.",
)
@click.option(
    "--tolerance",
    type=click.FloatRange(min=0),
    default=1e-4,
    show_default=True,
    help="Largest difference of a probability that is no fault.",
)
@shared.allow_target
def export(
    run_dir: Path,
    file_format: Literal["onnx", "torch-export"],
    output: Path,
    checkpoint: str,
    size: int,
    tolerance: float,
    allow_target: tuple[str, ...],
) -> None:
    """The model of the run in RUN_DIR as a file that needs no coteach.

    It takes images (batch, bands, height, width) as the network was shown them in training: scaled (uint8 / 255,
    uint16 / 65535, or by image_scale), then normalized if the run's augmentation_list has a Normalize. It gives class
    probabilities. Batch, height and width are free where the network allows.

    The file is read back and compared with the model; if they differ by more than the tolerance, it is not kept.
    """
    from coteach.cli.runs import config_of, load_trained
    from coteach.cli.targets import TargetResolver
    from coteach.training.checkpoints import checkpoint_path, load_checkpoint
    from coteach.training.export import export_method

    config = config_of(run_dir)
    weights = checkpoint_path(run_dir, checkpoint)
    num_bands = load_checkpoint(weights)["coteach"].get("task", {}).get("num_bands")
    if num_bands is None:
        remedy = "export runs whose data set has num_bands"
        raise OptionError(str(weights), "does not say how many bands its images had", remedy)
    if not output.parent.is_dir():
        raise OptionError("--output", f"there is no folder {output.parent}", "make it")
    made = export_method(
        load_trained(config, TargetResolver(allow_target), weights),
        output,
        file_format,
        num_bands=num_bands,
        size=size,
        tolerance=tolerance,
        about={
            "class_names": config.class_names,
            "num_classes": config.num_classes,
            "image_scale": config.train_dataset.get("image_scale"),
            "augmentation_list": config.train_dataset.get("augmentation_list"),
        },
    )
    tell_exported(made)


def tell_exported(made: Exported) -> None:
    """Say what a file takes, and how far it is from the model."""
    axes = ", ".join(name if size is None else f"{name} {size}" for name, size in made.axes.items())
    say(f"exported: {made.path}, takes images ({axes})")
    if None not in (made.axes["height"], made.axes["width"]):
        say("another --size may leave height and width free")
    tried = ", ".join(" x ".join(map(str, shape)) for shape in made.checked)
    detail(f"compared on images of {tried}")
    say(f"largest difference of a probability from the model: {made.difference:.2g}")
