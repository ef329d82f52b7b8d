"""``coteach train``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from coteach.cli import shared_options as shared
from coteach.cli.output import detail, remark, say
from coteach.cli.progress import shows_progress
from coteach.errors import TrainingError

if TYPE_CHECKING:
    from coteach.training.run import TrainingRun


def _list_examples(context: click.Context, _: click.Parameter, asked: object) -> None:
    """Print the packaged examples and leave."""
    if not asked:
        return
    from coteach.cli.packaged import packaged_configs, summary

    for name, file in packaged_configs().items():
        click.echo(f"{name}\n    {summary(file)}\n    {file}")
    context.exit()


@click.command(
    epilog="""Example: coteach train conf.yaml optimizer.lr=3e-4 trainer.max_epochs=50 output_dir=runs/a

Run again after an interruption, it goes on where it was.""",
)
@click.argument("config", type=click.Path(path_type=Path))
@click.argument("overrides", nargs=-1)
@click.option(
    "--list",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_list_examples,
    help="List the example configurations, and where their files are.",
)
@shared.allow_target
def train(config: Path, overrides: tuple[str, ...], allow_target: tuple[str, ...]) -> None:
    """Train a model from the YAML file CONFIG, or from the example of that name; OVERRIDES are key=value.

    Where standard error is no terminal, it gets a line an epoch in place of the progress bar.
    """
    from coteach.cli.config import load_config, to_yaml

    loaded = load_config(config, overrides)

    from coteach.cli.runs import build_run
    from coteach.cli.targets import TargetResolver
    from coteach.training.run import train as run_training
    from coteach.training.trainer import is_first_process

    detail(to_yaml(loaded.portable()).rstrip())
    run = build_run(loaded, TargetResolver(allow_target), progress=shows_progress())
    if not run.progress:
        run = replace(run, tell=remark)
    detail(_summary(run))
    try:
        last = run_training(run)
    except KeyboardInterrupt as pressed:
        remedy = "the same command goes on from its last checkpoint"
        raise TrainingError(str(run.output_dir), "stopped by Ctrl-C", remedy) from pressed
    if is_first_process():  # with several, each of them runs this command
        say(f"trained: {last}")


def _summary(run: TrainingRun) -> str:
    """What is trained on what, in one line."""
    samples = ", ".join(f"{len(dataset)} to {source}" for source, dataset in run.datasets.items())
    networks = len(run.method.trained)
    return (
        f"{run.method.name}: {networks} network{'s' if networks > 1 else ''}, {run.num_classes} classes, "
        f"samples: {samples}; seed {run.seed}, folder {run.output_dir}"
    )
