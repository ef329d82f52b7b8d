"""No news from anywhere: importing the package opens no connection, and no dependency calls home."""

import json
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


def pip_audit_says(folder, said, code):
    """Another pip-audit, that says the same whatever it is asked."""
    (folder / "pip_audit.py").write_text(f"import sys\nprint({said!r})\nsys.exit({code!r})\n")


@pytest.mark.parametrize(
    ("packages", "error", "code", "said"),
    [
        ([{"name": "a", "version": "1", "vulns": []}], 0, 0, "2 packages audited, no vulnerability is known"),
        (
            [{"name": "a", "version": "1", "vulns": [{"id": "PYSEC-1", "fix_versions": ["1.1"]}]}],
            1,
            1,
            "a 1: PYSEC-1 (mended in 1.1)",
        ),
        ([{"name": "a", "skip_reason": "not found"}], 0, 2, "the index knows nothing of 1 of 2 packages (a)"),
        (None, "a\nrequests.ConnectionError: refused", 2, "not audited: requests.ConnectionError: refused"),
    ],
)
def test_an_audit_that_proves_nothing_does_not_end_well(tmp_path, packages, error, code, said):
    known = [{"name": "b", "version": "2", "vulns": []}, *(packages or [])]
    pip_audit_says(tmp_path, "" if packages is None else json.dumps({"dependencies": known}), error)
    script = Path(__file__).parent / "faults" / "audit_pins.py"
    done = subprocess.run(
        [sys.executable, script, "constraints.txt"],
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code
    assert said in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.count("\n") == (code > 0)
