"""Average precision and the validation loss of boxes, by hand."""

import pytest
import torch

from coteach.errors import MissingExtraError
from coteach.methods.detection_figures import BoxPrecision, detection_error

SQUARE, OTHER = [0.0, 0.0, 40.0, 40.0], [100.0, 100.0, 140.0, 140.0]


def boxes(*rows, labels=None, scores=None):
    found = {
        "boxes": torch.tensor(rows).reshape(-1, 4),
        "labels": torch.tensor(labels or [1] * len(rows), dtype=torch.int64),
    }
    return found if scores is None else found | {"scores": torch.tensor(scores)}


def precision(found, target, **more):
    figures = BoxPrecision(2)
    figures.update([found], [target], **more)
    return {name: round(float(value), 3) for name, value in figures.compute().items()}


def test_precision_of_a_perfect_and_of_an_unfinished_detector():
    perfect = precision(boxes(SQUARE, OTHER, scores=[0.9, 0.8]), boxes(SQUARE, OTHER))
    assert (perfect["AP"], perfect["AP50"], perfect["AP75"], perfect["AP_medium"]) == (1, 1, 1, 1)
    assert perfect["AP_small"] != perfect["AP_small"]  # there is no small box: not a number
    half = precision(boxes(SQUARE, scores=[0.9]), boxes(SQUARE, OTHER))
    assert half["AP50"] == pytest.approx(51 / 101, abs=1e-3)  # recall 0 to 0.5 of 101 points


def test_a_loose_box_counts_at_low_overlap_only():
    loose = precision(boxes([0.0, 0.0, 40.0, 28.0], scores=[0.9]), boxes(SQUARE))  # IoU 0.7
    assert (loose["AP50"], loose["AP75"]) == (1, 0)
    assert loose["AP"] == pytest.approx(0.5, abs=0.11)  # 0.50 to 0.65 or 0.70 of ten thresholds


def test_detections_in_ignored_regions_are_not_wrong():
    found, target = (
        boxes(OTHER, SQUARE, labels=[2, 1], scores=[0.9, 0.8]),
        boxes(SQUARE, SQUARE, labels=[1, 2]),
    )
    plain = precision(boxes(OTHER, SQUARE, scores=[0.9, 0.8]), boxes(SQUARE))
    spared = precision(
        boxes(OTHER, SQUARE, scores=[0.9, 0.8]),
        boxes(SQUARE),
        ignore=[torch.tensor([[90.0, 90.0, 150.0, 150.0]])],
    )
    assert plain["AP50"] == 0.5
    assert spared["AP50"] == 1
    assert precision(found, target)["AP50"] == 0.5  # class 1 found, class 2 missed


def test_error_is_one_minus_f1():
    target = boxes(SQUARE, OTHER)
    assert detection_error([boxes(SQUARE, OTHER, scores=[0.9, 0.6])], [target]).item() == 0
    one_of_three = boxes(SQUARE, [200.0, 0.0, 240.0, 40.0], OTHER, scores=[0.9, 0.9, 0.4])
    assert detection_error([one_of_three], [target]).item() == pytest.approx(1 - 2 * 1 / (2 + 2))
    twice = boxes(SQUARE, SQUARE, scores=[0.9, 0.8])
    assert detection_error([twice], [boxes(SQUARE)]).item() == pytest.approx(1 - 2 * 1 / (2 + 1))
    another_class = boxes(SQUARE, labels=[2], scores=[0.9])
    assert detection_error([another_class], [boxes(SQUARE)]).item() == 1
    assert detection_error([boxes(scores=[])], [boxes()]).item() == 0
    assert detection_error([boxes(scores=[])], [boxes(SQUARE)]).item() == 1


def test_what_is_missing_is_named(monkeypatch):
    from torchmetrics.detection import MeanAveragePrecision

    def absent(self, **options):
        raise ModuleNotFoundError("faster_coco_eval")

    monkeypatch.setattr(MeanAveragePrecision, "__init__", absent)
    with pytest.raises(MissingExtraError, match=r"coteach\[detection\]"):
        BoxPrecision(1)
