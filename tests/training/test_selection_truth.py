"""What of the selected labels is right: against a plain loop, over an interruption, for every method that selects."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from same_run import assert_same_weights
from test_history import ToyImages, network
from toys import toy_run

from coteach import ArrayDataset, fit
from coteach.errors import InputError
from coteach.methods.co_teaching import CoTeaching, CoTeachingConfig
from coteach.methods.supervised import Supervised
from coteach.report.logs import read_log
from coteach.training.checkpoints import WholeCheckpointIO
from coteach.training.run import train

RIGHT = np.array([-1, 1, 0, 1, 1, -1, 1, 0, 0, 1], np.int8)


class KnownImages(ToyImages):
    """Ten images; of the eight labelled ones, three labels are said to be wrong."""

    right_labels = RIGHT


def known_run(folder, method="co_teaching", dies_after=None, known=True, options=None, **changes):
    options = {"lambda_reg": 0, "forget_end": 0.5, "e_warm": 1} if method == "co_teaching" else options
    kind = KnownImages if known else ToyImages
    return toy_run(
        folder,
        method,
        datasets={"train": kind(dies_after)},
        make_network=network,
        options={"max_epochs": 3, **changes},
        **({"method_options": options} if options else {}),
    )


def figures(folder):
    return {name: values for name, values in read_log(folder).figures.items() if "/label_" in name}


def test_figures_are_those_of_a_plain_loop(tmp_path):
    run, told = known_run(tmp_path), []
    run.method.tell_choice = lambda name, ids, chosen: (
        told.append((name, ids.tolist(), chosen.tolist())),
        CoTeaching.tell_choice(run.method, name, ids, chosen),
    )
    train(run)
    per_epoch = len(told) // 3
    found = figures(tmp_path)
    assert set(found) == {
        f"train/label_{figure}/{name}" for figure in ("precision", "recall") for name in "ab"
    }
    refused = 0
    for epoch in range(3):
        for name in "ab":
            chosen = {
                item
                for who, ids, mask in told[epoch * per_epoch : (epoch + 1) * per_epoch]
                for item, picked in zip(ids, mask, strict=True)
                if who == name and picked and RIGHT[item] >= 0
            }
            hits = sum(RIGHT[item] == 1 for item in chosen)
            assert found[f"train/label_precision/{name}"][epoch] == pytest.approx(hits / len(chosen))
            assert found[f"train/label_recall/{name}"][epoch] == pytest.approx(hits / 5)
            refused += 8 - len(chosen)
    assert refused > 0


def test_log_of_an_epoch_is_there_before_its_checkpoint(tmp_path, monkeypatch):
    """A run that is killed right after a checkpoint goes on after it: what the log lacked then, it would lack for good."""
    written, there = WholeCheckpointIO.save_checkpoint, []

    def watched(io, checkpoint, path, storage_options=None):
        written(io, checkpoint, path, storage_options)
        if Path(path).stem == "last":
            there.append((checkpoint["coteach"]["epochs"], read_log(tmp_path)))

    monkeypatch.setattr(WholeCheckpointIO, "save_checkpoint", watched)
    train(known_run(tmp_path))
    whole = read_log(tmp_path).figures
    assert {"train/loss_epoch", "train/a/cross_update", "train/label_precision/a"} <= set(whole)
    assert [epochs for epochs, _ in there] == [1, 2, 3]
    for epochs, log in there:
        up_to = {name: {e: v for e, v in values.items() if e < epochs} for name, values in whole.items()}
        assert log.figures == {name: values for name, values in up_to.items() if values}


def test_precision_of_a_separable_set_rises_to_one():
    """A linear network cannot learn a few wrong labels by heart: what co-teaching keeps in the end is right."""
    labels = np.arange(60) % 2
    images = (
        np.random.default_rng(0).normal(2.0 * labels[:, None, None] - 1, 0.2, (60, 3, 3)).astype(np.float32)
    )
    given = labels.copy()
    given[:12] = 1 - given[:12]
    dataset = ArrayDataset(images, given, clean_labels=labels)
    method = CoTeaching(CoTeachingConfig(forget_end=0.25, e_warm=3, p_start=1.0, p_end=1.0, lambda_reg=0.0))
    result = fit(
        lambda: torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(9, 2)),
        dataset, method=method, epochs=6, batch_size=60, lr=0.05, device="cpu",
    )  # fmt: skip
    for name in "ab":
        precision = result.history[f"train/label_precision/{name}"]
        assert precision[0] == pytest.approx(0.8)  # nothing is refused yet: 48 of 60 are right
        assert precision[5] == 1.0
        # a quarter of each class is refused, of 30 given labels: 22 or 23 remain, all right, of 48
        kept = 2 * math.floor(0.75 * 30 + 1e-6)
        assert result.history[f"train/label_recall/{name}"][5] == pytest.approx(kept / 48)


@pytest.mark.parametrize("dies_after", [13, 17])
def test_an_interrupted_run_has_the_figures_of_an_uninterrupted_one(tmp_path, dies_after):
    train(known_run(tmp_path / "whole", checkpoint_every_steps=1))
    with pytest.raises(RuntimeError, match="killed"):
        train(known_run(tmp_path / "parts", dies_after=dies_after, checkpoint_every_steps=1))
    train(known_run(tmp_path / "parts", checkpoint_every_steps=1))
    whole, parts = figures(tmp_path / "whole"), figures(tmp_path / "parts")
    assert whole
    assert parts == whole


@pytest.mark.parametrize(
    ("method", "options"),
    [
        ("jocor", {"forget_end": 0.4, "e_warm": 1}),
        ("co_teaching_plus", {"forget_end": 0.4, "e_warm": 1, "agree_epochs": 1}),
        ("divide_mix", {"warm_epochs": 1}),
        ("peer_ensemble", {"warm_epochs": 1, "forget_end": "mixture"}),
    ],
)
def test_every_method_that_selects_tells(tmp_path, method, options):
    run = known_run(tmp_path, method, options=options)
    train(run)
    found = figures(tmp_path)
    if options.get("warm_epochs"):  # nothing is refused at first
        assert found["train/label_precision/a"][0] == pytest.approx(5 / 8)
        assert found["train/label_recall/b"][0] == 1
    for name in "ab":
        assert set(found[f"train/label_recall/{name}"]) == {0, 1, 2}
    assert run.method.choice_listener is None
    if options.get("warm_epochs"):
        kept = getattr(run.method, "believed", run.method).kept.numpy()
        for row, name in zip(kept, "ab", strict=True):
            assert found[f"train/label_recall/{name}"][2] == pytest.approx(row[RIGHT == 1].mean())
            assert found[f"train/label_precision/{name}"][2] == pytest.approx(
                (row & (RIGHT == 1)).sum() / (row & (RIGHT >= 0)).sum()
            )


def test_nothing_that_is_trained_changes_and_nothing_is_told_without_truth(tmp_path):
    train(known_run(tmp_path / "known"))
    train(known_run(tmp_path / "unknown", known=False))
    assert_same_weights(tmp_path / "known", tmp_path / "unknown")
    assert not figures(tmp_path / "unknown")


def test_what_is_known_of_other_images_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(KnownImages, "right_labels", RIGHT[:9])
    with pytest.raises(InputError, match="right_labels: of the training set are 9 for 10 items"):
        train(known_run(tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_a_method_that_does_not_select_has_no_figures(tmp_path):
    run = known_run(tmp_path, "supervised")
    assert isinstance(run.method, Supervised)
    train(run)
    assert not figures(tmp_path)
