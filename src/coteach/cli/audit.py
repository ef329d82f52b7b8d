"""``coteach audit``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from coteach.cli.output import say
from coteach.cli.progress import track
from coteach.errors import InputError

if TYPE_CHECKING:
    from coteach.report.audit import LabelAudit
    from coteach.report.audit_page import Suspect

_TABLE = "labels.csv"
_PAGE = "audit.html"
_SUMMARY = "audit.json"


@click.command(
    epilog="""Example: coteach audit runs/a --top 200

The run must have been trained on images with one label each; it recorded what is needed by itself
(trainer.record_history).""",
)
@click.argument("run_dir", type=click.Path(path_type=Path))
@click.option("--output", type=click.Path(path_type=Path), help="Folder to write. [default: RUN_DIR/audit]")
@click.option("--top", type=click.IntRange(0), default=100, show_default=True, help="Images in the gallery.")
@click.option(
    "--allow-target", multiple=True, metavar="PACKAGE", help="Allow _target_ from this package too."
)
def audit(run_dir: Path, output: Path | None, top: int, allow_target: tuple[str, ...]) -> None:
    """Which labels of the training images of the run in RUN_DIR are probably wrong, and what they should be.

    Writes labels.csv (all labels, the most probably wrong first), audit.html (the worst as pictures, estimated noise
    rate and confusions) and audit.json (the figures).
    """
    from coteach.cli.config import load_config
    from coteach.cli.legends import legend_of
    from coteach.cli.runs import CONFIG_FILE
    from coteach.cli.targets import TargetResolver
    from coteach.files import write_json, write_text
    from coteach.report.audit import audit as audit_run
    from coteach.report.audit_page import AuditPage, render_audit
    from coteach.report.templating import count_text

    found = audit_run(run_dir)
    config = load_config(run_dir / CONFIG_FILE)
    dataset = TargetResolver(allow_target).build(config.train_dataset, "dataset", "train_dataset")
    _check_same(dataset, found, run_dir)
    names = list(config.class_names or getattr(dataset, "class_names", None) or legend_of(config).names)
    folder = output or run_dir / "audit"
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
            ("method", str(config.method.get("name", ""))),
        ],
        table=_TABLE,
        command=click.get_current_context().command_path + f" {run_dir}",
    )
    write_text(folder / _PAGE, render_audit(page))
    say(
        f"{found.noise_rate:.1%} of {len(found.ranked())} labels are probably wrong; the first of {_TABLE} the most"
    )
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
