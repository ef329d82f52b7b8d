"""Soft Teacher and its base, on drawn squares."""

import copy
from dataclasses import replace

import pytest
import torch
from toy_boxes import at, both_batches, box_batch, detection_method, draw, tiny_detector

from coteach.data.box_geometry import affine, flip_matrix
from coteach.data.detection_options import StrongOptions
from coteach.data.detection_views import View
from coteach.errors import InputError, OptionError
from coteach.methods.base import TaskInfo
from coteach.methods.detection_teacher import Taught
from coteach.methods.soft_teacher import SoftTeacher, SoftTeacherConfig
from coteach.models.detector import Regions, detect, see
from coteach.selection.pseudo_boxes import PseudoBoxes, box_variance, jitter_boxes
from coteach.types import Batch

ANY_BOX = {"score_initial": 0.0, "thresholds": 0.34, "variance": 0.5}  # an untrained teacher names boxes too


@pytest.fixture(scope="module")
def trained():
    """Weights of a detector that knows drawn squares."""
    method = detection_method("supervised_detection")
    optimizer = torch.optim.Adam(method.parameters(), lr=3e-3)
    batch = box_batch(range(8))
    for index in range(120):
        optimizer.zero_grad()
        method.losses({"train": batch}, at(index)).total().backward()
        optimizer.step()
    return method.networks["a"].state_dict()


def knowing(trained, options=None):
    method = detection_method("soft_teacher", options)
    for network in method.networks.values():
        network.load_state_dict(trained)
    return method


def sgd(method):
    return torch.optim.SGD([p for p in method.parameters() if p.requires_grad], lr=0.01, momentum=0.9)


def a_step(method, optimizer, batches, index):
    optimizer.zero_grad()
    terms = method.losses(batches, at(index))
    terms.total().backward()
    optimizer.step()
    method.after_step(at(index))
    return terms


# -- labelled images ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["soft_teacher", "supervised_detection"])
def test_labelled_losses_are_torchvisions(name):
    method = detection_method(
        name, {"unsupervised_weight": 0.0} if name == "soft_teacher" else {}, min_size=96
    )
    network = copy.deepcopy(method.networks["a"])
    batch = box_batch(range(3))
    own = method.losses({"labelled": batch, "train": batch}, at(5)).networks["a"]
    at(5).start_stream("a")
    expected = network(list(batch.inputs), list(batch.target))
    assert set(own) == set(expected)
    for key, value in expected.items():
        torch.testing.assert_close(own[key], value, rtol=1e-6, atol=1e-6)


def test_without_the_unlabelled_branch_it_is_the_supervised_detector_step_by_step():
    plain = detection_method("supervised_detection")
    method = detection_method("soft_teacher", {"unsupervised_weight": 0.0})
    assert [stream.name for stream in method.streams(0)] == ["labelled"]
    one, two = sgd(plain), sgd(method)
    for index in range(4):
        batch = box_batch(range(index, index + 2))
        first = a_step(plain, one, {"train": batch}, index).total()
        second = a_step(method, two, {"labelled": batch}, index).total()
        assert first.item() == second.item()
    for p, q in zip(plain.networks["a"].parameters(), method.networks["a"].parameters(), strict=True):
        assert torch.equal(p, q)


# -- the teacher ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"ema_ramp": False}, {"burn_in": 2}])
def test_the_teacher_is_the_moving_average_by_a_plain_loop(options):
    method = detection_method("soft_teacher", {"ema_decay": 0.7, **ANY_BOX, **options})
    teacher, student = method.networks["teacher"], method.networks["a"]
    expected = {key: value.clone() for key, value in teacher.state_dict().items()}
    optimizer = sgd(method)
    for index in range(5):
        a_step(method, optimizer, both_batches(), index)
        decay = 0.7 if options.get("ema_ramp") is False else min(0.7, 1 - 1 / (index + 1))
        if index < options.get("burn_in", 0):
            decay = 0.0
        for key, value in student.state_dict().items():
            whole = key.endswith("num_batches_tracked")
            expected[key] = value.clone() if whole else decay * expected[key] + (1 - decay) * value
    for key, value in teacher.state_dict().items():
        torch.testing.assert_close(value, expected[key], rtol=1e-4, atol=1e-5)
    assert any(
        not torch.equal(value, student.state_dict()[key]) for key, value in teacher.state_dict().items()
    )


