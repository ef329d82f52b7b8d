"""No news from anywhere: importing the package opens no connection, and no dependency calls home."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

_IMPORT_ALL = """
import importlib, pkgutil, socket, sys
asked = []
def note(event, args):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "urllib.Request"):
        asked.append((event, args))
sys.addaudithook(note)
import coteach
for module in pkgutil.walk_packages(coteach.__path__, "coteach."):
    importlib.import_module(module.name)
for name in coteach.__all__:
    getattr(coteach, name)
from coteach.cli.targets import TargetResolver
resolver = TargetResolver()
resolver.resolve("albumentations.HorizontalFlip", "transform", "x")
resolver.resolve("segmentation_models_pytorch.Unet", "model", "x")
resolver.resolve("timm.create_model", "model", "x")
resolver.resolve("torchmetrics.JaccardIndex", "metric", "x")
resolver.resolve("lightning.pytorch.loggers.CSVLogger", "logger", "x")
assert not asked, asked
print(len(sys.modules))
"""


def test_importing_everything_asks_the_network_for_nothing(tmp_path):
    """Without the variable that the tests' own shell may have set."""
    environment = {name: value for name, value in os.environ.items() if name != "NO_ALBUMENTATIONS_UPDATE"}
    done = subprocess.run(
        [sys.executable, "-c", _IMPORT_ALL],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.split()[-1]) > 1000  # it did import


def test_a_test_cannot_reach_another_computer():
    with (
        pytest.raises(RuntimeError, match=r"192\.0\.2\.1"),
        socket.socket() as one,
    ):  # an address for documents
        one.connect(("192.0.2.1", 80))
    with pytest.raises(RuntimeError, match="example"):
        socket.create_connection(("example.org", 80), timeout=1)


def test_every_constraint_is_one_version():
    """What was tested is what is installed."""
    lines = (Path(__file__).parents[1] / "constraints.txt").read_text().splitlines()
    pinned = [line for line in lines if line and not line.startswith("#")]
    assert pinned
    assert all(line.count("==") == 1 for line in pinned)
