"""After Ctrl-C the command leaves at once: it waits for no thread, nor until all that was imported is taken apart."""

import os
import subprocess
import sys

import pytest

_PRESSED = """
import atexit, signal, sys, threading, time
import coteach.cli.main as commands
from coteach.errors import TrainingError

def press(how):
    threading.Thread(target=time.sleep, args=(60,)).start()
    try:
        signal.raise_signal(signal.SIGINT)
    except KeyboardInterrupt as pressed:
        if how == "told":
            raise TrainingError("run", "stopped by Ctrl-C", "go on") from pressed
        raise

signal.signal(signal.SIGINT, signal.default_int_handler)
atexit.register(print, "tidied")
commands._COMMANDS["train"] = ("ctrl_c", "train", "")
import types, click
fake = types.ModuleType("coteach.cli.ctrl_c")
fake.train = click.Command("train", callback=press, params=[click.Argument(["how"])])
sys.modules["coteach.cli.ctrl_c"] = fake
commands.main()
"""


@pytest.mark.parametrize(
    ("how", "said"), [("plain", "\nAborted!\n"), ("told", "Error: run: stopped by Ctrl-C; go on\n")]
)
def test_it_says_so_tidies_up_and_leaves(how, said):
    words = [sys.executable, "-c", _PRESSED, "train", how]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=30)
    assert (done.returncode, done.stdout, done.stderr) == (1, "tidied\n", said)


def test_who_reads_what_it_says_may_be_gone():
    """Ctrl-C ends tee, too, before what is still to be written to it."""
    here, there = os.pipe()
    os.close(here)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    words = [sys.executable, "-c", _PRESSED, "train", "plain"]
    with os.fdopen(there, "wb") as gone:
        done = subprocess.run(
            words, stdout=gone, stderr=subprocess.PIPE, text=True, check=False, timeout=30, env=environment
        )
    assert (done.returncode, done.stderr) == (1, "\nAborted!\n")
