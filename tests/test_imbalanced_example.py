"""The example with imbalanced, noisy labels: its threshold, and the whole command on a tiny set."""

import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from coteach.models import SmallMobileNet
from coteach.tables import write_table

SOLUTION = Path(__file__).parents[1] / "examples" / "imbalanced_noisy" / "solution.py"


@pytest.fixture(scope="module")
def solution():
    spec = importlib.util.spec_from_file_location("imbalanced_solution", SOLUTION)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


class OneNumber(nn.Module):
    """The score of class 1 is the only pixel, that of class 0 is nought."""

    def __init__(self):
        super().__init__()
        self.classifier = nn.Sequential(nn.Flatten(), nn.Linear(1, 2))
        with torch.no_grad():
            self.classifier[-1].weight.copy_(torch.tensor([[0.0], [1.0]]))
            self.classifier[-1].bias.zero_()

    def forward(self, images):
        return self.classifier(images)


def test_noisy_labels_give_the_threshold_of_the_right_ones(solution):
    """Nine to one, and most items labelled 1 are wrong: the true border, at 5, is found all the same."""
    right = torch.arange(1000) >= 900
    values = torch.where(right, 6.0, 4.0) + torch.linspace(-0.9, 0.9, 1000)
    wrong = torch.where(right, torch.arange(1000) % 10 < 3, torch.arange(1000) % 10 < 2)
    labels = (right ^ wrong).long()
    assert (labels[~right].sum(), labels[right].sum()) == (180, 70)
    model, images = OneNumber(), values.view(-1, 1, 1, 1)
    solution.centre(model, images, labels)
    assert (
        model(images).argmax(1) == right
    ).float().mean() > 0.995  # noise can win or lose a few at the border


@pytest.mark.parametrize("seed", range(5))
def test_no_other_threshold_is_better(solution, seed):
    torch.manual_seed(seed)
    images, labels = torch.rand(40, 1, 8, 8), (torch.rand(40) < 0.2).long()
    model = SmallMobileNet(stride=2)
    solution.centre(model, images, labels)
    centred = solution.balanced_accuracy([model], images, labels)
    margin = solution.scores(model, images).diff(dim=1)[:, 0]
    thresholds = [margin.min() - 1, *margin, margin.max() + 1]
    by_hand = [
        ((margin > t)[labels == 1].float().mean() + (margin <= t)[labels == 0].float().mean()).item() / 2
        for t in thresholds
    ]
    assert centred == pytest.approx(max(by_hand))


def test_the_command_runs_and_a_second_call_adds_what_is_missing(solution, tmp_path, monkeypatch, capsys):
    rng = np.random.default_rng(0)
    for part in ("train", "val"):
        (tmp_path / part / "data").mkdir(parents=True)
        rows = [{"file_name": f"{number}.png", "label": str(number % 3 // 2)} for number in range(30)]
        for row in rows:
            pixels = rng.integers(0, 256, (8, 8), dtype=np.uint8) // (1 + 3 * int(row["label"]))
            Image.fromarray(pixels).save(tmp_path / part / "data" / row["file_name"])
        write_table(tmp_path / part / "dataset_labels.csv", ["file_name", "label"], rows)

    def call(*recipes):
        words = ["solution.py", str(tmp_path), "--device", "cpu", "--seeds", "1", "--recipes", *recipes]
        monkeypatch.setattr(sys, "argv", words)
        solution.main()
        return capsys.readouterr().out

    first, *others = solution.RECIPES
    file = tmp_path / "results.json"
    assert call(first).startswith(f"{first}, seed 1:")
    before = json.loads(file.read_text())
    printed = call(first, *others)
    assert not printed.startswith(f"{first}, seed 1:")
    results = json.loads(file.read_text())
    assert list(results) == list(solution.RECIPES)
    assert results[first] == before[first]  # seconds too: nothing was done again
    for name, by_seed in results.items():
        assert f"| {name} | 1 |" in printed
        assert 0 <= by_seed["1"]["val"] <= 1
