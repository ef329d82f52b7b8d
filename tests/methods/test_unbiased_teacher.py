"""Unbiased Teacher on drawn squares: the same parts, fewer of them."""

import copy

import pytest
import torch
from toy_boxes import at, both_batches, box_batch, detection_method

from coteach.errors import OptionError
from coteach.methods.unbiased_teacher import UnbiasedTeacherConfig

ANY_BOX = {"score_initial": 0.0, "thresholds": 0.34}


def test_without_focus_labelled_losses_are_torchvisions():
    method = detection_method("unbiased_teacher", {"gamma": 0.0, "unsupervised_weight": 0.0}, min_size=96)
    network = copy.deepcopy(method.networks["a"])
    batch = box_batch(range(3))
    own = method.losses({"labelled": batch}, at(5)).networks["a"]
    at(5).start_stream("a")
    expected = network(list(batch.inputs), list(batch.target))
    assert set(own) == set(expected)
    for key, value in expected.items():
        torch.testing.assert_close(own[key], value, rtol=1e-6, atol=1e-6)


def test_what_is_known_counts_less_with_focus():
    plain, focal = (
        detection_method("unbiased_teacher", {"gamma": gamma}).labelled_terms(box_batch())["loss_classifier"]
        for gamma in (0.0, 1.5)
    )
    assert 0 < focal.item() < plain.item()


def test_unlabelled_images_teach_objectness_and_classes_but_no_place():
    method = detection_method("unbiased_teacher", ANY_BOX)
    terms = method.losses(both_batches(), at(0)).networks["a"]
    unlabelled = {name for name in terms if name.startswith("unlabelled")}
    assert unlabelled == {"unlabelled_loss_objectness", "unlabelled_loss_classifier"}
    sum(terms[name] for name in unlabelled).backward()
    assert all(
        (p.grad == 0).all() for p in method.networks["a"].roi_heads.box_predictor.bbox_pred.parameters()
    )
    assert all((p.grad == 0).all() for p in method.networks["a"].rpn.head.bbox_pred.parameters())
    assert (method.networks["a"].roi_heads.box_predictor.cls_score.weight.grad != 0).any()


def test_no_pseudo_box_is_a_zero_loss_that_touches_every_weight():
    method = detection_method("unbiased_teacher", {"score_initial": 1.0, "thresholds": 1.0})
    terms, _ = method.unlabelled_terms(both_batches()["unlabelled"], at(0))
    assert set(terms) == {"loss_objectness", "loss_classifier"}
    total = sum(terms.values())
    total.backward()
    assert total.item() == 0
    assert all((p.grad == 0).all() for p in method.networks["a"].parameters())


def test_burn_in_copies_the_student():
    method = detection_method("unbiased_teacher", {"burn_in": 3})
    with torch.no_grad():
        for weight in method.networks["a"].parameters():
            weight.add_(1)
    method.after_step(at(1))
    pairs = zip(method.networks["a"].parameters(), method.networks["teacher"].parameters(), strict=True)
    assert all(torch.equal(p, q) for p, q in pairs)


def test_its_options_are_checked():
    assert UnbiasedTeacherConfig().thresholds == 0.7
    with pytest.raises(OptionError, match=r"gamma: -1.0 is negative"):
        UnbiasedTeacherConfig(gamma=-1.0)
    with pytest.raises(OptionError, match="burn_in"):
        UnbiasedTeacherConfig(burn_in=-1)
