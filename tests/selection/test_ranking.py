"""Both implementations of the one operator that ranks, against sorted lists."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from coteach.selection import radix
from coteach.selection.ranking import by_radix, by_sorting, take_smallest
from coteach.selection.ties import tie_order

# each as it is in 32 bits, where the plain lists would tell 1e-45 from the number that it becomes there
SPECIAL = torch.tensor(
    [0.0, -0.0, 1.0, 1.0, -1.0, 1e-45, 3.4e38, -3.4e38, math.inf, -math.inf, math.nan]
).tolist()
rows = st.lists(
    st.tuples(st.floats(width=32) | st.sampled_from(SPECIAL), st.integers(0, 4)), min_size=1, max_size=80
)


def plain(values, slots, shares, slack, minimum, seed, step):
    """Which positions are taken: every group sorted by (NaN last, value, hash, position), its first k taken."""
    bits = 63 - 32 - len(shares).bit_length()
    ties = tie_order(torch.arange(len(values)), seed, step, bits).tolist()
    taken = set()
    for g, share in enumerate(shares):
        own = [i for i, s in enumerate(slots) if s == g]
        own.sort(key=lambda i: (math.isnan(values[i]), 0 if math.isnan(values[i]) else values[i], ties[i], i))
        taken |= set(own[: min(len(own), max(minimum, math.floor(share * len(own) + slack)))])
    return taken


@pytest.fixture(params=["radix", "radix with coarse bins", "sorting", "double"])
def implementation(request, monkeypatch):
    """``(values, slots, shares, slack, minimum, seed, step)`` -> the operator's results."""
    if request.param == "radix with coarse bins":
        monkeypatch.setattr(radix, "_SORT_AT_ONCE", 3)
        monkeypatch.setattr(radix, "_BINS", 16)
    chosen = by_radix if request.param.startswith("radix") else by_sorting
    dtype = torch.float64 if request.param == "double" else torch.float32

    def run(values, slots, shares, slack, minimum, seed, step):
        given_slots = torch.tensor(slots, dtype=torch.int32)
        share = torch.tensor(shares, dtype=torch.float64)
        return chosen(torch.tensor(values, dtype=dtype), given_slots, share, slack, minimum, seed, step)

    return run


def test_takes_what_sorted_lists_take(implementation):
    @given(rows, st.lists(st.floats(0, 1), min_size=4, max_size=4), st.integers(0, 2), st.integers(0, 3))
    @settings(max_examples=150)
    def check(pairs, shares, minimum, step):
        values, slots = (list(column) for column in zip(*pairs, strict=True))  # group 4 takes no part
        mask, quota, size = implementation(values, slots, shares, 1e-6, minimum, 5, step)
        expected = plain(values, slots, shares, 1e-6, minimum, 5, step)
        assert set(mask.nonzero()[:, 0].tolist()) == expected
        assert size.tolist() == [slots.count(g) for g in range(4)]
        assert quota.tolist() == [sum(slots[i] == g for i in expected) for g in range(4)]

    check()


def test_of_one_group_too(implementation):
    @given(rows, st.floats(0, 1), st.integers(0, 2), st.integers(0, 3))
    @settings(max_examples=150)
    def check(pairs, share, minimum, step):
        values, slots = (
            [value for value, _ in pairs],
            [slot // 4 for _, slot in pairs],
        )  # group 1 takes no part
        mask, quota, _ = implementation(values, slots, [share], 1e-6, minimum, 5, step)
        expected = plain(values, slots, [share], 1e-6, minimum, 5, step)
        assert set(mask.nonzero()[:, 0].tolist()) == expected
        assert quota.tolist() == [len(expected)]

    check()


@pytest.mark.parametrize(
    "kind", ["uniform", "equal", "few values", "huge range", "negative", "one group empty"]
)
def test_many_items_are_taken_the_same_way_by_both(kind):
    generator = torch.Generator().manual_seed(1)
    n = 60_000
    noise = torch.rand(n, generator=generator)
    values = {
        "uniform": noise,
        "equal": torch.full((n,), 0.5),
        "few values": (noise * 5).floor(),
        "huge range": torch.exp(60 * (noise - 0.5)),
        "negative": -noise,
        "one group empty": noise,
    }[kind]
    slots = torch.randint(0, 7, (n,), generator=generator, dtype=torch.int32)
    if kind == "one group empty":
        slots[slots == 2] = 6
    share = torch.rand(6, generator=generator).double()
    one, two = (f(values, slots, share, 1e-6, 1, 9, 4) for f in (by_radix, by_sorting))
    for mine, other in zip(one, two, strict=True):
        assert torch.equal(mine, other)


def test_equal_values_beyond_their_hashes_are_taken_by_position(monkeypatch):
    monkeypatch.setattr(radix, "_SORT_AT_ONCE", 3)
    key, slots = torch.zeros(50, dtype=torch.int32), torch.zeros(50, dtype=torch.int32)
    taken = radix.narrow_down(key, slots, torch.tensor([20]), lambda items: torch.zeros_like(items).int())
    assert taken.nonzero()[:, 0].tolist() == list(range(20))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_ranked_exactly(dtype):
    values = torch.linspace(0, 6, 500).to(dtype)
    args = (torch.zeros(500, dtype=torch.int32), torch.tensor([0.3], dtype=torch.float64))
    options = {"slack": 0.0, "minimum": 0, "seed": 0, "step": 0}
    for mine, wide in zip(
        take_smallest(values, *args, **options), take_smallest(values.double(), *args, **options), strict=True
    ):
        assert torch.equal(mine, wide)


def test_the_operator_passes_torchs_own_checks():
    sample = (
        torch.rand(9),
        torch.randint(0, 3, (9,), dtype=torch.int32),
        torch.rand(2).double(),
        0.5,
        0,
        1,
        2,
    )
    torch.library.opcheck(torch.ops.coteach.take_smallest.default, sample)
