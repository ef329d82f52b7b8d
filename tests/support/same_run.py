"""Two folders of runs, of which one was interrupted: is the training in them the same, bit for bit?"""

import csv
from pathlib import Path
from typing import Any

import torch

from coteach.report.logs import read_log
from coteach.training.checkpoints import load_checkpoint


def result(folder: Path) -> dict[str, Any]:
    """The last checkpoint, but for the time that it took."""
    content = load_checkpoint(folder / "checkpoints" / "last.ckpt")
    content["coteach"]["seconds"] = 0.0
    return content


def steps_of(folder: Path) -> dict[int, set[str]]:
    """Step -> loss, over all sessions; what was done again counts once more only if it is another figure."""
    found: dict[int, set[str]] = {}
    for file in folder.glob("logs/version_*/metrics.csv"):
        for row in csv.DictReader(file.read_text().splitlines()):
            if row.get("train/loss_step"):
                found.setdefault(int(row["step"]), set()).add(row["train/loss_step"])
    return found


def assert_same(first: Any, second: Any, where: str) -> None:
    """Plain data and tensors, bit for bit; ``where`` names them in the message."""
    assert type(first) is type(second), where
    if isinstance(first, torch.Tensor):
        assert first.dtype == second.dtype, where
        assert torch.equal(first, second), where
    elif isinstance(first, dict):
        assert list(first) == list(second), where
        for key in first:
            assert_same(first[key], second[key], f"{where}.{key}")
    elif isinstance(first, list | tuple):
        assert len(first) == len(second), where
        for index, pair in enumerate(zip(first, second, strict=True)):
            assert_same(*pair, f"{where}[{index}]")
    else:
        assert str(first) == str(second), where  # not a number is the same as itself


def assert_same_weights(first: Path, second: Path) -> None:
    """What two runs trained; the rest of their checkpoints may differ."""
    weights = [result(folder)["state_dict"] for folder in (first, second)]
    assert weights[0]
    assert_same(*weights, "state_dict")


def assert_same_run(parts: Path, whole: Path, *, lost: int = 0) -> None:
    """Weights, optimizers, schedules, the method's state and the logged figures.

    Args:
        parts: of the run that was interrupted.
        whole: of the other.
        lost: steps whose loss may be missing in the log: a run that is killed between a checkpoint and the row of the
            log that follows it goes on after both.
    """
    first, second = result(parts), result(whole)
    for part in ("state_dict", "optimizer_states", "lr_schedulers", "coteach"):
        assert_same(first[part], second[part], part)
    best = [load_checkpoint(folder / "checkpoints" / "best.ckpt")["state_dict"] for folder in (parts, whole)]
    assert_same(*best, "state_dict of the best")
    assert read_log(parts).figures == read_log(whole).figures
    found, wanted = steps_of(parts), steps_of(whole)
    missing = wanted.keys() - found.keys()
    assert len(missing) <= lost, f"of steps {sorted(missing)} the loss is not logged"
    assert found == {step: losses for step, losses in wanted.items() if step not in missing}
