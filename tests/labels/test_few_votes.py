from __future__ import annotations

import numpy as np
import pytest

from coteach.labels.confidence import entropy
from coteach.labels.few_votes import MOST, FewVotes


@pytest.mark.parametrize("num_sources", range(1, MOST + 1))
def test_the_entropy_is_that_of_the_formula_to_the_last_bit(num_sources):
    rng = np.random.default_rng(num_sources)
    votes = rng.integers(5, size=(num_sources, 3000))
    votes[rng.random(votes.shape) < 0.3] = -1
    votes[0] = votes[0].clip(0)  # somebody votes everywhere
    counts = np.stack([(votes == code).sum(0) for code in range(5)])
    shares = counts.astype(np.float32) / counts.sum(0).astype(np.float32)
    np.testing.assert_array_equal(FewVotes(num_sources).entropy(shares), entropy(shares))