def test_the_teacher_is_in_evaluation_mode_and_has_no_gradient():
    method = detection_method("soft_teacher", ANY_BOX)
    for mode in (True, False, True):
        method.train(mode)
        assert not any(part.training for part in method.networks["teacher"].modules())
        assert all(part.training is mode for part in method.networks["a"].modules())
    before = copy.deepcopy(method.networks["teacher"].state_dict())
    method.losses(both_batches(), at(0)).total().backward()
    assert all(p.grad is None for p in method.networks["teacher"].parameters())
    assert all(torch.equal(before[k], v) for k, v in method.networks["teacher"].state_dict().items())


def test_the_teacher_predicts_or_the_student_by_option(trained):
    method = knowing(trained).eval()
    with torch.no_grad():
        method.networks["a"].roi_heads.box_predictor.cls_score.bias[0] += 100  # it sees background only
    inputs = box_batch().inputs
    assert [len(one["boxes"]) for one in method.predict(inputs)] == [2, 2]
    other = detection_method("soft_teacher", {"inference": "student"}).eval()
    other.load_state_dict(method.state_dict())
    assert [len(one["boxes"]) for one in other.predict(inputs)] == [0, 0]


# -- pseudo boxes ---------------------------------------------------------------------------------------------


def test_pseudo_boxes_frame_the_drawn_squares_in_every_strong_view(trained):
    method = knowing(trained)
    frames = []
    for index in range(20):
        batch = box_batch(range(8), labelled=False)
        taught = method.ask_teacher(batch, at(index))
        targets = method.move(taught, [one.foreground for one in taught.found])
        for item, view, target in zip(batch.ids.tolist(), taught.views, targets, strict=True):
            true = draw(item)[1]
            for box, label in zip(target["boxes"], target["labels"], strict=True):
                frames.append(best_overlap(box, label, true, view))
    assert len(frames) > 200
    frames = torch.tensor(frames)
    assert frames.mean() > 0.85
    assert (frames > 0.6).float().mean() > 0.97


def best_overlap(box, label, true, view):
    """Of the drawn squares of that class, rendered through the view's matrix on a fine grid."""
    height, width = view.size
    ys, xs = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    points = torch.stack([xs.flatten(), ys.flatten(), torch.ones(height * width)]).double()
    back = (torch.linalg.inv(view.matrix) @ points)[:2].T
    best = 0.0
    for square in true["boxes"][true["labels"] == label]:
        inside = ((back >= square[:2]) & (back <= square[2:])).all(1).reshape(height, width)
        rows, columns = inside.any(1).nonzero()[:, 0], inside.any(0).nonzero()[:, 0]
        if len(rows) and len(columns):
            frame = torch.tensor([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]).float()
            low, high = torch.maximum(frame[:2], box[:2]), torch.minimum(frame[2:], box[2:])
            both = (high - low).clamp(min=0).prod()
            areas = (frame[2:] - frame[:2]).prod() + (box[2:] - box[:2]).prod()
            best = max(best, float(both / (areas - both)))
    return best


def taught_by(method, items, found, views):
    weak = [draw(item)[0] for item in items]
    return Taught(weak, see(method.networks["teacher"], weak), found, views)


