"""The alarm over a teacher of boxes: it finds nothing, or it is behind its student."""

import warnings

import pytest
import torch
from box_runs import asked
from toy_boxes import box_batch, detection_method, draw

from coteach.report.logs import read_log
from coteach.training.alarms import IN_A_ROW
from coteach.training.epoch_means import EpochMeans
from coteach.training.run import train
from coteach.training.teacher_watch import BATCHES, WITHOUT_BOX, TeacherWatch
from coteach.types import Share

NOTHING, SOMETHING = (
    {"pseudo_boxes/per_image": torch.tensor(0.0)},
    {"pseudo_boxes/per_image": torch.tensor(0.5)},
)


def watch_with(**options):
    return TeacherWatch(detection_method("soft_teacher", options).eval())


ENOUGH = WITHOUT_BOX * BATCHES


def alone(value):
    return value


def test_no_box_for_many_batches_is_told_once():
    watch = watch_with()
    for _ in range(ENOUGH - 1):
        watch.learned(NOTHING, alone)  # warnings are errors here
    watch.learned({}, alone)  # a step of the burn-in neither counts nor breaks
    with pytest.warns(
        UserWarning, match=r"finds no box .*10 times 20 batches in a row; lower method\.thresholds"
    ):
        watch.learned(NOTHING, alone)
    for _ in range(2 * ENOUGH):
        watch.learned(NOTHING, alone)


def test_a_box_in_between_begins_the_count_anew_and_a_checkpoint_keeps_it():
    watch, other = watch_with(), watch_with()
    for logs in [NOTHING] * (ENOUGH - 1) + [SOMETHING] + [NOTHING] * (ENOUGH - 1):
        watch.learned(logs, alone)
    other.load_state_dict(watch.state_dict())
    for _ in range(BATCHES - 1):
        other.learned(NOTHING, alone)
    with pytest.warns(UserWarning, match="finds no box"):
        other.learned(NOTHING, alone)


def test_a_box_that_another_process_finds_counts():
    watch = watch_with()
    asked_for = []

    def with_another(value):
        asked_for.append(float(value))
        return value + 0.5

    for _ in range(2 * ENOUGH):
        watch.learned(NOTHING, with_another)
    assert asked_for == [0.0] * 2 * WITHOUT_BOX  # all processes ask at the same batches


class Says(torch.nn.Module):
    """Finds the true boxes of drawn images, or nothing."""

    def __init__(self, items, *, knows):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.items, self.knows = items, knows

    def forward(self, images):
        found = []
        for item, _ in zip(self.items, images, strict=True):
            target = draw(item)[1]
            some = slice(None) if self.knows else slice(0)
            boxes, labels = target["boxes"][some], target["labels"][some]
            found.append({"boxes": boxes, "labels": labels, "scores": torch.ones(len(labels))})
        return found


def validate(watch):
    batch = box_batch(range(3))
    watch.look(batch, 0, watch._method.predict(batch.inputs))
    return watch.conclude(lambda value: value)


@pytest.mark.parametrize("inference", ["teacher", "student"])
def test_a_teacher_behind_its_student_is_told_of_when_it_lasts(inference):
    watch = watch_with(inference=inference)
    networks = watch._method.networks
    networks["teacher"], networks["a"] = Says(range(3), knows=False), Says(range(3), knows=True)
    for _ in range(IN_A_ROW - 1):
        figures = validate(watch)
    assert (figures["F1_teacher"].item(), figures["F1_student"].item()) == (0.0, 1.0)
    with pytest.warns(UserWarning, match=r"teacher is behind its student.*; lower method\.ema_decay"):
        validate(watch)


def test_a_teacher_ahead_is_as_it_should_be():
    watch = watch_with()
    networks = watch._method.networks
    networks["teacher"], networks["a"] = Says(range(3), knows=True), Says(range(3), knows=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(IN_A_ROW + 1):
            assert validate(watch)["F1_teacher"] == 1


def test_shares_are_added_up_over_an_epoch_and_nothing_of_nothing_is_left_out():
    means = EpochMeans()
    means.add({"found": Share(1, 2), "never": Share(0, 0), "plain": 2.0}, weight=1)
    means.add({"found": Share(0, 8), "never": Share(0, 0), "plain": 4.0}, weight=3)
    result = means.result(lambda value: value)
    assert set(result) == {"found", "plain"}
    assert result["found"].item() == pytest.approx(0.1)
    assert result["plain"].item() == pytest.approx(3.5)


def test_a_run_logs_what_is_right_only_where_the_truth_is_known(tmp_path):
    class Known(type(asked(tmp_path).datasets["unlabelled"])):
        def __getitem__(self, index):
            return super().__getitem__(index) | {
                "truth": draw(self.ids[index], size=64 if index % 2 else 72)[1]
            }

    run = asked(tmp_path / "known")
    run.datasets["unlabelled"] = Known(range(20, 27), labelled=False)
    train(run)
    train(asked(tmp_path / "unknown"))
    known, unknown = (read_log(tmp_path / name) for name in ("known", "unknown"))
    for figure in ("precision", "recall", "reliability", "still_share"):
        values = [value for _, value in known.points(f"train/pseudo_boxes/{figure}")]
        assert values, figure
        assert all(0 <= value <= 1 for value in values)
    assert not unknown.points("train/pseudo_boxes/precision")
    assert not unknown.points("train/pseudo_boxes/recall")
    assert unknown.points("train/pseudo_boxes/class_1")
    assert unknown.points("val/F1_teacher")
    weights = [
        torch.load(tmp_path / n / "checkpoints" / "last.ckpt")["state_dict"] for n in ("known", "unknown")
    ]
    assert all(torch.equal(value, weights[1][key]) for key, value in weights[0].items())
