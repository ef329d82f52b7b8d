"""Small labelled images and a network for them, for tests of methods whose items are images."""

import torch
from torch import nn
from torch.utils.data import Dataset

from coteach.data.collate import collate_batch
from coteach.data.keyed import ItemKey, KeyedDataset
from coteach.methods.base import Method, Step, Stream, TaskInfo
from coteach.methods.discovery import create_method
from coteach.types import Batch


class ToyImages(Dataset):
    """Two bands of 4 x 4; the class is the brighter band. Drawn with noise from torch's generator.

    ``wrong`` images are labelled with the other class.
    """

    num_classes = 2

    def __init__(self, size: int = 12, noise: float = 0.05, wrong: tuple[int, ...] = ()) -> None:
        self.size = size
        self.noise = noise
        self.wrong = wrong

    def __len__(self) -> int:
        return self.size

    def plain(self, index: int) -> dict:
        generator = torch.Generator().manual_seed(index)
        image = torch.rand(2, 4, 4, generator=generator)
        image[index % 2] += 0.5
        code = index % 2 if index not in self.wrong else 1 - index % 2
        label = nn.functional.one_hot(torch.tensor(code), 2).float()
        return {
            "image": image,
            "mask": {"mask": label, "w_conf": torch.tensor(1 - index / max(100, self.size))},
        }

    def __getitem__(self, index: int) -> dict:
        sample = self.plain(index)
        return {**sample, "image": sample["image"] + self.noise * torch.randn(2, 4, 4)}


def image_network() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(2, 8, 1), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout(0.1), nn.Flatten(), nn.Linear(128, 2)
    )


def image_method(name: str, options: dict | None = None, seed: int = 3, num_items: int = 12) -> Method:
    """A method that is set up for ``ToyImages`` and in training mode."""
    method = create_method(name, options or {})
    method.setup(image_network, TaskInfo(num_classes=2, num_items=num_items, seed=seed))
    return method.train()


def draw(stream: Stream, epoch: int = 0, dataset: Dataset | None = None, ids=None) -> Batch:
    """All samples of a stream in one batch; or those of ``ids``."""
    dataset = dataset or ToyImages()
    keyed = KeyedDataset(dataset, seed=0, views=stream.views, augment=stream.augment)
    chosen = ids if ids is not None else stream.ids if stream.ids is not None else range(len(dataset))
    return collate_batch([keyed[ItemKey(i, epoch)] for i in chosen])


def image_batch(count: int = 6) -> Batch:
    return draw(Stream(), ids=range(count))


def step_of(epoch: int, index: int = 0) -> Step:
    return Step(epoch=epoch, index=index, update=index, seed=3)
