"""When an estimate of the noise is told to be doubtful."""

import warnings

import torch
from noisy_scores import noisy_scores, symmetric

from coteach.errors import CoteachWarning
from coteach.labels.noise_model import noise_model
from coteach.selection.label_judge import LabelJudge
from coteach.selection.noise_rate import NoiseRate
from coteach.selection.noise_trust import enough, warn_of_doubt


def told(call):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        call()
    assert all(issubclass(one.category, CoteachWarning) for one in caught)
    return [str(one.message) for one in caught]


def test_few_labels_and_networks_that_know_little_are_told_apart():
    probs, given, _ = noisy_scores(symmetric(0.2, 5), 400)
    clear = noise_model(probs, given)
    assert told(lambda: warn_of_doubt(clear, 120, "e_warm")) == []
    (few,) = told(lambda: warn_of_doubt(clear, 119, "e_warm"))
    assert few.startswith(f"forget_end: auto: {clear.overall:.0%} of the labels")
    assert "119 labels held out" in few
    assert "fewer than 120" in few
    assert "give it as a number" in few
    flat, labels, _ = noisy_scores(symmetric(0.2, 5), 400, spread=3.0)
    (weak,) = told(lambda: warn_of_doubt(noise_model(flat, labels), 400, "warm_epochs"))
    assert "hardly tell the classes apart" in weak
    assert "give a longer warm_epochs" in weak


def test_too_few_to_say_anything():
    assert told(lambda: enough(20)) == []
    (none,) = told(lambda: enough(19))
    assert "19 labels are held out" in none


def test_the_estimate_that_stays_is_the_one_that_is_doubted():
    probs, given, _ = (torch.from_numpy(part) for part in noisy_scores(symmetric(0.2, 3), 60))
    rate = NoiseRate(3, until=4)
    found = {}
    for epoch in range(1, 6):
        rate.observe([probs.log()], given, torch.ones(60, dtype=torch.bool))
        found[epoch] = told(lambda epoch=epoch: rate.begin_epoch(epoch))
    assert [epoch for epoch, texts in found.items() if texts] == [4]
    assert "60 labels held out" in found[4][0]


def test_the_judge_doubts_its_first_estimate_alone_also_when_resumed():
    probs, given, _ = (torch.from_numpy(part) for part in noisy_scores(symmetric(0.3, 3), 400))
    known = torch.ones(2, 400, dtype=torch.bool)
    judges = [LabelJudge(400, 3, 1) for _ in range(2)]
    judges[0].said[:] = probs
    (text,) = told(lambda: judges[0].divide(given, known, step=5))
    assert f"{int(judges[0].held_out().sum())} labels held out" in text
    judges[1].load_state_dict(judges[0].state_dict())
    assert told(lambda: judges[1].divide(given, known, step=10)) == []
