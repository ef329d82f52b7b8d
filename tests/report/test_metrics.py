"""Accuracy figures against hand-worked numbers and torchmetrics."""

import numpy as np
import pytest
import torch
from torchmetrics.functional.classification import (
    multiclass_accuracy,
    multiclass_cohen_kappa,
    multiclass_confusion_matrix,
    multiclass_jaccard_index,
)

from coteach.errors import InputError, OptionError
from coteach.report.metrics import Accuracy, confusion_matrix, top_k_accuracy


def test_hand_worked_two_classes():
    # 3 of 4 right; IoU 2/3 and 1/2; chance (2·3 + 2·1)/16 = 1/2, so kappa (3/4 − 1/2)/(1/2).
    found = Accuracy.of(confusion_matrix(np.array([0, 0, 1, 1]), np.array([0, 0, 0, 1]), 2))
    assert found.confusion.tolist() == [[2, 0], [1, 1]]
    assert found.overall == 0.75
    assert found.iou.tolist() == pytest.approx([2 / 3, 1 / 2])
    assert found.mean_iou == pytest.approx(7 / 12)
    assert found.kappa == pytest.approx(0.5)


def test_equals_torchmetrics():
    rng = np.random.default_rng(0)
    reference, prediction = rng.integers(0, 5, (2, 40, 30))
    found = Accuracy.of(confusion_matrix(reference, prediction, 5))
    p, t = torch.from_numpy(prediction), torch.from_numpy(reference)
    assert np.array_equal(found.confusion, multiclass_confusion_matrix(p, t, 5).numpy())
    assert found.overall == pytest.approx(multiclass_accuracy(p, t, 5, average="micro").item())
    assert found.mean_iou == pytest.approx(multiclass_jaccard_index(p, t, 5).item(), rel=1e-5)
    assert found.kappa == pytest.approx(multiclass_cohen_kappa(p, t, 5).item(), rel=1e-4)


def test_items_without_a_reference_are_not_counted():
    assert confusion_matrix(np.array([-1, 0, 7]), np.array([1, 0, 1]), 2).tolist() == [[1, 0], [0, 0]]


def test_a_class_that_occurs_nowhere_is_left_out_of_the_mean():
    found = Accuracy.of(np.array([[2, 0, 0], [0, 2, 0], [0, 0, 0]]))
    assert found.mean_iou == 1
    assert np.isnan(found.iou[2])
    assert found.as_dict(["a", "b", "c"])["IoU"]["c"] is None


def test_one_class_everywhere_has_no_kappa():
    assert np.isnan(Accuracy.of(np.array([[4, 0], [0, 0]])).kappa)


def test_bad_input(unchecked):
    with pytest.raises(InputError, match="shape"):
        confusion_matrix(np.zeros(3, int), np.zeros(4, int), 2)
    with pytest.raises(InputError, match="num_classes"):
        confusion_matrix(np.zeros(1, int), np.array([2]), 2)
    with pytest.raises(InputError, match="no item"):
        Accuracy.of(np.zeros((2, 2), int))


def test_recall_and_balanced_accuracy_by_hand():
    found = Accuracy.of(np.array([[3, 1, 0], [0, 0, 0], [1, 0, 1]]))
    np.testing.assert_array_equal(found.recall, [0.75, np.nan, 0.5])
    assert found.balanced == 0.625
    told = found.as_dict(["a", "b", "c"])
    assert told["BA"] == 0.625
    assert told["recall"] == {"a": 0.75, "b": None, "c": 0.5}


def test_top_k_by_a_plain_loop_with_ties_to_the_lowest_code():
    rng = np.random.default_rng(0)
    probs = rng.integers(0, 4, (50, 5)).astype(np.float32)  # many ties
    labels = rng.integers(-1, 5, 50)
    for k in range(1, 6):
        hits = [
            label in sorted(range(5), key=lambda code, row=row: (-row[code], code))[:k]
            for row, label in zip(probs, labels, strict=True)
            if label >= 0
        ]
        assert top_k_accuracy(labels, probs, k) == sum(hits) / len(hits)
    for k in (0, 6):
        with pytest.raises(OptionError, match=f"top-k: {k} of 5 classes; give 1 to 5"):
            top_k_accuracy(labels, probs, k)
    with pytest.raises(InputError, match="no item has a reference"):
        top_k_accuracy(np.full(50, -1), probs, 1)
