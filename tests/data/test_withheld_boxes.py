"""Boxes that a data set withholds: they are there for figures, and move with the image."""

import numpy as np
import pytest
import torch
from PIL import Image

from coteach.data.detection_boxes import AnnotatedImage, Annotations
from coteach.data.detection_set import DetectionDataset


def annotations(folder, boxes):
    """One image of 40 x 20 pixels, black but for white boxes."""
    pixels = np.zeros((20, 40, 3), np.uint8)
    for x1, y1, x2, y2 in boxes:
        pixels[y1:y2, x1:x2] = 255
    Image.fromarray(pixels).save(folder / "a.png")
    table = np.array(boxes, np.float32).reshape(-1, 4)
    labels, nothing = np.ones(len(boxes), np.int64), np.zeros((0, 4), np.float32)
    return Annotations(
        folder, (AnnotatedImage(1, folder / "a.png", (20, 40), table, labels, nothing),), ("w",), (1,)
    )


def test_the_truth_frames_what_is_white_in_every_weak_view(tmp_path):
    weak = {"flip": 0.5, "short_side": [30, 60], "long_side": 200}
    dataset = DetectionDataset(annotations(tmp_path, [(4, 5, 14, 15)]), labelled=False, weak=weak)
    flipped = set()
    for seed in range(12):
        dataset.reseed(seed)
        sample = dataset[0]
        assert sample["mask"] is None
        rows, columns = (sample["image"][0] > 0.5).nonzero(as_tuple=True)
        frame = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        [box] = sample["truth"]["boxes"].tolist()
        assert box == pytest.approx([float(one) for one in frame], abs=1.5)
        flipped.add(box[0] > sample["image"].shape[2] / 2)
    assert flipped == {True, False}


def test_there_is_none_without_boxes_and_none_beside_those_that_are_given(tmp_path):
    full, empty = annotations(tmp_path, [(4, 5, 14, 15)]), annotations(tmp_path, [])
    assert "truth" not in DetectionDataset(full)[0]
    assert "truth" not in DetectionDataset(empty, labelled=False)[0]
    batch = DetectionDataset.collate(
        [
            {"id": 0, "views": (sample.pop("image"),), "targets": (sample.pop("mask"),), "extra": sample}
            for sample in [DetectionDataset(full, labelled=False)[0]]
        ]
    )
    assert batch.target is None
    assert torch.equal(batch.extra["truth"][0]["boxes"], torch.tensor([[4.0, 5.0, 14.0, 15.0]]))
