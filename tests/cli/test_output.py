"""--quiet, --verbose, --debug and completion, which all commands have."""

import os
import subprocess
import sys
import warnings

import click
import pytest
from click.testing import CliRunner

from coteach.cli.main import _COMMANDS, cli
from coteach.cli.output import Verbosity, detail, say, verbosity, warn, warnings_told, with_common_options
from coteach.errors import CoteachWarning


@click.command()
def talk():
    say("said")
    detail("detailed")
    warn("warned")
    click.echo(verbosity().name)


@pytest.mark.parametrize(
    ("options", "stdout", "stderr"),
    [
        ([], "said\nNORMAL\n", "Warning: warned\n"),
        (["--quiet"], "QUIET\n", "Warning: warned\n"),
        (["-v"], "said\nVERBOSE\n", "detailed\nWarning: warned\n"),
    ],
)
def test_how_much_is_printed(options, stdout, stderr):
    done = CliRunner().invoke(with_common_options(talk), options)
    assert (done.exit_code, done.stdout, done.stderr) == (0, stdout, stderr)


@pytest.mark.filterwarnings("default")
def test_a_warning_for_users_is_one_line_without_the_line_of_code(capsys):
    before = warnings.showwarning
    with warnings_told():
        warnings.warn_explicit("5 of 7 files are damaged", CoteachWarning, "/elsewhere/x.py", 3)
        with pytest.warns(FutureWarning, match="theirs"):
            warnings.warn("theirs", FutureWarning, stacklevel=1)
    assert warnings.showwarning is before
    assert capsys.readouterr().err == "Warning: 5 of 7 files are damaged\n"


def test_quiet_contradicts_verbose():
    done = CliRunner().invoke(with_common_options(talk), ["-q", "-v"])
    assert done.exit_code == 2
    assert "--quiet contradicts --verbose" in done.stderr


def test_outside_of_a_command_it_is_normal():
    assert verbosity() is Verbosity.NORMAL


@pytest.mark.parametrize("name", sorted(_COMMANDS))
def test_every_command_has_them_once(name):
    shown = CliRunner().invoke(cli, [name, "--help"]).output
    for option in ("--quiet", "--verbose", "--debug"):
        assert shown.count(f"{option} ") == 1


def completed(words):
    environment = os.environ | {
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split(" ")) - 1),
        "_COTEACH_COMPLETE": "bash_complete",
    }
    command = [sys.executable, "-c", "from coteach.cli.main import main; main()"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    return done.stdout.split()


def test_completion_of_commands_and_options():
    assert completed("coteach ev") == ["plain,evaluate"]
    assert "plain,--reference-key" in completed("coteach evaluate --ref")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_script(shell):
    done = CliRunner().invoke(cli, ["completion", shell])
    assert done.exit_code == 0
    assert f"_COTEACH_COMPLETE={shell}_complete" in done.output
