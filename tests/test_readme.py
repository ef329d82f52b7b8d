"""The code blocks of the README run."""

import re
import shlex
from pathlib import Path

import click
import pytest
import yaml

from coteach.cli.config import load_config
from coteach.cli.main import _COMMANDS, cli

README = (Path(__file__).parents[1] / "README.md").read_text()


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)


def test_python_runs():
    [code] = blocks("python")
    names = {}
    exec(compile(code, "README.md", "exec"), names)
    for net in ("net_a", "net_b"):
        assert all(p.grad is not None and p.grad.isfinite().all() for p in names[net].parameters())


def test_the_configuration_is_valid(tmp_path):
    [text] = blocks("yaml")
    (tmp_path / "conf.yaml").write_text(text)
    config = load_config(tmp_path / "conf.yaml", ["optimizer.lr=3e-4"])
    assert config.model["classes"] == yaml.safe_load(text)["num_classes"] == 4


@pytest.mark.parametrize(
    "line", [line for block in blocks("console") for line in block.replace("\\\n", " ").splitlines()]
)
def test_commands_parse(line):
    """Every option that the README shows exists; nothing is run."""
    words = shlex.split(line, comments=True)[1:]
    if words[0] == "coteach":
        command = cli.get_command(click.Context(cli), words[1])
        command.make_context(words[1], words[2:])
        assert words[1] in _COMMANDS
    else:
        assert words[0] in {"make", "pip"}
        if words[0] == "make":
            assert re.search(
                rf"^{words[1]}:", (Path(__file__).parents[1] / "Makefile").read_text(), re.MULTILINE
            )
