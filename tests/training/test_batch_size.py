"""What must not depend on how the images fall into batches: figures of an epoch, moving averages."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.optim import SGD

from coteach import CoTeaching, PeerEnsemble, Supervised, fit
from coteach.methods.co_teaching import CoTeachingConfig
from coteach.methods.elr import Elr, ElrConfig
from coteach.methods.jocor import JoCoR, JoCoRConfig
from coteach.methods.peer_ensemble import PeerEnsembleConfig
from coteach.training.options import TrainerOptions
from coteach.training.streams import LoaderOptions

RNG = np.random.default_rng(3)
IMAGES = RNG.random((40, 6, 6)).astype(np.float32)
LABELS = (IMAGES.mean((1, 2)) > 0.5).astype(int)
FEW = np.where(np.arange(40) < 8, LABELS, -1)  # a fifth of the images has a label


def network() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(36, 8), nn.ReLU(), nn.Linear(8, 2))


def fitted(method, labels, batch_size, *, lr=0.0, **more):
    given = {"epochs": 1, "num_classes": 2, "device": "cpu", "seed": 2} | more
    optimizer = partial(SGD, lr=lr)
    return fit(network, (IMAGES, labels), method=method, batch_size=batch_size, optimizer=optimizer, **given)


def everything(config_type):
    """Options with which nothing is left out."""
    more = {"p_start": 1.0, "p_end": 1.0, "lambda_reg": 0.0} if config_type is CoTeachingConfig else {}
    return config_type(forget_end=0.0, e_warm=0, **more)


def test_the_validation_loss_is_the_mean_over_the_labelled_images():
    found = {}
    for size in (2, 8, 40):
        run = fitted(Supervised(), LABELS, size, val=(IMAGES, FEW))
        [found[size]] = run.history["val/loss"].values()
        scores = run.networks["a"].eval()(torch.from_numpy(IMAGES)[:8, None])
        assert found[size] == pytest.approx(F.cross_entropy(scores, torch.tensor(FEW[:8])).item(), rel=1e-5)


@pytest.mark.parametrize("batch_size", [2, 8, 40])
@pytest.mark.parametrize("method", [CoTeaching, JoCoR])
def test_figures_of_training_are_means_over_the_labelled_images(method, batch_size):
    config = everything(CoTeachingConfig if method is CoTeaching else JoCoRConfig)
    run = fitted(method(config), FEW, batch_size)
    scores = [run.networks[name](torch.from_numpy(IMAGES)[:8, None]) for name in "ab"]
    same = (scores[0].argmax(1) == scores[1].argmax(1)).float().mean().item()
    figures = {name: by_epoch[0] for name, by_epoch in run.history.items()}
    assert figures["train/agreement"] == pytest.approx(same)
    assert figures["train/selected_share"] == 1
    assert figures["train/admitted_share"] == 1
    assert figures["train/selection_overlap"] == 1
    assert figures["train/labelled_share/0"] == pytest.approx((FEW[:8] == 0).mean())
    if method is CoTeaching:
        expected = sum(F.cross_entropy(one, torch.tensor(FEW[:8])).item() for one in scores)
        assert figures["train/loss_epoch"] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("method", "average"),
    [
        (partial(PeerEnsemble, PeerEnsembleConfig(forget_end=0.0)), "b_mean"),
        (partial(Elr, ElrConfig(lambda_elr=0.0, ema_decay=0.99)), "ema"),
    ],
)
def test_averages_follow_steps_of_the_optimizer_and_not_batches(method, average):
    whole, parts = (
        fitted(
            method(),
            LABELS,
            40 // parts,
            lr=0.3,
            epochs=12,
            options=TrainerOptions(accumulate_grad_batches=parts),
        )
        for parts in (1, 8)
    )
    for name in ("a", average):
        for one, other in zip(
            whole.networks[name].parameters(), parts.networks[name].parameters(), strict=True
        ):
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_images_that_no_batch_has_had_stay_believed():
    run = fitted(
        PeerEnsemble(PeerEnsembleConfig(forget_end=0.0, warm_epochs=1)),
        LABELS,
        24,
        epochs=3,
        loader=LoaderOptions(drop_last=True),
    )
    assert set(run.history["train/kept_share/a"].values()) == {1.0}


def test_where_nothing_is_admitted_nothing_moves():
    config = CoTeachingConfig(p_start=0.0, p_end=0.0, forget_end=0.0, lambda_reg=0.0, e_warm=1)
    first, second = (
        fit(
            network,
            (IMAGES, LABELS),
            method=CoTeaching(config),
            batch_size=10,
            epochs=epochs,
            optimizer=partial(torch.optim.AdamW, lr=0.1, weight_decay=0.5),
            device="cpu",
            seed=2,
        )
        for epochs in (1, 2)
    )
    for one, other in zip(first.networks["a"].parameters(), second.networks["a"].parameters(), strict=True):
        assert torch.equal(one, other)
