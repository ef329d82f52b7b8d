"""Labels judged by what networks say of labels held out."""

import math

import pytest
import torch
from noisy_scores import noisy_scores, symmetric

from coteach.errors import OptionError
from coteach.selection import label_judge, noise_rate
from coteach.selection.label_judge import LabelJudge


def test_of_many_images_sorted_by_class_labels_of_all_classes_are_measured(monkeypatch):
    """A fifth of those held out: were they the first, all would be of one class."""
    monkeypatch.setattr(noise_rate, "_ROWS", 120)
    monkeypatch.setattr(label_judge, "_AT_ONCE", 120)
    probs, given, truth = (torch.from_numpy(part) for part in noisy_scores(symmetric(0.3, 3), 6000))
    order = truth.argsort(stable=True)
    probs, given, truth = probs[order], given[order], truth[order]
    wrong, worst = given != truth, []
    for seed in range(1, 9):  # which labels are held out changes the share by a third either way
        judge = LabelJudge(6000, 3, seed)
        judge.said[:] = probs
        kept = judge.divide(given, torch.ones(2, 6000, dtype=torch.bool), step=1)
        assert judge.rate.item() == pytest.approx(wrong.float().mean().item(), abs=0.1)
        worst.append(max(wrong[kept[0] & (given == code)].float().mean().item() for code in range(3)))
    assert sum(worst) / len(worst) < 0.12
    assert max(worst) < 0.2  # 0.3 are wrong of all


@pytest.mark.parametrize(
    ("images", "classes", "some"), [(3000, 10, 300), (48_000, 10, 2000), (48_000, 2, 400)]
)
def test_a_tenth_is_held_out_and_of_many_images_two_hundred_a_class(images, classes, some):
    apart = LabelJudge(images, classes, 1).held_out()
    assert apart.sum().item() == pytest.approx(some, rel=0.15)
    tenth = noise_rate.held_out(torch.arange(images), 1)
    assert (tenth | ~apart).all()  # the same images as of a larger share


@pytest.mark.parametrize(("learned", "expected"), [(1.0, True), (1.7, True), (1.9, False), (2.5, False)])
def test_labels_are_learned_by_heart_if_their_loss_is_lower_by_a_tenth(learned, expected):
    """Losses held out are 1.9 and 2.1 in turn, of network a by 0.5 less and of b by 0.5 more: the mean is 2, its error small."""
    judge, known = LabelJudge(3000, 3, 1), torch.ones(2, 3000, dtype=torch.bool)
    apart = judge.held_out()
    known[:, apart.nonzero()[0]] = known[0, apart.nonzero()[1]] = False  # never seen, or not by both
    count = int(apart.sum()) - 2
    of_each = torch.where(torch.arange(count) % 2 == 0, 1.9, 2.1)
    losses = torch.full((2, 3000), learned)
    losses[~known] = torch.nan
    losses[:, apart & known.all(0)] = torch.stack([of_each - 0.5, of_each + 0.5])
    mean = math.fsum(of_each.tolist()) / count
    error = math.sqrt(math.fsum((x - mean) ** 2 for x in of_each.tolist()) / (count - 1) / count)
    assert judge.by_heart(losses, known) == expected
    assert judge.memorization.item() == pytest.approx((mean - error - learned) / mean, rel=1e-5)


@pytest.mark.filterwarnings("ignore:forget_end. auto:coteach.errors.CoteachWarning")
def test_of_few_labels_or_none_nothing_is_learned_by_heart():
    """By chance one of the labels held out has a loss of 5, the others 0.1 as those that are learned: no more than its error."""
    judge, known = LabelJudge(250, 2, 5), torch.ones(2, 250, dtype=torch.bool)
    apart = judge.held_out().nonzero()[:, 0]
    assert len(apart) >= 20
    losses = torch.full((2, 250), 0.1)
    losses[:, apart[:1]] = 5.0
    assert not judge.by_heart(losses, known)
    assert not judge.by_heart(torch.zeros(2, 250), known)
    assert not judge.by_heart(losses, known & (torch.arange(250) > apart[-1]))
    assert not LabelJudge(0, 2, 5).by_heart(torch.zeros(2, 0), torch.ones(2, 0, dtype=torch.bool))


def test_memory_bounds_the_rows_of_many_classes(monkeypatch):
    monkeypatch.setattr(noise_rate, "_NUMBERS", 60)
    drawn = LabelJudge(50, 3, 1)._drawn(torch.arange(0, 50, 2), 4)
    assert len(drawn) == 20
    assert drawn.tolist() == sorted(set(drawn.tolist()) & set(range(0, 50, 2)))


def test_more_probabilities_than_fit_are_refused_before_they_are_made(monkeypatch):
    with pytest.raises(
        OptionError, match=r"forget_end: auto keeps 10.2 GB of .* 1281167 images and 1000 .*'mixture'"
    ):
        LabelJudge(1_281_167, 1000, 0)
    monkeypatch.setattr(label_judge, "_LARGEST", 2 * 30 * 4)
    assert LabelJudge(30, 4, 0).said.numel() == 240
    with pytest.raises(OptionError):
        LabelJudge(31, 4, 0)
