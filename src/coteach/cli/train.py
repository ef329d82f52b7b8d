"""``coteach train``."""

from __future__ import annotations

import sys
from pathlib import Path

import click


@click.command(
    epilog="""Example: coteach train conf.yaml optimizer.lr=3e-4 trainer.max_epochs=50 output_dir=runs/a

Run again after an interruption, it goes on where it was.""",
)
@click.argument("config", type=click.Path(path_type=Path))
@click.argument("overrides", nargs=-1)
@click.option(
    "--allow-target", multiple=True, metavar="PACKAGE", help="Allow _target_ from this package too."
)
@click.option("--quiet", is_flag=True, help="No progress bar.")
def train(config: Path, overrides: tuple[str, ...], allow_target: tuple[str, ...], *, quiet: bool) -> None:
    """Train a model from the YAML file CONFIG; OVERRIDES are key=value."""
    from coteach.cli.config import load_config

    loaded = load_config(config, overrides)

    from coteach.cli.runs import build_run
    from coteach.cli.targets import TargetResolver
    from coteach.training.run import train as run_training

    run = build_run(loaded, TargetResolver(allow_target), progress=not quiet and sys.stderr.isatty())
    click.echo(f"trained: {run_training(run)}")
