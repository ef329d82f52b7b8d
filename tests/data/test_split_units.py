from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coteach.data.split_units import SPLITS, Patch, assign, blocks_touched, draw, split_sizes

ratios_of_three = st.tuples(st.integers(1, 20), st.integers(0, 20), st.integers(0, 20)).map(
    lambda parts: tuple(part / sum(parts) for part in parts)
)


@pytest.mark.parametrize(
    ("count", "ratios", "sizes"),
    [
        (100, (0.7, 0.15, 0.15), [70, 15, 15]),
        (20, (0.7, 0.15, 0.15), [14, 3, 3]),
        (10, (0.7, 0.15, 0.15), [7, 2, 1]),  # 1.5 and 1.5: the first of equal remainders
        (4, (0.7, 0.15, 0.15), [2, 1, 1]),  # 2.8, 0.6, 0.6, none empty
        (3, (0.7, 0.15, 0.15), [1, 1, 1]),
        (7, (0.5, 0.5, 0.0), [4, 3, 0]),
        (1, (1.0, 0.0, 0.0), [1, 0, 0]),
        (11, (1 / 3, 1 / 3, 1 / 3), [4, 4, 3]),
    ],
)
def test_sizes_worked_by_hand(count, ratios, sizes):
    assert split_sizes(count, ratios) == sizes


@given(count=st.integers(3, 60), ratios=ratios_of_three)
def test_no_other_sizes_come_closer_to_the_ratios(count, ratios):
    """Oracle: try all ways to share out the units."""

    def distance(sizes):
        return sum((size - ratio * count) ** 2 for size, ratio in zip(sizes, ratios, strict=True))

    def allowed(sizes):
        return all(
            (size > 0) == (ratio > 0) or size > 0 < ratio for size, ratio in zip(sizes, ratios, strict=True)
        )

    every = [
        (a, b, count - a - b) for a, b in itertools.product(range(count + 1), repeat=2) if a + b <= count
    ]
    best = min(distance(sizes) for sizes in every if allowed(sizes))
    sizes = split_sizes(count, ratios)
    assert sum(sizes) == count
    assert allowed(sizes)
    assert distance(sizes) == pytest.approx(best, abs=1e-6)


@given(count=st.integers(60, 500), ratios=ratios_of_three)
def test_sizes_are_within_one_unit_of_the_ratios(count, ratios):
    """The ratios are 0 or at least 1/60, so that from 60 units on no split needs the rule of at least one."""
    for size, ratio in zip(split_sizes(count, ratios), ratios, strict=True):
        assert abs(size - ratio * count) < 1


@given(
    names=st.sets(st.text(max_size=5), min_size=3, max_size=40), seed=st.integers(0, 2**40), data=st.data()
)
def test_a_draw_depends_on_seed_and_names_only(names, seed, data):
    ratios = (0.7, 0.15, 0.15)
    drawn = draw(names, ratios, seed)
    assert drawn.keys() == names
    assert [list(drawn.values()).count(split) for split in SPLITS] == split_sizes(len(names), ratios)
    shuffled = data.draw(st.permutations(sorted(names)))
    assert draw([*shuffled, *shuffled], ratios, seed) == drawn


def test_seeds_and_names_change_the_draw_and_every_unit_has_its_chance():
    names = [f"tile_{i}" for i in range(20)]
    draws = [draw(names, (0.5, 0.25, 0.25), seed) for seed in range(400)]
    share = [sum(drawn[name] == "train" for drawn in draws) / len(draws) for name in names]
    # 0.5 each with a standard error of 0.025: 5 of them
    assert max(abs(value - 0.5) for value in share) < 0.125
    assert draw([f"{name}x" for name in names], (0.5, 0.25, 0.25), 0) != {
        f"{k}x": v for k, v in draws[0].items()
    }


@pytest.mark.parametrize(
    ("row_off", "col_off", "touched"),
    [
        (0, 0, {"t/0/0"}),
        (4, 4, {"t/0/0"}),
        (5, 0, {"t/0/0", "t/1/0"}),
        (5, 5, {"t/0/0", "t/0/1", "t/1/0", "t/1/1"}),
        (6, 6, {"t/1/1"}),
        (8, 5, {"t/1/0", "t/1/1"}),
        (0, 11, {"t/0/1", "t/0/2"}),
        (8, 12, {"t/1/2"}),
    ],
)
def test_blocks_worked_by_hand(row_off, col_off, touched):
    """A tile of 10 x 15 pixels in blocks of 6, patches of 2: rows 0-5, 6-9; columns 0-5, 6-11, 12-14."""
    corner = Patch("t", 8, 13, 2)
    assert blocks_touched([Patch("t", row_off, col_off, 2), corner], 6)[0] == touched


def test_a_remainder_thinner_than_a_patch_joins_its_neighbour():
    # 21 pixels in blocks of 8 leave 5: a block for patches of 4, none for patches of 6
    assert blocks_touched([Patch("t", 17, 0, 4)], 8) == [{"t/2/0"}]
    assert blocks_touched([Patch("t", 15, 0, 6)], 8) == [{"t/1/0"}]
    # tiles do not share blocks, nor extents
    both = blocks_touched([Patch("a", 15, 0, 6), Patch("b", 0, 0, 6)], 8)
    assert both == [{"a/1/0"}, {"b/0/0"}]


@st.composite
def tiles_of_patches(draw_from):
    """Tiles cut as build-soft-labels cuts them: a stride, and edge patches shifted inward."""
    size = draw_from(st.integers(1, 9))
    stride = draw_from(st.integers(1, 9))
    patches = []
    for tile in range(draw_from(st.integers(1, 3))):
        height, width = (draw_from(st.integers(size, 40)) for _ in range(2))
        rows, cols = (sorted({*range(0, side - size, stride), side - size}) for side in (height, width))
        patches += [Patch(f"tile{tile}", row, col, size) for row in rows for col in cols]
    return patches, draw_from(st.integers(size, 20))


@given(case=tiles_of_patches(), seed=st.integers(0, 1000))
def test_no_pixel_lies_in_two_splits(case, seed):
    patches, block_size = case
    touched = blocks_touched(patches, block_size)
    whole = {unit for units in touched if len(units) == 1 for unit in units}
    ratios = (0.7, 0.15, 0.15) if len(whole) >= 3 else (1.0, 0.0, 0.0)
    rows, drawn = assign(touched, ratios, seed)
    owner: dict[tuple[str, int, int], str] = {}
    for patch, split in zip(patches, rows, strict=True):
        if split is None:
            continue
        for row, col in itertools.product(range(patch.size), repeat=2):
            pixel = (patch.tile, patch.row_off + row, patch.col_off + col)
            assert owner.setdefault(pixel, split) == split
    # every unit that was drawn gives its split a patch, so no split that got units is empty
    assert set(drawn.values()) <= set(rows)
    assert [list(drawn.values()).count(split) for split in SPLITS] == split_sizes(len(whole), ratios)
    # left out are only patches that touch two units
    assert all(len(units) > 1 for units, split in zip(touched, rows, strict=True) if split is None)
