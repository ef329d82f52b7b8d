"""The exchange of small-loss items against a plain loop, and its corners."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from coteach import estimate_keep_ratio, select_indices
from coteach.errors import InputError, OptionError


def loop_keep(targets, losses, ratio_of):
    """Of each class the items of smallest loss, one after the other; losses must be distinct."""
    kept = []
    for c in set(targets):
        own = sorted((loss, i) for i, (loss, t) in enumerate(zip(losses, targets, strict=True)) if t == c)
        kept += [i for _, i in own[: max(1, math.floor(ratio_of(c) * len(own) + 1e-6))]]
    return sorted(kept)


batches = st.lists(st.sampled_from([-1, 0, 3, 70_000]), min_size=0, max_size=60)


@given(batches, st.floats(0.01, 1), st.randoms(use_true_random=False))
def test_model_1_gets_what_model_2_finds_easy_and_the_other_way_round(targets, ratio, random):
    first, second = ([i / 7 for i in random.sample(range(500), len(targets))] for _ in range(2))
    idx1, idx2 = select_indices(
        torch.tensor(targets, dtype=torch.int64), [torch.tensor(first), torch.tensor(second)], ratio
    )
    assert idx1.tolist() == loop_keep(targets, second, lambda _: ratio)
    assert idx2.tolist() == loop_keep(targets, first, lambda _: ratio)
    assert idx1.dtype == idx2.dtype == torch.int64


def test_a_ratio_for_every_class_as_a_list_and_as_a_mapping():
    targets = [0] * 10 + [1] * 10
    losses = torch.arange(20.0).flip(0), torch.arange(20.0)
    by_list = select_indices(targets, losses, [0.9, 0.3])
    assert by_list[0].tolist() == [*range(9), 10, 11, 12]
    assert by_list[1].tolist() == [*range(1, 10), 17, 18, 19]
    by_name = select_indices(torch.tensor(targets), torch.stack(losses), {0: 0.9, 1: 0.3, 5: 0.5})
    assert [idx.tolist() for idx in by_name] == [idx.tolist() for idx in by_list]


def test_the_default_keeps_85_of_100():
    idx1, idx2 = select_indices(torch.zeros(100, dtype=torch.int64), torch.rand(2, 100))
    assert len(idx1) == len(idx2) == 85


def test_one_item_of_a_class_is_kept_however_large_its_loss():
    idx1, idx2 = select_indices([0, 0, 1], (torch.tensor([0.1, 0.2, 99.0]),) * 2, 0.5)
    assert idx1.tolist() == idx2.tolist() == [0, 2]


def test_an_empty_batch_gives_no_indices():
    idx1, idx2 = select_indices(torch.empty(0, dtype=torch.int64), (torch.empty(0), torch.empty(0)))
    assert idx1.shape == idx2.shape == (0,)
    assert idx1.dtype == idx2.dtype == torch.int64


def test_nan_is_chosen_last_and_infinity_before_it():
    bad = torch.tensor([float("nan"), 1.0, float("inf"), 2.0])
    assert select_indices([0] * 4, (bad, bad), 0.5)[0].tolist() == [1, 3]
    assert select_indices([0] * 4, (bad, bad), 0.75)[0].tolist() == [1, 2, 3]


def test_equal_losses_give_the_same_choice_again():
    targets, losses = torch.arange(60) % 3, (torch.ones(60), torch.ones(60))
    first = select_indices(targets, losses, 0.5)
    assert len(first[0]) == 30
    assert all(torch.equal(x, y) for x, y in zip(first, select_indices(targets, losses, 0.5), strict=True))


def test_arrays_lists_and_single_numbers_of_any_kind_are_taken():
    targets, first, second = [0, 0, 1, 1], [0.1, 0.2, 0.4, 0.3], [0.2, 0.1, 0.3, 0.4]
    for losses in ([first, second], np.array([first, second]), (np.array(first), torch.tensor(second))):
        for ratio in (0.5, np.float32(0.5), torch.tensor(0.5)):
            idx1, idx2 = select_indices(np.array(targets), losses, ratio)
            assert (idx1.tolist(), idx2.tolist()) == ([1, 2], [0, 3])
    assert [len(idx) for idx in select_indices([], [[], []])] == [0, 0]


def test_losses_with_a_graph_are_left_alone():
    losses = (torch.rand(4, requires_grad=True), torch.rand(4, requires_grad=True))
    assert not select_indices([0, 0, 1, 1], losses)[0].requires_grad
    assert losses[0].grad is None


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("ratio", ["0.5", None, ["a", "b"], {0: "a", 1: 0.5}, {"a": 0.5}])
def test_a_ratio_that_is_no_number_is_named(ratio):
    with pytest.raises(OptionError, match=r"keep_ratio: is .*; give the share of a class to keep, such as"):
        select_indices([0, 1], torch.rand(2, 2), ratio)


@pytest.mark.parametrize(
    ("targets", "losses", "ratio", "kind", "message"),
    [
        ([0, 0, 1], (torch.rand(3), torch.rand(2)), 0.8, InputError, "losses of model 2.*one loss an item"),
        ([0, 0], (torch.tensor(0.5), torch.tensor(0.5)), 0.8, InputError, "losses of model 1.*reduction"),
        ([0, 0], (torch.rand(2),), 0.8, InputError, "of 1 models"),
        (
            torch.tensor([0.0, 1.7]),
            torch.rand(2, 2),
            0.8,
            InputError,
            "targets: 1.7 is no class; give integers",
        ),
        ([0, 0], torch.rand(2, 2), 0.0, OptionError, r"keep_ratio: 0.0 is outside \(0, 1\]"),
        ([0, 0], torch.rand(2, 2), 1.5, OptionError, r"1.5 is outside"),
        ([0, 0], torch.rand(2, 2), float("nan"), OptionError, r"nan is outside"),
        ([0, 1], torch.rand(2, 2), [0.5, -1.0], OptionError, "keep_ratio of class 1: -1.0"),
        ([0, 2], torch.rand(2, 2), [0.5, 0.5], OptionError, "none for class 2"),
        ([0, 2], torch.rand(2, 2), {0: 0.5}, OptionError, "none for class 2"),
    ],
)
def test_bad_arguments_are_named(targets, losses, ratio, kind, message):
    with pytest.raises(kind, match=message):
        select_indices(targets, losses, ratio)


def test_the_ratio_of_a_class_is_the_share_of_its_right_labels():
    generator = torch.Generator().manual_seed(0)
    targets = torch.tensor([0] * 900 + [1] * 100)
    wrong = torch.zeros(1000, dtype=torch.bool)
    wrong[:90], wrong[900:960] = True, True  # a tenth of class 0, 60 of 100 of class 1
    losses = torch.where(wrong, 3.0, 0.3) + 0.1 * torch.randn(1000, generator=generator)
    ratios = estimate_keep_ratio(targets, losses)
    assert ratios.keys() == {0, 1}
    assert ratios[0] == pytest.approx(0.9, abs=0.01)
    assert ratios[1] == pytest.approx(0.4, abs=0.01)
    assert estimate_keep_ratio(targets, (losses, losses)) == ratios
    arrays = targets.numpy(), losses.numpy()
    assert estimate_keep_ratio(*arrays) == estimate_keep_ratio(arrays[0], [losses.tolist()]) == ratios
    with pytest.raises(InputError, match="of no model"):
        estimate_keep_ratio(targets, [])
    with pytest.raises(InputError, match=r"losses of model 2.*one loss an item"):
        estimate_keep_ratio(targets, [losses, losses[1:]])


def test_the_ratio_has_a_floor_and_nan_says_nothing():
    targets = [0] * 50 + [1] * 50 + [2]
    losses = torch.tensor([0.1] * 50 + [4.0] * 50 + [float("nan")])
    assert estimate_keep_ratio(targets, losses, minimum=0.25) == {0: 1.0, 1: 0.25, 2: 1.0}
    with pytest.raises(OptionError, match="minimum"):
        estimate_keep_ratio(targets, losses, minimum=0)