def test_still_boxes_are_those_of_a_loop_that_runs_the_backbone_for_each_copy(trained):
    method = knowing(trained, {"variance": 0.012})
    teacher = method.networks["teacher"]
    taught = method.ask_teacher(box_batch([0, 9, 10, 11], labelled=False), at(2))
    assert sum(len(one.boxes) for one in taught.found) >= 4
    from coteach.data.keyed import stable_seed

    generator = torch.Generator().manual_seed(stable_seed(3, "jitter", 2))
    for weak, found, still in zip(taught.weak, taught.found, method.reliable(taught, at(2)), strict=True):
        copies = jitter_boxes(found.boxes, generator=generator)
        refined = []
        for copied in copies:
            seen = see(teacher, [weak])
            pooled = teacher.roi_heads.box_roi_pool(seen.maps, [copied], [(64, 64)])
            _, offsets = teacher.roi_heads.box_predictor(teacher.roi_heads.box_head(pooled))
            decoded = teacher.roi_heads.box_coder.decode(offsets, [copied])
            own = [decoded[row, label] for row, label in enumerate(found.labels)]
            refined.append(torch.stack(own).clamp(0, 64) if own else copied)
        variance = box_variance(torch.stack(refined).detach(), found.boxes)
        assert still.tolist() == (variance < 0.012).tolist()


def test_the_backbones_run_once_for_the_teacher_and_once_for_each_kind_of_image(trained):
    method, runs = knowing(trained), {"a": 0, "teacher": 0}
    for name in runs:

        def count(*ignored, name=name):
            runs[name] += 1

        method.networks[name].backbone.register_forward_hook(count)
    terms = method.losses(both_batches(), at(0)).networks["a"]
    assert terms["unlabelled_loss_classifier"] > 0
    assert runs == {"a": 2, "teacher": 1}


def test_variance_0_or_no_candidate_leaves_the_places_out(trained):
    off = knowing(trained, {"variance": 0.0})
    taught = off.ask_teacher(box_batch(labelled=False), at(0))
    assert not any(one.any() for one in off.reliable(taught, at(0)))
    terms = off.losses(both_batches(), at(0)).networks["a"]
    assert terms["unlabelled_loss_box_reg"].item() == 0
    assert terms["unlabelled_loss_classifier"].item() > 0


def views_of(items, matrix, size=(64, 64)):
    return [View(draw(item)[0], matrix, size) for item in items]


def test_the_teacher_judges_regions_where_they_are_in_its_own_view(trained):
    method = knowing(trained)
    teacher = method.networks["teacher"]
    nothing = PseudoBoxes(
        torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64), torch.zeros(0), torch.zeros(0).bool()
    )
    taught = taught_by(method, [0, 1], [nothing] * 2, views_of([0, 1], flip_matrix(64)))
    boxes = [
        torch.tensor([[2.0, 30.0, 20.0, 50.0], [30.0, 5.0, 60.0, 40.0]]),
        torch.tensor([[10.0, 10.0, 40.0, 30.0]]),
    ]
    seen = see(method.networks["a"], [view.image for view in taught.views])
    probs, inside = method.reliability(taught, seen, Regions(boxes, torch.zeros(3), torch.zeros(3, 4)))
    assert inside.all()
    expected = []
    for image, own in zip(taught.weak, boxes, strict=True):
        for x1, y1, x2, y2 in own.tolist():
            mirrored = torch.tensor([[64 - x2, y1, 64 - x1, y2]])
            pooled = teacher.roi_heads.box_roi_pool(see(teacher, [image]).maps, [mirrored], [(64, 64)])
            logits, _ = teacher.roi_heads.box_predictor(teacher.roi_heads.box_head(pooled))
            expected.append(logits.detach().softmax(1)[0])
    torch.testing.assert_close(probs, torch.stack(expected), rtol=1e-4, atol=1e-5)


