"""Small labelled maps and networks for tests of methods and training."""

from collections.abc import Container
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from coteach.data.collate import collate_batch
from coteach.data.keyed import ItemKey, KeyedDataset
from coteach.methods.base import Method, Step, TaskInfo
from coteach.methods.discovery import create_method
from coteach.training.options import SchedulerOptions, TrainerOptions
from coteach.training.run import TrainingRun
from coteach.training.streams import LoaderOptions
from coteach.types import Batch


class ToyMaps(Dataset):
    """Two bands; the class of a pixel is the band that is larger. Drawn with noise from torch's generator."""

    num_classes = 2

    def __init__(self, size: int = 12, noise: float = 0.05) -> None:
        self.size = size
        self.noise = noise

    def __len__(self) -> int:
        return self.size

    def plain(self, index: int) -> dict:
        generator = torch.Generator().manual_seed(index)
        image = torch.rand(2, 8, 8, generator=generator)
        label = nn.functional.one_hot(image.argmax(0), 2).movedim(-1, 0).float()
        return {
            "image": image,
            "mask": {"mask": label, "w_conf": torch.rand(1, 8, 8, generator=generator)},
            "path": str(index),
        }

    def __getitem__(self, index: int) -> dict:
        sample = self.plain(index)
        return {**sample, "image": sample["image"] + self.noise * torch.randn(2, 8, 8)}


class PartlyLabelled(Dataset):
    """A data set of maps or images of which only some have a label."""

    num_classes = 2

    def __init__(self, dataset: Dataset, labelled: Container[int] = ()) -> None:
        self.dataset = dataset
        self.labelled = labelled

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> dict:
        sample = self.dataset[index]
        return sample if index in self.labelled else {**sample, "mask": nobodys(sample["mask"])}


def nobodys(target: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same target without a label anywhere."""
    return {"mask": torch.full_like(target["mask"], 0.5), "w_conf": torch.zeros_like(target["w_conf"])}


def toy_network() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(2, 8, 1), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout(0.1), nn.Conv2d(8, 2, 1)
    )


def adam(parameters: Tensor) -> torch.optim.Optimizer:
    return torch.optim.Adam(parameters, lr=0.01)


def toy_run(folder: Path, method: str = "co_teaching", **changes) -> TrainingRun:
    """A run of two epochs on the CPU; ``options`` and other fields can be changed."""
    options = {"max_epochs": 2, "accelerator": "cpu", "devices": 1} | changes.pop("options", {})
    fields = {
        "method": create_method(method, changes.pop("method_options", {})),
        "make_network": toy_network,
        "make_optimizer": adam,
        "datasets": {"train": ToyMaps(), "val": ToyMaps(4, noise=0)},
        "num_classes": 2,
        "output_dir": folder,
        "seed": 1,
        "scheduler": SchedulerOptions(make=lambda o: torch.optim.lr_scheduler.StepLR(o, 1, gamma=0.5)),
        "loader": LoaderOptions(batch_size=4),
        "options": TrainerOptions(**options),
    }
    return TrainingRun(**(fields | changes))


def make_method(name: str, options: dict | None = None, seed: int = 3) -> Method:
    """A method that is set up for ``ToyMaps`` and in training mode."""
    method = create_method(name, options or {})
    method.setup(toy_network, TaskInfo(num_classes=2, num_items=12, seed=seed))
    return method.train()


def make_batch(count: int = 6) -> Batch:
    keyed = KeyedDataset(ToyMaps(), seed=0)
    return collate_batch([keyed[ItemKey(i, 0)] for i in range(count)])


def without_labels(batch: Batch) -> Batch:
    """The same views, none of them labelled."""
    return replace(batch, targets=tuple(nobodys(target) for target in batch.targets))


def first_step() -> Step:
    return Step(epoch=0, index=0, update=0, seed=3)
