from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from coteach.errors import OptionError
from coteach.labels.patterns import PatternCode, PatternCounts, count_numbers

votes = st.tuples(st.integers(1, 4), st.integers(1, 30)).flatmap(
    lambda shape: arrays(np.int16, shape, elements=st.integers(-1, 2))
)


@given(votes)
def test_numbers_lead_back_to_the_votes(codes):
    code = PatternCode(len(codes), 3)
    numbers = code.numbers(codes)
    np.testing.assert_array_equal(code.codes(numbers.astype(np.int64)).T, codes)
    assert len(set(numbers.tolist())) == len({tuple(column) for column in codes.T.tolist()})
    assert numbers.max(initial=0) < code.size


@pytest.mark.parametrize(
    ("sources", "classes", "dtype"),
    [(2, 15, "uint8"), (4, 6, "uint16"), (6, 10, "uint32"), (17, 10, "uint64")],
)
def test_the_smallest_dtype_holds_all(sources, classes, dtype):
    code = PatternCode(sources, classes)
    assert code.dtype == dtype
    last = np.full((sources, 1), classes - 1, np.int16)
    assert int(code.numbers(last)[0]) == code.size - 1 == (classes + 1) ** sources - 1


def test_more_patterns_than_a_number_holds_are_refused():
    with pytest.raises(
        OptionError, match=r"lulc_keys: 18 sources of 10 classes can vote in more than 2\^62 ways"
    ):
        PatternCode(18, 10)


@given(votes, votes)
def test_counts_of_parts_add_up(one, other):
    sources = min(len(one), len(other))
    parts, expected = [], Counter()
    for codes in (one[:sources], other[:sources]):
        expected.update(map(tuple, codes.T.tolist()))
        code = PatternCode(sources, 3)
        numbers, counts = count_numbers(code.numbers(codes), code.size)
        parts.append(PatternCounts(code.codes(numbers), counts))
    merged = PatternCounts.merged(parts)
    assert dict(zip(map(tuple, merged.codes.tolist()), merged.counts.tolist(), strict=True)) == expected
    assert merged.codes.tolist() == sorted(merged.codes.tolist())


@pytest.mark.parametrize("size", [8, 10**9])
def test_numbers_are_counted_whatever_their_range(size):
    found, counts = count_numbers(np.array([[7, 3], [3, 0]], np.uint32), size)
    assert (found.tolist(), counts.tolist()) == ([0, 3, 7], [1, 2, 1])