def test_regions_outside_the_weak_view_are_background_in_full(trained):
    method = knowing(trained)
    nothing = PseudoBoxes(
        torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64), torch.zeros(0), torch.zeros(0).bool()
    )
    taught = taught_by(method, [0], [nothing], views_of([0], affine(c=40.0)))
    inside_box, outside_box = [50.0, 5.0, 62.0, 40.0], [2.0, 5.0, 38.0, 60.0]
    seen = see(method.networks["a"], [view.image for view in taught.views])
    regions = Regions([torch.tensor([inside_box, outside_box])], torch.tensor([0, 0]), torch.zeros(2, 4))
    probs, inside = method.reliability(taught, seen, regions)
    assert inside.tolist() == [True, False]
    loss, _ = method.classify(taught, seen, regions)
    pooled = method.networks["a"].roi_heads.box_roi_pool(seen.maps, regions.boxes, [(64, 64)])
    heads = method.networks["a"].roi_heads
    logits, _ = heads.box_predictor(heads.box_head(pooled))
    each = -logits.log_softmax(1)[:, 0]
    weights = torch.stack([probs[0, 0], torch.tensor(1.0)])
    torch.testing.assert_close(loss, (weights * each).sum() / weights.sum())


# -- a step ---------------------------------------------------------------------------------------------------


def test_no_pseudo_box_is_a_zero_loss_that_touches_every_weight():
    method = detection_method("soft_teacher", {"score_initial": 1.0, "thresholds": 1.0})
    terms, logs = method.unlabelled_terms(both_batches()["unlabelled"], at(0))
    total = sum(terms.values())
    total.backward()
    assert total.item() == 0
    assert all((p.grad == 0).all() for p in method.networks["a"].parameters())
    assert logs["pseudo_boxes/per_image"] == 0


def test_every_term_and_figure_is_there_whatever_is_found(trained):
    full = knowing(trained).losses(both_batches(), at(0))
    empty = knowing(trained, {"score_initial": 1.0, "thresholds": 1.0}).losses(both_batches(), at(0))
    assert set(full.networks["a"]) == set(empty.networks["a"])
    assert set(full.logs) == set(empty.logs)
    assert full.logs["pseudo_boxes/per_image"] > 1
    assert all(
        full.networks["a"][f"unlabelled_{name}"] > 0 for name in ("loss_classifier", "loss_objectness")
    )


def test_the_weight_burns_in_and_rises():
    method = detection_method("soft_teacher", {"burn_in": 10, "ramp_steps": 4})
    assert [method.weight_at(index) for index in (0, 9, 10, 12, 14, 99)] == [0, 0, 0, 2, 4, 4]
    assert detection_method("soft_teacher").weight_at(0) == 4
    labelled = method.losses({"labelled": box_batch()}, at(3)).networks["a"]
    assert not any(name.startswith("unlabelled") for name in labelled)


def test_terms_are_weighted(trained):
    one = knowing(trained, {"unsupervised_weight": 1.0}).losses(both_batches(), at(0)).networks["a"]
    four = knowing(trained).losses(both_batches(), at(0)).networks["a"]
    for name, value in one.items():
        factor = 4 if name.startswith("unlabelled") else 1
        torch.testing.assert_close(four[name], factor * value)


def test_same_seed_same_numbers_another_step_others():
    def total(index, noise):
        method = detection_method("soft_teacher", ANY_BOX)
        torch.manual_seed(noise)
        return method.losses(both_batches(), at(index)).total().item()

    assert total(1, 0) == total(1, 99)
    assert total(1, 0) != total(2, 0)


def test_streams_mix_four_to_one_and_sizes_are_free():
    labelled, unlabelled = detection_method("soft_teacher").streams(0)
    assert (labelled.batch_size, labelled.source, labelled.endless) == (1, "train", False)
    assert (unlabelled.batch_size, unlabelled.source, unlabelled.endless) == (4, "unlabelled", True)
    method = detection_method("soft_teacher", {"labelled_batch": 3, "unlabelled_batch": 2})
    assert [stream.batch_size for stream in method.streams(0)] == [3, 2]


