"""The ``coteach`` command: finds the subcommand, pays for nothing else, turns errors into exit codes."""

from __future__ import annotations

import atexit
import os
import sys
from contextlib import suppress
from importlib import import_module
from typing import Any, NoReturn

import click
from click.shell_completion import CompletionItem

from coteach import __version__
from coteach.cli.output import warnings_told, with_common_options
from coteach.errors import CoteachError

# command -> (module, attribute, one line for --help). The module is imported only when its command runs.
_COMMANDS = {
    "ablate": ("ablate", "ablate", "All variants on the same labels: built, trained, measured, one table."),
    "audit": ("audit", "audit", "Which labels of a run look wrong: a table and a gallery."),
    "build-soft-labels": ("soft_labels", "build", "Several label maps -> P_soft and W_conf rasters."),
    "check": ("check", "check", "All that is wrong with a sources table and its files, at once."),
    "completion": ("completion", "completion", "Shell script that completes commands, options and paths."),
    "convert": ("convert", "convert", "Old configuration -> one of this package."),
    "data": ("sample_data", "data", "Fetch sample data."),
    "demo": ("demo", "demo", "The whole job on real data: one table of all variants."),
    "download-aef-embeddings": (
        "download_embeddings",
        "download",
        "AlphaEarth embeddings, only what each tile needs.",
    ),
    "evaluate": ("evaluate", "evaluate", "Accuracy of a trained run against a reference."),
    "export": ("export", "export", "A trained model as an ONNX or torch.export file."),
    "generate-training-csv": ("split", "generate", "Manifest -> train, val and test CSV."),
    "predict": ("predict", "predict", "Maps of scenes, classes or boxes of images, by a trained run."),
    "report": ("report", "report", "One HTML page that shows and compares runs."),
    "split-coco": ("split_coco", "split_coco", "COCO file -> a labelled share and the rest, several draws."),
    "train": ("train", "train", "Train a model from a YAML configuration."),
}


class _LazyGroup(click.Group):
    """A group whose help needs no import of its commands."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 -- click's signature
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in _COMMANDS:
            return None
        module, attribute, _ = _COMMANDS[cmd_name]
        command = getattr(import_module(f"coteach.cli.{module}"), attribute)
        assert isinstance(command, click.Command)
        return with_common_options(command)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; Ctrl-C is told as click does it, but known as the cause."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as pressed:
            click.echo("\nAborted!", err=True)
            raise SystemExit(1) from pressed

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Names and their help, without importing a command."""
        options = click.Command.shell_complete(self, ctx, incomplete)
        names = [
            CompletionItem(name, help=help_)
            for name, (_, _, help_) in sorted(_COMMANDS.items())
            if name.startswith(incomplete)
        ]
        return names + options

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl([(name, help_) for name, (_, _, help_) in sorted(_COMMANDS.items())])


@click.group(
    cls=_LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog="Example: coteach data nc-landcover && coteach train conf.yaml optimizer.lr=3e-4",
)
@click.version_option(__version__, prog_name="coteach")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def cli(*, debug: bool) -> None:
    """Train vision models from imperfect labels: noisy, soft or missing."""


def main(args: list[str] | None = None) -> None:
    """Run the command line; exit code 0 only if all of the work was done."""
    debug = "--debug" in (args if args is not None else sys.argv[1:])
    try:
        with warnings_told():
            cli.main(args=args, prog_name="coteach")
    except (CoteachError, OSError) as error:  # an OSError names its file and cause by itself
        if debug:
            raise
        click.echo(f"Error: {error}", err=True)
        _leave(error, own_process=args is None)
    except SystemExit as end:
        if end.code == 1:
            _leave(end, own_process=args is None)
        raise


def _leave(reason: BaseException, *, own_process: bool) -> NoReturn:
    """Exit code 1; after Ctrl-C at once, for Python needs seconds to take torch and its friends apart."""
    cause: BaseException | None = reason
    while own_process and cause is not None:
        if isinstance(cause, KeyboardInterrupt):
            atexit._run_exitfuncs()  # noqa: SLF001 -- what others have to do at the end
            for stream in (sys.stdout, sys.stderr):
                with suppress(OSError):  # Ctrl-C ends who reads it, too, such as tee
                    stream.flush()
            os._exit(1)
        cause = cause.__cause__ or cause.__context__
    sys.exit(1)


if __name__ == "__main__":
    main()
