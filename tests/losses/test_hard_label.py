"""The class of the highest share."""

import pytest
import torch

from coteach.losses.target import hard_label


@pytest.mark.parametrize("shape", [(7, 5), (2, 5, 3, 4), (3, 1, 2), (2, 3, 0)])
def test_is_the_argmax_ties_to_the_lowest_code(shape):
    scores = torch.randint(0, 3, shape, generator=torch.Generator().manual_seed(0)).float()  # many ties
    got = hard_label(scores)
    rows = scores.movedim(1, -1).reshape(-1, shape[1]).tolist()
    expected = [row.index(max(row)) for row in rows]
    assert got.flatten().tolist() == expected
    assert got.dtype == torch.int32
