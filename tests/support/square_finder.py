"""A detector that needs no training: it finds the drawn squares of ``toy_boxes`` by their colour, a little beside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
import yaml
from coco_files import write_coco
from scipy import ndimage
from torch import Tensor, nn

from coteach.methods.supervised_detection import SupervisedDetection

DATASET = "coteach.data.detection_files.CocoDetectionDataset"
FALSE_BOX = [1.0, 2.0, 9.0, 12.0]  # of the first class, in every image


class SquareFinder(SupervisedDetection):
    """Moves each square to the right by 0 to 4 pixels, and finds one that is not there."""

    def __init__(self, labels: Mapping[str, int]) -> None:
        super().__init__()
        self.labels = labels
        self.num_classes = len(labels)
        self.networks["a"] = nn.Linear(1, 1)
        self.seen = 0

    def predict(self, inputs: Sequence[Tensor]) -> list[dict[str, Tensor]]:
        self.seen += len(inputs)
        return [self._look(image) for image in inputs]

    def _look(self, image: Tensor) -> dict[str, Tensor]:
        found = [(0.4, 1, FALSE_BOX)]
        for name, band in (("red", 0), ("blue", 2)):
            parts, _ = ndimage.label(image[band].numpy() > 0.5)
            for rows, columns in ndimage.find_objects(parts):
                shift = columns.start % 5
                box = [columns.start + shift, rows.start, columns.stop + shift, rows.stop]
                found.append((0.2 + rows.start / 100, self.labels[name], box))
        found.sort(key=lambda one: -one[0])
        return {
            "boxes": torch.tensor([box for _, _, box in found], dtype=torch.float32),
            "labels": torch.tensor([label for _, label, _ in found]),
            "scores": torch.tensor([score for score, _, _ in found]),
        }


def coco_node(file: Path, **more: object) -> dict[str, object]:
    """A data set of a configuration."""
    return {"_target_": DATASET, "annotations": str(file), "image_dir": str(file.parent), **more}


def box_run(folder: Path, file: Path, **changes: object) -> Path:
    """A run of detection as training leaves it, but for its weights."""
    content = {
        "num_classes": 2,
        "method": {"name": "supervised_detection"},
        "model": {"_target_": "torchvision.models.detection.fasterrcnn_resnet50_fpn"},
        "optimizer": {"_target_": "torch.optim.SGD", "lr": 0.1},
        "train_dataset": coco_node(file),
        "test_dataset": coco_node(file),
        "class_names": ["blue", "red"],
        "output_dir": str(folder),
    }
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "checkpoints" / "best.ckpt").touch()
    (folder / "config.yaml").write_text(yaml.safe_dump(content | changes))
    return folder


def odd_coco(folder: Path, count: int) -> Path:
    """Drawn squares whose categories are numbered as nobody expects: blue 3, red 7; images from 100."""
    file = write_coco(folder, "odd.json", range(100, 100 + count))
    text = file.read_text()
    for old, new in (('"category_id": 1', '"category_id": 7'), ('"category_id": 2', '"category_id": 3')):
        text = text.replace(old, new)
    file.write_text(
        text.replace('{"id": 1, "name": "red"}', '{"id": 7, "name": "red"}').replace(
            '{"id": 2, "name": "blue"}', '{"id": 3, "name": "blue"}'
        )
    )
    return file
