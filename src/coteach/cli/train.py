"""``coteach train``."""

from __future__ import annotations

import sys
from dataclasses import asdict, replace
from pathlib import Path

import click

from coteach.files import write_text


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

    from coteach.cli.runs import CONFIG_FILE, build_run
    from coteach.cli.targets import TargetResolver
    from coteach.training.run import train as run_training

    run = build_run(loaded, TargetResolver(allow_target), progress=not quiet and sys.stderr.isatty())
    # The run's own copy works from any folder: evaluate and predict read it.
    folder = Path(loaded.output_dir).resolve()
    last = run_training(run)
    write_yaml(folder / CONFIG_FILE, asdict(replace(loaded, output_dir=str(folder))))
    click.echo(f"trained: {last}")


def write_yaml(path: Path, content: dict[str, object]) -> None:
    """Write plain data as YAML, whole or not at all."""
    from omegaconf import OmegaConf

    write_text(path, OmegaConf.to_yaml(OmegaConf.create(content)))
