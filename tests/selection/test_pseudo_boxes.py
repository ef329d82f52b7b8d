"""Which of a teacher's boxes are learned from, against plain loops."""

import statistics

import pytest
import torch

from coteach.errors import OptionError
from coteach.selection.pseudo_boxes import (
    box_variance,
    check_thresholds,
    filter_pseudo_boxes,
    jitter_boxes,
    kept_by_class,
)

BOXES = torch.tensor([[10.0, 20.0, 50.0, 40.0], [5.0, 5.0, 15.0, 105.0]])


def found(scores, labels):
    boxes = torch.arange(4.0 * len(scores)).reshape(-1, 4)
    return {"boxes": boxes, "labels": torch.tensor(labels), "scores": torch.tensor(scores)}


@pytest.mark.parametrize("thresholds", [0.9, [0.9, 0.6, 0.95]])
def test_filter_is_the_plain_loop(thresholds):
    generator = torch.Generator().manual_seed(0)
    scores = torch.rand(60, generator=generator).tolist()
    labels = torch.randint(1, 4, (60,), generator=generator).tolist()
    given = found(scores, labels)
    pseudo = filter_pseudo_boxes(given, score_initial=0.5, thresholds=thresholds)
    rows, trusted = [], []
    for row, (score, label) in enumerate(zip(scores, labels, strict=True)):
        if score >= 0.5:
            rows.append(row)
            trusted.append(score >= (thresholds if isinstance(thresholds, float) else thresholds[label - 1]))
    assert 0 < sum(trusted) < len(trusted) < 60
    assert pseudo.boxes.tolist() == [given["boxes"][row].tolist() for row in rows]
    assert pseudo.labels.tolist() == [labels[row] for row in rows]
    assert pseudo.foreground.tolist() == trusted


def test_a_score_at_the_threshold_is_kept():
    pseudo = filter_pseudo_boxes(found([0.5, 0.75, 0.25], [1, 1, 1]), score_initial=0.5, thresholds=0.75)
    assert pseudo.scores.tolist() == [0.5, 0.75]
    assert pseudo.foreground.tolist() == [False, True]


def test_nothing_found():
    pseudo = filter_pseudo_boxes(
        {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.int64), "scores": torch.zeros(0)}
    )
    assert pseudo.boxes.shape == (0, 4)
    assert jitter_boxes(pseudo.boxes).shape == (10, 0, 4)
    assert box_variance(torch.zeros(10, 0, 4), pseudo.boxes).shape == (0,)


def test_gaussian_jitter_has_the_asked_spread_on_each_side():
    moved = jitter_boxes(BOXES, times=20_000, scale=0.06, generator=torch.Generator().manual_seed(1))
    spread = (moved - BOXES).std(0)
    expected = 0.06 * torch.tensor([[40.0, 20.0, 40.0, 20.0], [10.0, 100.0, 10.0, 100.0]])
    torch.testing.assert_close(spread, expected, rtol=0.03, atol=0)
    torch.testing.assert_close(moved.mean(0), BOXES, rtol=0, atol=0.2)


def test_uniform_jitter_stays_within_its_range_and_fills_it():
    moved = jitter_boxes(
        BOXES, times=5000, scale=0.06, kind="uniform", generator=torch.Generator().manual_seed(1)
    )
    shares = (moved - BOXES).abs() / torch.tensor([[40.0, 20.0] * 2, [10.0, 100.0] * 2])
    assert shares.max() <= 0.06 + 1e-6
    assert shares.amax((0,)).min() > 0.0595
    assert abs(float(shares.mean()) - 0.03) < 0.001


def test_jitter_repeats_with_its_generator_and_never_turns_a_box_inside_out():
    one, two = (
        jitter_boxes(BOXES, times=50, scale=2.0, generator=torch.Generator().manual_seed(5)) for _ in range(2)
    )
    assert torch.equal(one, two)
    assert (one[..., 2:] >= one[..., :2]).all()


def test_an_unknown_jitter_is_refused(unchecked):
    with pytest.raises(OptionError, match="'normal' is unknown"):
        jitter_boxes(BOXES, kind="normal")


def test_variance_is_the_plain_loop():
    refined = BOXES + torch.randn(10, 2, 4, generator=torch.Generator().manual_seed(2))
    expected = []
    for row, (x1, y1, x2, y2) in enumerate(BOXES.tolist()):
        sides = [x2 - x1, y2 - y1, x2 - x1, y2 - y1]
        spreads = [statistics.stdev(refined[:, row, axis].tolist()) / sides[axis] for axis in range(4)]
        expected.append(sum(spreads) / 4)
    torch.testing.assert_close(box_variance(refined, BOXES), torch.tensor(expected))


def test_copies_that_agree_have_no_variance_and_thin_boxes_count_as_a_pixel():
    assert box_variance(BOXES.expand(10, 2, 4), BOXES).tolist() == [0, 0]
    thin = torch.tensor([[3.0, 3.0, 3.0, 3.0]])
    copies = torch.tensor([[[3.0, 3.0, 3.0, 3.0]], [[4.0, 3.0, 3.0, 3.0]]])
    assert box_variance(copies, thin).item() == pytest.approx(statistics.stdev([3, 4]) / 4)
    assert (jitter_boxes(thin, times=4) != thin).any()


def test_thresholds_are_checked():
    check_thresholds([0.5, 0.9], 2)
    with pytest.raises(OptionError, match="2 values for 3 classes"):
        check_thresholds([0.5, 0.9], 3)
    with pytest.raises(OptionError, match=r"thresholds: 1.5 is outside"):
        check_thresholds(1.5)


def test_counts_by_class():
    labels, kept = torch.tensor([1, 3, 3, 2]), torch.tensor([True, True, True, False])
    assert kept_by_class(labels, kept, 4).tolist() == [1, 0, 2, 0]
