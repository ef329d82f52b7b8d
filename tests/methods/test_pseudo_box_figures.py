"""How many pseudo boxes are right: against a plain loop, and by hand."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from toy_boxes import at, box_batch, detection_method, draw

from coteach.methods.pseudo_box_figures import compare_with_truth, count_kept
from coteach.selection.pseudo_boxes import PseudoBoxes
from coteach.types import Share


def pseudo(*rows):
    """Rows of x1, y1, x2, y2, label, score, trusted."""
    table = torch.tensor(rows, dtype=torch.float32).reshape(-1, 7)
    return PseudoBoxes(table[:, :4], table[:, 4].long(), table[:, 5], table[:, 6].bool())


def target(*rows):
    table = torch.tensor(rows, dtype=torch.float32).reshape(-1, 5)
    return {"boxes": table[:, :4], "labels": table[:, 4].long()}


def area(box):
    return max(0.0, box[2] - box[0]) * max(0.0, box[3] - box[1])


def both(one, two):
    return area([max(one[0], two[0]), max(one[1], two[1]), min(one[2], two[2]), min(one[3], two[3])])


def by_a_loop(found, truth, ignored):
    """Of one image: right, kept, true."""
    right = kept = 0
    free = list(range(len(truth)))
    for box in sorted((one for one in found if one[6]), key=lambda one: -one[5]):
        best, most = None, 0.5
        for index in free:
            shared = both(box, truth[index])
            overlap = shared / (area(box) + area(truth[index]) - shared)
            if truth[index][4] == box[4] and overlap >= most:
                best, most = index, overlap + 1e-9
        if best is not None:
            free.remove(best)
            right, kept = right + 1, kept + 1
        elif not any(both(box, region) > 0.5 * area(box) for region in ignored):
            kept += 1
    return right, kept, len(truth)


# Corners on a grid of 5 pixels: overlaps are exactly a half now and then, and no two boxes of an image score the same.
corner = st.tuples(*[st.integers(0, 5)] * 2, *[st.integers(1, 4)] * 2).map(
    lambda c: (5 * c[0], 5 * c[1], 5 * (c[0] + c[2]), 5 * (c[1] + c[3]))
)
truths = st.lists(st.tuples(corner, st.integers(1, 2)).map(lambda one: (*one[0], one[1])), max_size=5)
candidates = st.lists(
    st.tuples(corner, st.integers(1, 2), st.integers(1, 99), st.booleans()),
    max_size=6,
    unique_by=lambda one: one[2],
).map(lambda rows: [(*box, label, score / 100, trusted) for box, label, score, trusted in rows])
images = st.lists(st.tuples(candidates, truths, st.lists(corner, max_size=2)), min_size=1, max_size=3)


@given(images)
def test_precision_and_recall_are_those_of_a_plain_loop(drawn):
    found, truth, ignored = zip(*drawn, strict=True)
    figures = compare_with_truth(
        [pseudo(*rows) for rows in found],
        [target(*rows) for rows in truth],
        [torch.tensor(rows, dtype=torch.float32).reshape(-1, 4) for rows in ignored],
    )
    right, kept, true = (sum(column) for column in zip(*map(by_a_loop, found, truth, ignored), strict=True))
    assert figures == {
        "pseudo_boxes/precision": Share(right, kept),
        "pseudo_boxes/recall": Share(right, true),
    }


def test_one_box_finds_one_truth_and_class_and_trust_count():
    truth = target((0, 0, 10, 10, 1), (20, 0, 30, 10, 2))
    found = pseudo(
        (0, 0, 10, 9, 1, 0.9, True),  # right
        (0, 0, 10, 10, 1, 0.8, True),  # the same again: wrong, although it fits better
        (20, 0, 30, 10, 1, 0.95, True),  # another class
        (20, 0, 30, 10, 2, 0.5, False),  # right, but not trusted
    )
    assert compare_with_truth([found], [truth]) == {
        "pseudo_boxes/precision": Share(1, 3),
        "pseudo_boxes/recall": Share(1, 2),
    }


def test_kept_boxes_by_class_and_image():
    figures = count_kept(
        [pseudo((0, 0, 5, 5, 2, 0.9, True), (0, 0, 5, 5, 2, 0.6, False)), pseudo((0, 0, 5, 5, 2, 0.9, True))],
        3,
    )
    assert [figures[f"pseudo_boxes/class_{label}"].item() for label in (1, 2, 3)] == [0, 1, 0]
    assert figures["pseudo_boxes/per_image"] == 1
    assert figures["pseudo_boxes/foreground_share"] == Share(2, 3)


@pytest.mark.parametrize("name", ["soft_teacher", "unbiased_teacher"])
def test_the_truth_is_counted_and_changes_no_loss(name):
    method = detection_method(name, {"score_initial": 0.0, "thresholds": 0.34})
    without = box_batch(range(4), labelled=False)
    told = [draw(index)[1] for index in range(4)]
    with_truth = type(without)(without.ids, without.views, without.targets, {"truth": tuple(told)})
    at(0).start_stream("a")
    terms, logs = method.unlabelled_terms(without, at(0))
    at(0).start_stream("a")
    same, figures = method.unlabelled_terms(with_truth, at(0))
    assert all(torch.equal(terms[key], same[key]) for key in terms)
    assert set(figures) - set(logs) == {"pseudo_boxes/precision", "pseudo_boxes/recall"}
    assert figures["pseudo_boxes/recall"].whole == sum(len(one["labels"]) for one in told)
    kept = figures["pseudo_boxes/per_image"] * 4
    assert figures["pseudo_boxes/precision"].whole == pytest.approx(kept.item())
