"""``coteach audit``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from coteach.cli import shared_options as shared
from coteach.cli.output import say, warn
from coteach.cli.progress import track
from coteach.errors import InputError, OptionError

if TYPE_CHECKING:
    from coteach.report.audit import LabelAudit
    from coteach.report.audit_page import Suspect

_TABLE = "labels.csv"
_PAGE = "audit.html"
_SUMMARY = "audit.json"
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
  coteach audit runs/maps --sources sources.csv --output-dir wrong

A run on images recorded what is needed by itself (trainer.record_history). Run again after an interruption, an audit
of sources goes on where it was.
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

    Of images: labels.csv (all labels, the most probably wrong first), audit.html (the worst as pictures, estimated
    noise rate and confusions) and audit.json (the figures).

    Of label maps (--sources): for each tile and map {tile_id}_{map}.tif, where band 1 is the probability in percent
    that the map is wrong, and band 2 the more probable class; source_errors.csv with estimated error rates,
    source_maps.csv, and audit.json with the confusions.
    """
    folder = output_dir or run_dir / "audit"
    if sources is None:
        _refuse_alone()
        _audit_images(run_dir, folder, top, allow_target)
        return
    from coteach.cli.audit_sources import SourceChoice, audit_run_sources
    from coteach.cli.predict import device_named, scene_job
    from coteach.training.scenes import SceneOptions

    options = SceneOptions(window=window, overlap=overlap, batch_size=batch_size)
    choice = SourceChoice(table=sources, image_key=image_key, lulc_keys=lulc_keys, legends=legends)
    audit_run_sources(
        choice, scene_job(run_dir, checkpoint, folder, options, device_named(device), allow_target)
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


def _audit_images(run_dir: Path, folder: Path, top: int, allow_target: tuple[str, ...]) -> None:
    from coteach.cli.legends import legend_of
    from coteach.cli.runs import config_of
    from coteach.cli.targets import TargetResolver
    from coteach.files import write_json, write_text
    from coteach.report.audit import audit as audit_run
    from coteach.report.audit_page import AuditPage, render_audit
    from coteach.report.templating import count_text

    found = audit_run(run_dir)
    config = config_of(run_dir)
    dataset = TargetResolver(allow_target).build(config.train_dataset, "dataset", "train_dataset")
    _check_same(dataset, found, run_dir)
    names = list(config.class_names or getattr(dataset, "class_names", None) or legend_of(config).names)
    folder.mkdir(parents=True, exist_ok=True)
    paths = {item: str(path) for item, path in enumerate(getattr(dataset, "paths", ()))}
    found.write(folder / _TABLE, names, paths)
    write_json(folder / _SUMMARY, found.summary(names))
    page = AuditPage(
        title=f"Labels of {run_dir.resolve().name}",
        audit=found,
        names=names,
        suspects=_gallery(dataset, found, top, paths),
        facts=[
            ("labels", count_text(len(found.ranked()))),
            ("probably wrong", count_text(round(found.noise_rate * len(found.ranked())))),
            ("networks agree with", f"{found.followed:.0%} of the labels"),
            ("method", str(config.method.get("name", ""))),
        ],
        table=_TABLE,
        command=click.get_current_context().command_path + f" {run_dir}",
    )
    write_text(folder / _PAGE, render_audit(page))
    say(
        f"{found.noise_rate:.1%} of {len(found.ranked())} labels are probably wrong; the first of {_TABLE} the most"
    )
    if found.caution:
        warn(found.caution)
    say(f"written: {folder / _PAGE}")


def _check_same(dataset: Any, found: LabelAudit, run_dir: Path) -> None:
    """Refuse to show other images than those the history is of.

    Raises:
        InputError: the training set has become another one.
    """
    if len(dataset) != len(found.given):
        cause = f"has {len(dataset)} images, the history of {run_dir} has {len(found.given)}"
        raise InputError("train_dataset", cause, "restore the data that the run was trained on")


def _gallery(dataset: Any, found: LabelAudit, top: int, paths: dict[int, str]) -> list[Suspect]:
    from coteach.report.audit_page import Suspect, suspect

    chosen = found.ranked()[:top].tolist()
    shown = []
    with track(len(chosen), "pictures") as advance:
        for item in chosen:
            path = paths.get(item, "")
            try:
                shown.append(suspect(item, dataset.plain(item)["image"].numpy(), path))
            except InputError as error:  # a picture that is gone is worth no failure
                shown.append(Suspect(item, path, "", error.cause))
            advance()
    return shown
