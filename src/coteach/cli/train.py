"""``coteach train``."""

from __future__ import annotations

from pathlib import Path

import click

from coteach.cli.output import say
from coteach.cli.progress import shows_progress


@click.command(
    epilog="""Example: coteach train conf.yaml optimizer.lr=3e-4 trainer.max_epochs=50 output_dir=runs/a

Run again after an interruption, it goes on where it was.""",
)
@click.argument("config", type=click.Path(path_type=Path))
@click.argument("overrides", nargs=-1)
@click.option(
    "--allow-target", multiple=True, metavar="PACKAGE", help="Allow _target_ from this package too."
)
def train(config: Path, overrides: tuple[str, ...], allow_target: tuple[str, ...]) -> None:
    """Train a model from the YAML file CONFIG; OVERRIDES are key=value."""
    from coteach.cli.config import load_config

    loaded = load_config(config, overrides)

    from coteach.cli.runs import build_run
    from coteach.cli.targets import TargetResolver
    from coteach.training.run import train as run_training

    run = build_run(loaded, TargetResolver(allow_target), progress=shows_progress())
    say(f"trained: {run_training(run)}")
