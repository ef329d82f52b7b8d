"""Numbers that go wrong in training: gradients beyond float16, batches without a label, losses that are no numbers."""

from __future__ import annotations

import copy
import json
import math
import random
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
import torch
from fault_frame import Family, Try
from same_run import assert_same
from toys import ToyMaps, first_step, make_batch, make_method, toy_network, toy_run, without_labels

from coteach.errors import CoteachWarning, TrainingError
from coteach.training.checkpoints import load_checkpoint
from coteach.training.loss_guard import BAD_BATCH_FILE
from coteach.training.options import TrainerOptions
from coteach.training.run import train
from coteach.training.stepper import Stepper
from coteach.types import Batch

OPTIMIZERS = {
    "AdamW": partial(torch.optim.AdamW, lr=0.1, weight_decay=0.1),
    "SGD with momentum": partial(torch.optim.SGD, lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.1),
    "RMSprop with momentum": partial(torch.optim.RMSprop, lr=0.01, momentum=0.9, weight_decay=0.1),
}
METHODS = ("supervised", "soft_label", "co_teaching", "co_teaching_plus", "jocor")


def tries(count: int, seed: int, shared: Path) -> Iterator[Try]:
    """The three in turn, each of a seeded method and severity."""
    rng = random.Random(seed)
    for number in range(count):
        method = rng.choice(METHODS)
        if number % 3 == 0:
            factor = 10.0 ** rng.uniform(1.5, 3)
            yield Try(
                f"{method}: gradients {factor:.0f} times too large",
                partial(recover, method=method, factor=factor),
            )
        elif number % 3 == 1:
            items, name = rng.randrange(1, 12), rng.choice(sorted(OPTIMIZERS))
            yield Try(
                f"{method}, {name}: {items} items without a label",
                partial(keep, method=method, items=items, optimizer=OPTIMIZERS[name]),
            )
        else:
            bad, value = rng.randrange(12), rng.choice([math.nan, math.inf, -math.inf])
            yield Try(f"{method}: item {bad} is {value}", partial(stop, method=method, bad=bad, value=value))


def recover(folder: Path, method: str, factor: float) -> None:
    """The scale is halved until gradients are finite; from then on it trains as it would have."""

    class Steep(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = toy_network()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            scores = self.net(x)
            if scores.requires_grad:
                scores.register_hook(lambda gradient: gradient * factor)
            return scores

    def run(lr: float) -> dict[str, object]:
        options = {"max_epochs": 6, "precision": "16-mixed"}
        made = toy_run(
            folder / str(lr),
            method,
            options=options,
            make_network=Steep,
            make_optimizer=lambda p: torch.optim.SGD(p, lr=lr),
        )
        with pytest.warns(CoteachWarning, match="16-mixed"):
            train(made)
        return load_checkpoint(folder / str(lr) / "checkpoints" / "last.ckpt")

    end, start = run(0.1 / factor), run(0.0)
    assert end["coteach"]["stepper"]["scaler"]["scale"] < 2.0**16, "nothing overflowed"
    assert all(torch.isfinite(value).all() for value in end["state_dict"].values())
    names = [name for name in end["state_dict"] if "networks" in name and name.endswith("0.weight")]
    assert names
    for name in names:
        assert not torch.equal(end["state_dict"][name], start["state_dict"][name]), f"{name} never trained"


def keep(folder: Path, method: str, items: int, optimizer: Callable[..., torch.optim.Optimizer]) -> None:
    """Not a bit of a weight or of an optimizer changes, and the loss is a number."""
    made = make_method(method)
    networks = [made.networks[name] for name in made.trained]
    optimizers = [optimizer(network.parameters()) for network in networks]
    stepper = Stepper(TrainerOptions(max_epochs=1, accelerator="cpu", gradient_clip_val=1.0))

    def learn(batch: Batch) -> bool:
        loss = made.losses({"train": batch}, first_step()).total()
        assert torch.isfinite(loss)
        loss.backward()
        return stepper.step(optimizers, networks)

    assert learn(make_batch(12))
    kept = copy.deepcopy([list(made.parameters()), *(one.state_dict() for one in optimizers)])
    assert not learn(without_labels(make_batch(items)))
    assert_same(
        kept, [list(made.parameters()), *(one.state_dict() for one in optimizers)], "weights and optimizers"
    )


def stop(folder: Path, method: str, bad: int, value: float) -> None:
    """The run stops, says whose fault it was, and the checkpoint of the epoch before is whole."""

    class LateFault(ToyMaps):
        draws = 0

        def __getitem__(self, index: int) -> dict:
            self.draws += 1
            sample = super().__getitem__(index)
            factor = value if index == bad and self.draws > len(self) + 4 else 1.0
            return {**sample, "image": sample["image"] * factor}

    with pytest.raises(TrainingError, match=BAD_BATCH_FILE):
        train(toy_run(folder, method, datasets={"train": LateFault()}, options={"max_epochs": 4}))
    said = json.loads((folder / BAD_BATCH_FILE).read_text())
    assert any(bad in stream["ids"] for stream in said["items"].values())
    kept = load_checkpoint(folder / "checkpoints" / "last.ckpt")
    assert kept["coteach"]["epochs"] == said["epoch"] >= 1
    assert all(torch.isfinite(value).all() for value in kept["state_dict"].values())


FAMILIES = (
    Family(
        "numbers in training", "recovers, stays, or stops and says why", tries, short=3, long=60, seconds=120
    ),
)
