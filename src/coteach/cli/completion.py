"""``coteach completion``."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

_EPILOG = """\b
Example:
  coteach completion bash >> ~/.bashrc
  coteach completion zsh >> ~/.zshrc
  coteach completion fish > ~/.config/fish/completions/coteach.fish
"""


@click.command(epilog=_EPILOG)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the script that makes SHELL complete coteach's commands and options."""
    from coteach.cli.main import cli

    kind = get_completion_class(shell)
    assert kind is not None  # click has all three
    click.echo(kind(cli, {}, "coteach", "_COTEACH_COMPLETE").source())
