"""Moving averages of networks: what they take from the network that they follow."""

import pytest
import torch
from torch import nn
from toy_images import ToyImages, draw, step_of

from coteach.methods.base import Stream, TaskInfo
from coteach.methods.discovery import create_method


class Frozen(nn.Module):
    """Batch normalisation that its network holds in evaluation mode, as fine-tuning does."""

    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm2d(2)
        self.last = nn.Linear(2, 2)

    def forward(self, images):
        return self.last(self.norm(images).mean((2, 3)))

    def train(self, mode=True):
        super().train(mode)
        self.norm.eval()
        return self


@pytest.mark.parametrize(("name", "average"), [("elr", "ema"), ("peer_ensemble", "b_mean")])
def test_statistics_that_a_network_holds_are_held_by_its_average(name, average):
    method = create_method(name, {"ema_decay": 0.5})
    method.setup(Frozen, TaskInfo(num_classes=2, num_items=24, seed=1))
    method.train()
    with torch.no_grad():
        for trained in method.trained:
            method.networks[trained].norm.running_mean.fill_(5.0)
    batch = draw(Stream(views=2), dataset=ToyImages(24), ids=range(6))
    method.after_step(step_of(0))
    before = method.predict(batch.inputs)
    for index in range(1, 4):
        method.losses({"train": batch}, step_of(0, index))
        method.after_step(step_of(0, index))
    assert (method.networks[average].norm.running_mean == 5).all()
    torch.testing.assert_close(method.predict(batch.inputs), before)  # nothing was learned
