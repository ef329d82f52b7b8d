"""The seconds of a benchmark's table: of both stages of a training, over all their sessions."""

import importlib
from argparse import Namespace
from pathlib import Path

import torch

from coteach.training.state import write_state

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


def test_burning_in_counts_for_each_method_and_so_do_earlier_sessions(tmp_path, monkeypatch):
    """Of two methods that begin with the same detector, the second does not train it again."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    runs = importlib.import_module("detection_runs")

    class Trained(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.networks = torch.nn.ModuleDict({"a": torch.nn.Linear(1, 1)})

    def stage(name, method_name, steps, network, setting, options):
        """Finished in an earlier session."""
        (tmp_path / name).mkdir(exist_ok=True)
        write_state(tmp_path / name, {"finished": True, "seconds": {"burn_in": 100.0}.get(method_name, 7.0)})
        network()
        return Trained()

    monkeypatch.setattr(runs, "_stage", stage)
    for method in ("soft_teacher", "supervised"):
        setting = runs.Setting(
            name="10", method=method, seed=0, labelled=None, unlabelled=None, judged={},
            network=lambda: torch.nn.Linear(1, 1),
        )  # fmt: skip
        _, seconds = runs._train(setting, Namespace(folder=tmp_path, burn_in=1, steps=1))
        assert seconds == 107
