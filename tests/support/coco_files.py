"""COCO files of drawn squares (see ``toy_boxes``), with their images beside them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from PIL import Image
from toy_boxes import draw

SMALL_DETECTOR = {
    "_target_": "torchvision.models.detection.fasterrcnn_mobilenet_v3_large_320_fpn",
    "weights": None,
    "weights_backbone": None,
    "num_classes": 3,
    "min_size": 64,
    "max_size": 64,
    "rpn_post_nms_top_n_train": 16,
    "rpn_post_nms_top_n_test": 16,
}  # of two classes, as a configuration has it


def write_coco(folder: Path, name: str, ids: Iterable[int], classes: Sequence[str] = ("red", "blue")) -> Path:
    """Images 64 pixels wide, two squares each; more classes than the two that occur may be named."""
    folder.mkdir(parents=True, exist_ok=True)
    images, annotations = [], []
    for index in ids:
        image, target = draw(index)
        Image.fromarray((image.permute(1, 2, 0) * 255).byte().numpy()).save(folder / f"{index}.png")
        images.append({"id": index, "file_name": f"{index}.png", "width": 64, "height": 64})
        for (x1, y1, x2, y2), label in zip(target["boxes"].tolist(), target["labels"].tolist(), strict=True):
            box = {"bbox": [x1, y1, x2 - x1, y2 - y1], "area": (x2 - x1) * (y2 - y1), "iscrowd": 0}
            annotations.append({"id": len(annotations) + 1, "image_id": index, "category_id": label, **box})
    categories = [{"id": number, "name": one} for number, one in enumerate(classes, 1)]
    file = folder / name
    file.write_text(json.dumps({"images": images, "annotations": annotations, "categories": categories}))
    return file
