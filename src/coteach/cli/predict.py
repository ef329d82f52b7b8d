"""``coteach predict``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import click
from click.core import ParameterSource

from coteach.cli import shared_options as shared
from coteach.errors import OptionError

_EPILOG = """\b
Examples:
  coteach predict runs/a scenes/ --output-dir maps --disagreement
  coteach predict runs/boxes test.json --image-dir images --output-dir found --pictures
  coteach predict runs/classes photos/ --output-dir classes

Run again after an interruption, it goes on where it was; the table of whole images is made anew.
"""
_IMAGES_AT_ONCE = 64
_OF_WINDOWS = ("window", "overlap", "tta")
_OF_MAPS = (*_OF_WINDOWS, "disagreement")
_OF_BOXES = ("score", "pictures", "picture_score", "image_dir")


@click.command(epilog=_EPILOG)
@click.argument("run_dir", type=click.Path(path_type=Path))
@click.argument("scenes", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--output-dir", type=click.Path(path_type=Path), required=True, help="Gets everything.")
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
@click.option(
    "--score",
    type=float,
    default=0.05,
    show_default=True,
    help="Boxes: least score of a box that is written.",
)
@click.option("--pictures", is_flag=True, help="Boxes: also draw them, a picture an image.")
@click.option(
    "--picture-score",
    type=float,
    default=0.5,
    show_default=True,
    help="Boxes: least score of a box that is drawn.",
)
@click.option(
    "--image-dir",
    type=click.Path(path_type=Path),
    help="Boxes: folder of the images of a COCO file.  [default: the folder of the file]",
)
@shared.image_key(
    "Column of the images, where SCENES are CSVs; of images to classify path if it is not given."
)
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
    score: float,
    picture_score: float,
    image_dir: Path | None,
    image_key: str,
    device: str,
    allow_target: tuple[str, ...],
    *,
    disagreement: bool,
    pictures: bool,
) -> None:
    """Class maps of whole SCENES, boxes in images, or classes of images, by the run in RUN_DIR.

    SCENES are rasters of any size, folders of rasters, or CSV files with the column image_path and, if the maps are
    to have other names than the images, tile_id.

    Of each scene: {id}_class.tif with colours and class names, and {id}_confidence.tif with the probability of the
    class. Both lie where the image lies, and have NoData where it has. predictions.csv lists them. If a scene fails,
    the others are still predicted, and failures.csv says why.

    A run of detection finds boxes in pictures, folders and CSV files, or in the images of a COCO file (.json), whose
    image and category ids it keeps: detections.json holds them as COCO's results, images.csv and categories.csv say what
    the ids mean, pictures/ shows them. Without a COCO file the id of an image is its file name.

    A run whose images have one label each classifies pictures, those of folders and their folders, or of CSV files with
    the column path: predictions.csv has a row an image, with its class, the probabilities of all classes and, of methods
    with two networks, how far these are apart. If an image fails, the others are still classified.
    """
    from coteach.cli.devices import prepared_device
    from coteach.cli.predict_boxes import predict_boxes
    from coteach.cli.predict_maps import predict_maps
    from coteach.cli.runs import classifies_images, config_of, finds_boxes
    from coteach.cli.targets import TargetResolver
    from coteach.training.box_options import BoxOptions
    from coteach.training.checkpoints import checkpoint_path
    from coteach.training.scenes import SceneOptions

    if output_dir.resolve() in [scene.resolve() for scene in scenes]:
        raise OptionError("--output-dir", "is a folder of scenes, too", "choose another one")
    config = config_of(run_dir)
    if finds_boxes(config):
        refuse_given(_OF_MAPS, "is for maps; this run finds boxes")
        predict_boxes(
            config,
            checkpoint_path(run_dir, checkpoint),
            scenes,
            output_dir,
            BoxOptions(score=score, pictures=pictures, picture_score=picture_score, batch_size=batch_size),
            device=prepared_device(device),
            image_dir=image_dir,
            image_key=image_key,
            allow_target=allow_target,
        )
        return
    if classifies_images(config, TargetResolver(allow_target)):
        from coteach.cli.predict_images import predict_images

        refuse_given(_OF_WINDOWS, "is for maps; this run classifies whole images")
        refuse_given(_OF_BOXES, "is for runs of detection; this one classifies whole images")
        refuse_given(
            ("disagreement",), "is for maps; of whole images it is told wherever there are two networks"
        )
        predict_images(
            config,
            checkpoint_path(run_dir, checkpoint),
            scenes,
            output_dir,
            batch_size=batch_size if is_given("batch_size") else _IMAGES_AT_ONCE,
            device=prepared_device(device),
            path_key=image_key if is_given("image_key") else "path",
            allow_target=allow_target,
        )
        return
    refuse_given(_OF_BOXES, "is for runs of detection; this one makes maps")
    options = SceneOptions(
        window=window, overlap=overlap, batch_size=batch_size, disagreement=disagreement, tta=tta
    )
    predict_maps(
        run_dir,
        checkpoint,
        scenes,
        output_dir,
        options,
        device=prepared_device(device),
        image_key=image_key,
        allow_target=allow_target,
    )


def refuse_given(names: Sequence[str], cause: str) -> None:
    """Refuse options of the running command that do not fit the run.

    Args:
        names: of parameters.
        cause: why not.

    Raises:
        OptionError: one was given.
    """
    for name in names:
        if is_given(name):
            raise OptionError(f"--{name.replace('_', '-')}", cause, "leave it out")


def is_given(name: str) -> bool:
    """Whether a parameter of the running command was given, and is not just its default."""
    return click.get_current_context().get_parameter_source(name) is ParameterSource.COMMANDLINE