def test_unlabelled_images_improve_a_detector_of_eight_images(trained):
    method = knowing(trained, {"ema_decay": 0.95, "ema_ramp": False, "thresholds": 0.8})
    unseen = box_batch(range(1000, 1040))
    before = method.eval().validation_loss(method.predict(unseen.inputs), unseen).item()
    optimizer = torch.optim.Adam(method.networks["a"].parameters(), lr=1e-3)
    method.train()
    for index in range(60):
        first = index % 2 * 4
        ids = range(100 + index % 8 * 4, 104 + index % 8 * 4)
        batches = {
            "labelled": box_batch(range(first, first + 4)),
            "unlabelled": box_batch(ids, labelled=False),
        }
        a_step(method, optimizer, batches, index)
    after = method.eval().validation_loss(method.predict(unseen.inputs), unseen).item()
    assert before > 0.02
    assert after < before / 2


def test_state_round_trips(trained):
    method, other = knowing(trained), detection_method("soft_teacher", seed=9)
    other.load_state_dict(method.state_dict())
    inputs = box_batch().inputs
    one, two = method.eval().predict(inputs), other.eval().predict(inputs)
    assert all(torch.equal(p["boxes"], q["boxes"]) for p, q in zip(one, two, strict=True))


def test_labelled_images_without_targets_are_named():
    batch = box_batch()
    batch = replace(batch, targets=((batch.target[0], None),))
    with pytest.raises(InputError, match=r"images \[1\] of a labelled set"):
        detection_method("supervised_detection").losses({"train": batch}, at(0))
    with pytest.raises(InputError, match=r"images \[0, 1\]"):
        detection_method("supervised_detection").losses(
            {"train": Batch(batch.ids, batch.views, (None,))}, at(0)
        )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"unsupervised_weight": -1.0}, "unsupervised_weight"),
        ({"thresholds": 1.2}, "thresholds"),
        ({"jitter_times": 1}, "jitter_times"),
        ({"jitter_scale": 0.0}, "jitter_scale"),
        ({"labelled_batch": 0}, "labelled_batch"),
        ({"inference": "b"}, "inference"),
        ({"box_frame": "square"}, "box_frame"),
        ({"jitter_kind": "normal"}, "jitter_kind"),
    ],
)
def test_options_out_of_range_are_refused(unchecked, options, message):
    with pytest.raises(OptionError, match=message):
        SoftTeacherConfig(**options)


def test_a_threshold_for_each_class_is_asked_for():
    method = SoftTeacher(SoftTeacherConfig(thresholds=[0.9, 0.8, 0.7]))
    with pytest.raises(OptionError, match="3 values for 2 classes"):
        method.setup(tiny_detector, TaskInfo(num_classes=2, num_items=4, seed=0))


def test_detections_of_the_teacher_do_not_depend_on_the_student(trained):
    method = knowing(trained)
    images = list(box_batch().inputs)
    first = detect(method.networks["teacher"], see(method.networks["teacher"], images))
    with torch.no_grad():
        for weight in method.networks["a"].parameters():
            weight.zero_()
    second = detect(method.networks["teacher"], see(method.networks["teacher"], images))
    assert all(torch.equal(p["scores"], q["scores"]) for p, q in zip(first, second, strict=True))


@pytest.mark.parametrize("name", ["soft_teacher", "unbiased_teacher"])
def test_strong_options_come_from_the_configuration(name):
    method = detection_method(name, {"strong": {"rotate": 5, "patches": [0, 1]}})
    assert method.strong_options == StrongOptions(rotate=5, patches=(0, 1))
    assert detection_method(name).strong_options == StrongOptions()


def test_strong_options_can_be_changed(trained):
    method = knowing(trained)
    method.strong_options = StrongOptions(flip=0.0, scale=(1.0, 1.0), patches=(0, 0), geometry=(), colors=())
    taught = method.ask_teacher(box_batch(labelled=False), at(0))
    for weak, view in zip(taught.weak, taught.views, strict=True):
        torch.testing.assert_close(view.image, weak)
