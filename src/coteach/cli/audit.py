"""``coteach audit``."""

from __future__ import annotations

from pathlib import Path

import click
from click.core import ParameterSource

from coteach.cli import shared_options as shared
from coteach.errors import OptionError

_OF_SOURCES = {
    "image_key": "--image-key",
    "lulc_keys": "--lulc-key",
    "legends": "--legend",
    "checkpoint": "--checkpoint",
    "window": "--window",
    "overlap": "--overlap",
    "batch_size": "--batch-size",
    "device": "--device",
}


_EPILOG = """\b
Example:
  coteach audit runs/images --top 200
  coteach audit runs/images --folds 4
  coteach audit runs/maps --sources sources.csv --output-dir wrong

A run on images recorded what is needed by itself (trainer.record_history); one that did not, as of several
processes, is judged by --folds alone. Run again after an interruption, an audit of sources, or with folds, goes on
where it was.
"""


@click.command(epilog=_EPILOG)
@click.argument("run_dir", type=click.Path(path_type=Path))
@click.option(
    "--output-dir",
    "--output",
    "output_dir",
    type=click.Path(path_type=Path),
    help="Folder to write. [default: RUN_DIR/audit]",
)
@click.option("--top", type=click.IntRange(0), default=100, show_default=True, help="Images in the gallery.")
@click.option(
    "--folds",
    type=click.IntRange(2),
    help="Of images: train this many times more, each time without one part of the images, which is then judged by "
    "networks that have not seen it. Takes as long as that many trainings.",
)
@click.option(
    "--sources",
    type=click.Path(path_type=Path),
    help="Table as for build-soft-labels; its label maps are audited, with a run on soft labels.",
)
@shared.image_key("Column of the image in --sources.")
@shared.lulc_keys(
    "Column of a label map in --sources. Repeat it for each.  [default: all that end with _path, but the image]"
)
@shared.legends()
@shared.checkpoint
@click.option("--window", type=int, default=512, show_default=True, help="Side of the windows predicted.")
@click.option("--overlap", type=int, default=128, show_default=True, help="Pixels that windows share.")
@shared.batch_size
@shared.device
@shared.allow_target
def audit(
    run_dir: Path,
    output_dir: Path | None,
    top: int,
    folds: int | None,
    sources: Path | None,
    image_key: str,
    lulc_keys: tuple[str, ...],
    legends: tuple[str, ...],
    checkpoint: str,
    window: int,
    overlap: int,
    batch_size: int,
    device: str,
    allow_target: tuple[str, ...],
) -> None:
    """Which labels that the run in RUN_DIR was trained on are probably wrong, and what they should be.

    Of images: labels.csv (all labels, the most probably wrong first; a copy can be corrected and trained on, one
    corrected in its place is not replaced), labels.npz (labels, suggestions and p_wrong in the order of the training
    set, for arrays), audit.html (the worst as pictures, estimated noise rate and confusions) and audit.json (the
    figures).

    Of label maps (--sources): for each tile and map {tile_id}_{map}.tif, where band 1 is the probability in percent
    that the map is wrong, and band 2 the more probable class; source_errors.csv with estimated error rates,
    source_maps.csv, and audit.json with the confusions.
    """
    folder = output_dir or run_dir / "audit"
    if sources is None:
        _refuse_alone()
        from coteach.cli.audit_images import audit_images

        audit_images(run_dir, folder, top, allow_target, folds=folds)
        return
    if folds is not None:
        raise OptionError("--folds", "is for images", "leave it out, or --sources")
    from coteach.cli.audit_sources import SourceChoice, audit_run_sources
    from coteach.cli.devices import prepared_device
    from coteach.cli.predict_maps import scene_job
    from coteach.tables import read_table
    from coteach.training.scenes import SceneOptions

    options = SceneOptions(window=window, overlap=overlap, batch_size=batch_size)
    table = read_table(sources)  # before the networks are loaded, which takes longer
    choice = SourceChoice(table=table, image_key=image_key, lulc_keys=lulc_keys, legends=legends)
    audit_run_sources(
        choice, scene_job(run_dir, checkpoint, folder, options, prepared_device(device), allow_target)
    )


def _refuse_alone() -> None:
    """Refuse options of ``--sources`` without it: they would be passed over.

    Raises:
        OptionError: one is given.
    """
    context = click.get_current_context()
    for name, option in _OF_SOURCES.items():
        if context.get_parameter_source(name) is not ParameterSource.DEFAULT:
            raise OptionError(option, "is for label maps", "add --sources, or leave it out")
