"""At Ctrl-C the loaders' processes end at once, and no other."""

import signal
import time
from multiprocessing import get_context

import lightning as L
import pytest

from coteach.training.loader_workers import EndLoaderWorkers


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
