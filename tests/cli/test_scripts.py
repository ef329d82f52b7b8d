"""The scripts do what the commands do."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[2] / "scripts"


@pytest.mark.parametrize("script", sorted(SCRIPTS.glob("*.py")), ids=lambda path: path.stem)
def test_arguments_output_and_exit_code_are_those_of_the_command(script, tmp_path):
    command = script.stem.replace("_", "-")
    table = tmp_path / "none.csv"
    options = {
        "build-soft-labels": [str(table), "--num-classes", "2"],
        "download-aef-embeddings": ["--source", "hf", "--tiles-csv", str(table)],
    }[command]
    for words in (["--help"], [*options, "--output-dir", str(tmp_path / "out")], ["--nonsense"]):
        alias, original = (
            subprocess.run([sys.executable, *start, *words], capture_output=True, text=True, check=False)
            for start in ([str(script)], ["-m", "coteach.cli.main", command])
        )
        assert (alias.returncode, alias.stdout, alias.stderr) == (
            original.returncode,
            original.stdout,
            original.stderr,
        )
        assert alias.returncode == {"--help": 0, "--nonsense": 2}.get(words[0], 1)
