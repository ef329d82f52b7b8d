"""Figures of boxes by class and size, by hand."""

import numpy as np
import pytest
import torch

from coteach.errors import InputError
from coteach.methods.detection_figures import BoxPrecision
from coteach.report.box_accuracy import BoxAccuracy, distinct

SMALL, LARGE, ELSEWHERE = [0.0, 0.0, 20.0, 20.0], [100.0, 100.0, 220.0, 220.0], [300.0, 0.0, 320.0, 20.0]


def target(*rows, labels):
    return {"boxes": torch.tensor(rows).reshape(-1, 4), "labels": torch.tensor(labels, dtype=torch.int64)}


def found(*rows, labels, scores):
    return target(*rows, labels=labels) | {"scores": torch.tensor(scores)}


def accuracy(finds, targets, classes, ignore=None):
    precision = BoxPrecision(classes)
    precision.update(finds, targets, ignore)
    counts = np.bincount(torch.cat([one["labels"] for one in targets]), minlength=classes + 1)[1:]
    return BoxAccuracy(
        precision.precision_by_class().numpy(), counts.astype(np.int64), len(targets)
    ), precision


def test_a_right_a_wrong_and_a_right_box():
    """Precision is 1 up to half of the boxes; of all, two of three detections are right."""
    measured, _ = accuracy(
        [found(SMALL, ELSEWHERE, LARGE, labels=[2, 2, 2], scores=[0.9, 0.8, 0.7])],
        [target(SMALL, LARGE, labels=[2, 2])],
        classes=3,
    )
    curve = measured.curves(["a", "b", "c"])
    assert set(curve) == {"b"}
    expected = [1.0] * 51 + [2 / 3] * 50
    assert curve["b"]["precision_50"] == pytest.approx(expected)
    assert curve["b"]["precision_75"] == pytest.approx(expected)
    assert measured.overall["AP"] == pytest.approx(np.mean(expected))
    assert measured.overall["AP_small"] == pytest.approx(1)
    assert measured.overall["AP_large"] == pytest.approx(1)  # small detections are left out, right or wrong
    told = measured.as_dict(["a", "b", "c"])
    assert (told["AP_medium"], told["classes"]["a"]["AP"], told["classes"]["b"]["boxes"]) == (None, None, 2)
    assert told["classes"]["b"]["AP50"] == pytest.approx(np.mean(expected))


def test_classes_count_equally_and_keep_their_order():
    """Class 1 is found loosely (IoU 0.6), class 3 exactly; nothing is of class 2 but a false box."""
    loose = [0.0, 0.0, 20.0, 12.0]
    measured, precision = accuracy(
        [found(loose, LARGE, ELSEWHERE, labels=[1, 3, 2], scores=[0.9, 0.8, 0.7])],
        [target(SMALL, LARGE, labels=[1, 3])],
        classes=3,
    )
    first, second, third = measured.by_class()
    assert (first["AP50"], first["AP75"], third["AP"]) == (1, 0, 1)
    assert first["AP"] == pytest.approx(3 / 10)  # at 0.50, 0.55 and 0.60
    assert np.isnan(second["AP"])
    assert measured.overall["AP"] == pytest.approx((0.3 + 1) / 2)
    for name, value in precision.compute().items():  # as validation has it
        assert measured.overall[name] == pytest.approx(float(value), abs=1e-6, nan_ok=True)


def test_regions_to_ignore_are_neither_right_nor_wrong():
    finds = [found(ELSEWHERE, SMALL, labels=[1, 1], scores=[0.9, 0.8])]
    targets = [target(SMALL, labels=[1])]
    assert accuracy(finds, targets, 1)[0].overall["AP"] == pytest.approx(0.5)
    region = [torch.tensor([[290.0, 0.0, 330.0, 40.0]])]
    assert accuracy(finds, targets, 1, region)[0].overall["AP"] == pytest.approx(1)


def test_without_boxes_there_is_nothing_to_say():
    nothing = found(labels=[], scores=[])
    with pytest.raises(InputError, match="no box"):
        accuracy([nothing], [target(labels=[])], 2)
    assert accuracy([nothing], [target(SMALL, labels=[2])], 2)[0].overall["AP"] == 0


def test_classes_of_one_name_are_told_apart():
    assert distinct(["cell", "dust", "cell"]) == ["cell (1)", "dust", "cell (3)"]
