"""A detector taken apart does what it does as a whole."""

import pytest
import torch
from torch import nn
from toy_boxes import box_batch, draw, tiny_detector

from coteach.errors import InputError
from coteach.models.detector import (
    box_loss,
    check_detector,
    detect,
    draw_regions,
    propose,
    refine,
    score_regions,
    see,
)
from coteach.models.ema import follow, follower_of


@pytest.fixture
def detector():
    torch.manual_seed(0)
    network = tiny_detector(96)  # images of 64 pixels are enlarged: the two systems of coordinates differ
    network.roi_heads.score_thresh = 0.0
    return network


def test_parts_in_turn_find_what_the_whole_finds(detector):
    detector.eval()
    images = [draw(0)[0], draw(1, size=48)[0][:, :32]]
    whole, parts = detector(images), detect(detector, see(detector, images))
    assert min(len(one["boxes"]) for one in whole) > 5
    for one, other in zip(whole, parts, strict=True):
        for key in ("boxes", "labels", "scores"):
            torch.testing.assert_close(other[key].detach(), one[key].detach(), rtol=1e-5, atol=1e-4)


def test_losses_of_the_parts_are_torchvisions(detector):
    batch = box_batch(range(3))
    images, targets = list(batch.inputs), list(batch.target)
    torch.manual_seed(7)
    whole = detector(images, targets)
    torch.manual_seed(7)
    seen = see(detector, images)
    proposals, losses = propose(detector, seen, targets)
    regions = draw_regions(detector, seen, proposals, targets)
    logits, _ = score_regions(detector, seen, regions.boxes)
    losses["loss_classifier"] = nn.functional.cross_entropy(logits, regions.labels)
    for name in ("loss_objectness", "loss_rpn_box_reg", "loss_classifier"):
        torch.testing.assert_close(losses[name], whole[name], rtol=1e-6, atol=1e-6)
    torch.manual_seed(7)
    seen = see(detector, images)
    proposals, _ = propose(detector, seen, targets)
    regression = box_loss(detector, seen, proposals, targets)
    torch.testing.assert_close(regression, whole["loss_box_reg"], rtol=1e-6, atol=1e-6)


def test_cached_features_score_as_fresh_ones_box_by_box(detector):
    detector.eval()
    images = [draw(0)[0], draw(1)[0]]
    boxes = [
        torch.tensor([[3.0, 4.0, 30.0, 33.0], [10.0, 0.0, 64.0, 20.0]]),
        torch.tensor([[5.0, 5.0, 25.0, 25.0]]),
    ]
    labels = [torch.tensor([1, 2]), torch.tensor([2])]
    refined = refine(detector, see(detector, images), boxes, labels)
    for image, own, classes, got in zip(images, boxes, labels, refined, strict=True):
        for box, label, one in zip(own, classes, got, strict=True):
            seen = see(detector, [image])
            inner = box[None] * 1.5
            pooled = detector.roi_heads.box_roi_pool(seen.maps, [inner], [(96, 96)])
            _, offsets = detector.roi_heads.box_predictor(detector.roi_heads.box_head(pooled))
            decoded = detector.roi_heads.box_coder.decode(offsets, [inner])[0, label]
            torch.testing.assert_close(one, decoded.detach().clamp(0, 96) / 1.5, rtol=1e-4, atol=1e-4)


def test_no_box_at_all_can_be_refined(detector):
    detector.eval()
    empty = torch.zeros(0, 4)
    assert refine(detector, see(detector, [draw(0)[0]]), [empty], [torch.zeros(0, dtype=torch.int64)])[
        0
    ].shape == (0, 4)


def test_what_is_no_detector_is_refused():
    with pytest.raises(
        InputError, match=r"network Linear: is no two-stage detector.*fasterrcnn_resnet50_fpn"
    ):
        check_detector(nn.Linear(2, 2), 2)
    with pytest.raises(InputError, match=r"gives 3 scores for 5 classes.*num_classes=6"):
        check_detector(tiny_detector(), 5)
    check_detector(tiny_detector(), 2)


@pytest.mark.parametrize("decay", [0.0, 0.9])
def test_a_follower_averages_statistics_and_copies_counters(decay):
    network = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    follower = follower_of(network)
    expected = {key: value.clone().double() for key, value in follower.state_dict().items()}
    optimizer = torch.optim.SGD(network.parameters(), lr=0.5)
    for step in range(5):
        network(torch.randn(4, 2, generator=torch.Generator().manual_seed(step))).square().sum().backward()
        optimizer.step()
        follow(follower, network, decay, average_statistics=True)
        for key, value in network.state_dict().items():
            if key.endswith("num_batches_tracked"):
                expected[key] = value.double()
            else:
                expected[key] = decay * expected[key] + (1 - decay) * value.double()
    for key, value in follower.state_dict().items():
        torch.testing.assert_close(value.double(), expected[key], rtol=1e-5, atol=1e-6)
    assert follower[1].num_batches_tracked == 5
    assert not any(p.requires_grad for p in follower.parameters())
