"""At Ctrl-C the loaders' processes end at once, and no other."""

import os
import signal
import subprocess
import sys
import time
from multiprocessing import current_process, get_context

import lightning as L
import pytest

from coteach.training.loader_workers import EndLoaderWorkers, refuse_in_starting_process


@pytest.mark.parametrize(("error", "ended"), [(KeyboardInterrupt(), True), (ValueError(), False)])
def test_daemonic_processes_of_the_training_end(error, ended):
    def start(*, daemon):
        process = get_context("spawn").Process(target=time.sleep, args=(60,), daemon=daemon)
        process.start()
        return process

    trainer = L.Trainer(accelerator="cpu", logger=False, enable_checkpointing=False)
    module = L.LightningModule()
    handler = signal.getsignal(signal.SIGCHLD)
    before = start(daemon=True)
    callback = EndLoaderWorkers()
    callback.setup(trainer, module, "fit")
    own, loaders = start(daemon=False), start(daemon=True)  # they are still starting
    try:
        begun = time.monotonic()
        callback.on_exception(trainer, module, error)
        assert time.monotonic() - begun < 2
        assert [process.is_alive() for process in (before, own, loaders)] == [True, True, not ended]
        assert signal.getsignal(signal.SIGCHLD) == handler
    finally:
        for process in (before, own, loaders):
            process.kill()
            process.join()


SCRIPT = """
import numpy as np
from coteach import Supervised, fit
from coteach.models import SmallMobileNet

print("begun")
data = np.zeros((4, 6, 6), np.uint8), np.arange(4) % 2
fit(SmallMobileNet, data, method=Supervised(), epochs=1, batch_size=2, device="cpu", num_workers=1)
"""


def test_a_script_without_a_guard_is_told_of_it(tmp_path):
    """Its workers run it again: they say so in a line each, and so does the error."""
    (tmp_path / "script.py").write_text(SCRIPT)
    command = [sys.executable, "-W", "ignore", "script.py"]
    ended = subprocess.run(
        command, cwd=tmp_path, env=os.environ, capture_output=True, text=True, timeout=300, check=False
    )
    assert ended.returncode == 1
    assert ended.stdout.split() == ["begun"] * 2
    advice = 'put what it does under if __name__ == "__main__":, or use num_workers=0'
    told = [line for line in ended.stderr.splitlines() if advice in line]
    assert len(told) == 2
    assert told[0].startswith("Error: num_workers: 1 processes load samples, and each runs the script again")
    assert told[1] == ended.stderr.splitlines()[-1]
    assert "a loader worker was lost" in told[1]


def test_only_a_starting_process_that_would_start_others_is_ended(monkeypatch):
    refuse_in_starting_process(2)
    monkeypatch.setattr(current_process(), "_inheriting", True, raising=False)
    refuse_in_starting_process(0)
    with pytest.raises(SystemExit, match="num_workers: 2 processes"):
        refuse_in_starting_process(2)
