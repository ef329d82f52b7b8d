"""Labels of other packages' data sets: those outside the classes are refused, as far as they are told."""

import numpy as np
import pytest
import torch
from torch.utils.data import Dataset, TensorDataset

from coteach.data.other_labels import check_other_labels
from coteach.errors import InputError


class Theirs(Dataset):
    """Counts what is drawn; each label is made by ``wrap``, as data sets write them."""

    def __init__(self, labels, wrap=int):
        self.labels, self.wrap, self.drawn = labels, wrap, 0

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, index):
        self.drawn += 1
        return torch.zeros(1, 4, 4), self.wrap(self.labels[index])


@pytest.mark.parametrize("wrap", [int, torch.tensor, np.int64, np.asarray])
def test_labels_from_one_on_are_refused(wrap):
    with pytest.raises(
        InputError, match=r"Theirs, item 1: its label 2 is not one of 0 to 1 \(2 such labels\)"
    ):
        check_other_labels(Theirs([1, 2, 1, 2], wrap), 2)
    check_other_labels(Theirs([1, 2, -1, 0], wrap), 3)


def test_one_class_teaches_nothing():
    """Known of sets that list their labels, and of small ones; nothing is to be learned from a validation set."""
    for data in (Theirs([1, -1, 1]), TensorDataset(torch.zeros(100, 1), torch.zeros(100, dtype=torch.long))):
        check_other_labels(data, 3)
        with pytest.raises(InputError, match=r"its labels hold only class [01]; give labels of at least two"):
            check_other_labels(data, 3, learns=True)
    check_other_labels(Theirs([1] * 100), 3, learns=True)  # not all of them have been looked at


def test_a_long_set_is_sampled_from_all_over_it():
    data = Theirs([0, 1] * 500 + [5] * 20)
    with pytest.raises(InputError, match=r"item 1008: its label 5"):
        check_other_labels(data, 2)
    assert data.drawn <= 64


def test_listed_labels_are_all_looked_at_without_drawing():
    data = Theirs([0] * 1000)
    data.targets = [0] * 777 + [4] + [0] * 222
    with pytest.raises(InputError, match=r"item 777: its label 4"):
        check_other_labels(data, 2)
    assert data.drawn == 0
    tensors = TensorDataset(torch.zeros(3, 1, 4, 4), torch.tensor([0, 1, 9]))
    with pytest.raises(InputError, match=r"TensorDataset, item 2: its label 9"):
        check_other_labels(tensors, 2)


def test_other_kinds_of_labels_pass():
    check_other_labels(Theirs([0, 1], lambda code: torch.eye(2)[code]), 2)  # shares
    named = Theirs(["cat", "dog"], str)
    named.collate = lambda samples: samples  # makes classes of them
    check_other_labels(named, 2)
    for label in (np.float16([0.5, 0.5]), {"mask": 1}):
        check_other_labels(Theirs([0, 1], lambda code, label=label: label), 2)
    data = Theirs([0, 1])
    data.targets = ["no", "integers"]
    check_other_labels(data, 2)
    with pytest.raises(InputError, match="Theirs: has no samples; give at least one"):
        check_other_labels(Theirs([]), 2)


@pytest.mark.parametrize("shape", [(1, 1), (4, 4), (2, 4, 4)])
def test_maps_are_no_labels_of_images(shape):
    with pytest.raises(InputError, match=r"item 0: its label has shape \(.*\), as of a map; give the number"):
        check_other_labels(Theirs([0, 1], lambda code: torch.full(shape, code)), 2)


def test_lists_that_are_no_labels_are_not_taken_for_them():
    """``target_transform`` makes other labels of those listed; lists of several to a sample are none."""
    data = Theirs([0, 1, 0, 1])
    data.targets, data.target_transform = [1, 2, 3, 4], lambda label: (label + 1) % 2
    check_other_labels(data, 2)
    data.target_transform = None
    with pytest.raises(InputError, match="item 1: its label 2"):
        check_other_labels(data, 2)
    data.targets = [[1], [2, 3], [], [7]]
    check_other_labels(data, 2)
