"""Which folders ``coteach.fit`` goes on in, and which are of another run."""

from __future__ import annotations

import json
import re
from functools import partial
from itertools import cycle

import numpy as np
import pytest
import torch
from eight_images import IMAGES, LABELS, SHORT, linear
from torch import nn
from torch.optim.lr_scheduler import StepLR

from coteach import CoTeaching, Supervised, fit
from coteach.errors import TrainingError
from coteach.methods.co_teaching import CoTeachingConfig
from coteach.training.options import TrainerOptions
from coteach.training.streams import LoaderOptions

CONSTANT = partial(torch.optim.SGD, lr=0.1)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"optimizer": partial(torch.optim.SGD, lr=0.5)},
            r"optimizer was \"SGD\(.*lr=0\.1.*is \"SGD\(.*lr=0\.5",
        ),
        ({"optimizer": torch.optim.AdamW}, r"optimizer was \"SGD\(.*, is \"AdamW\("),
        ({"scheduler": partial(StepLR, step_size=1)}, 'scheduler was not set, is "StepLR"'),
        ({"options": TrainerOptions(accumulate_grad_batches=2)}, "accumulate_grad_batches was 1, is 2"),
        ({"loader": LoaderOptions(drop_last=True)}, "loader.drop_last was false, is true"),
        ({"model_factory": lambda: nn.Sequential(nn.Flatten(), nn.Linear(16, 2, bias=False))}, "network was"),
    ],
)
@pytest.mark.parametrize("epochs", [1, 2])
def test_a_folder_of_another_optimizer_or_network_is_refused(tmp_path, changes, message, epochs):
    """Finished or not: else the old networks would be returned, or their state would not fit."""
    given = {"model_factory": linear, "dataset": (IMAGES, LABELS), "method": Supervised(), "batch_size": 4}
    given |= {"device": "cpu", "seed": 1, "output_dir": tmp_path, "optimizer": CONSTANT}
    fit(**given, epochs=1)
    with pytest.raises(TrainingError, match=rf"another configuration: .*{message}"):
        fit(**given | changes, epochs=epochs)
    fit(**given, epochs=epochs)  # the same goes on, or is found finished


def test_a_folder_of_an_earlier_version_is_gone_on_with(tmp_path):
    """It does not say which optimizer and network it was of."""
    given = {"model_factory": linear, "dataset": (IMAGES, LABELS), "method": Supervised(), "batch_size": 4}
    given |= {"device": "cpu", "seed": 1, "output_dir": tmp_path, "optimizer": CONSTANT}
    fit(**given, epochs=1)
    state = json.loads((tmp_path / "run.json").read_text())
    for key in ("network", "optimizer", "trainer", "loader"):
        del state["identity"][key]
    (tmp_path / "run.json").write_text(json.dumps(state))
    assert len(fit(**given, epochs=2).history["train/loss_epoch"]) == 2
    with pytest.raises(TrainingError, match="batch_size was 4, is 2"):
        fit(**given | {"batch_size": 2}, epochs=3)
    with pytest.raises(TrainingError, match="seed was 1, is 2"):
        fit(**given | {"seed": 2}, epochs=3)
    del state["identity"]["seed"]
    (tmp_path / "run.json").write_text(json.dumps(state))
    assert len(fit(**given, epochs=3).history["train/loss_epoch"]) == 3


def test_other_images_are_told_in_words(tmp_path):
    given = {"model_factory": linear, "method": Supervised(), "epochs": 1, "batch_size": 4, "device": "cpu"}
    fit(dataset=(IMAGES, LABELS), output_dir=tmp_path, **given)
    words = "configuration: the images or labels of train are not those the run began with; choose"
    with pytest.raises(TrainingError, match=words):
        fit(dataset=(IMAGES[::-1].copy(), LABELS), output_dir=tmp_path, **given | {"epochs": 2})


def test_how_fast_an_optimizer_is_makes_no_other_run(tmp_path):
    given = {"model_factory": linear, "dataset": (IMAGES, LABELS), "method": Supervised(), "batch_size": 4}
    given |= {"device": "cpu", "seed": 1, "output_dir": tmp_path}
    fit(**given, optimizer=partial(torch.optim.SGD, lr=1.0), epochs=1)
    fit(**given, optimizer=partial(torch.optim.SGD, lr=1, foreach=False), epochs=2)
    with pytest.raises(TrainingError, match=r"optimizer was .*is .*nesterov=True"):
        fit(**given, optimizer=partial(torch.optim.SGD, lr=0.1, momentum=0.5, nesterov=True), epochs=3)


def test_an_optimizer_that_other_versions_of_torch_describe_otherwise_is_the_same(tmp_path):
    given = {"model_factory": linear, "dataset": (IMAGES, LABELS), "method": Supervised(), "batch_size": 4}
    given |= {"device": "cpu", "output_dir": tmp_path}
    fit(**given, epochs=1)
    told = json.loads((tmp_path / "run.json").read_text())["identity"]["optimizer"]
    assert told == "AdamW(betas=(0.9, 0.999), eps=1e-08, lr=0.001, weight_decay=0.01)"


def test_weights_may_have_options_of_their_own(tmp_path):
    def grouped(rate, parameters):
        weight, bias = parameters
        return torch.optim.SGD([{"params": [weight], "lr": rate}, {"params": [bias]}], lr=0.1)

    given = {"model_factory": linear, "dataset": (IMAGES, LABELS), "method": Supervised(), "batch_size": 4}
    given |= {"device": "cpu", "output_dir": tmp_path}
    fit(**given, optimizer=partial(grouped, 0.5), epochs=1)
    with pytest.raises(TrainingError, match=r'options of weights was "lr=0\.5; ", is "lr=0\.2; "'):
        fit(**given, optimizer=partial(grouped, 0.2), epochs=2)
    fit(**given, optimizer=partial(grouped, np.float32(0.5)), epochs=2)


def test_of_long_options_those_are_shown_that_differ(tmp_path):
    given = {"model_factory": linear, "dataset": (IMAGES, LABELS), "method": Supervised(), **SHORT}
    fit(**given, optimizer=torch.optim.AdamW, output_dir=tmp_path)
    words = r"lr=0\.001, weight_decay=0\.01\)\", is \.\.\..*weight_decay=0\.05\)\"; choose"
    with pytest.raises(TrainingError, match=words):
        fit(**given, optimizer=partial(torch.optim.AdamW, weight_decay=0.05), output_dir=tmp_path)


def test_a_folder_without_a_checkpoint_says_nothing_of_what_is_asked(tmp_path):
    """Killed before the first one, by an earlier version: what is trained there now is told in full."""
    (tmp_path / "run.json").write_text(json.dumps({"identity": {"method": "supervised", "batch_size": 4}}))
    given = {"model_factory": linear, "dataset": (IMAGES, LABELS), "method": Supervised(), **SHORT}
    fit(**given, optimizer=CONSTANT, output_dir=tmp_path)
    with pytest.raises(TrainingError, match="seed was 0, is 1"):
        fit(**given, optimizer=CONSTANT, output_dir=tmp_path, seed=1)


def test_factories_that_give_one_thing_after_the_other(tmp_path):
    """A pair of networks of two kinds, each with a rate of its own: also when it is called again."""
    kinds = cycle([linear, lambda: nn.Sequential(nn.Flatten(), nn.Linear(16, 3), nn.Linear(3, 2))])

    def network():
        return next(kinds)()

    rates = cycle([0.1, 0.0])
    method = CoTeaching(CoTeachingConfig(forget_end=0.2, e_warm=1, p_start=1, p_end=1))
    given = {"dataset": (IMAGES, LABELS), "method": method, **SHORT, "output_dir": tmp_path}
    for epochs in (1, 2):
        fit(
            network,
            optimizer=lambda weights: torch.optim.SGD(weights, lr=next(rates)),
            **given | {"epochs": epochs},
        )
        assert [len(method.networks[name]) for name in "ab"] == [2, 3]
    kept = json.loads((tmp_path / "run.json").read_text())["identity"]
    assert re.fullmatch(
        r"Sequential of 2 tensors \(\w+\) and Sequential of 4 tensors \(\w+\)", kept["network"]
    )
    assert re.findall(r"lr=([\d.]+)", kept["optimizer"]) == ["0.1", "0"]


def test_lazy_layers_have_no_shapes_yet(tmp_path):
    def network():
        return nn.Sequential(nn.Flatten(), nn.LazyLinear(2))

    result = fit(network, (IMAGES, LABELS), output_dir=tmp_path, method=Supervised(), **SHORT)
    assert result.predict(IMAGES).shape == (8, 2)


def test_a_run_of_lazy_layers_goes_on(tmp_path):
    """Their weights have no shapes before the checkpoint gives them some."""

    def lazy():
        return nn.Sequential(nn.Flatten(), nn.LazyLinear(2))

    for method in (Supervised, lambda: CoTeaching(CoTeachingConfig(e_warm=1, p_start=1, p_end=1))):
        given = SHORT | {"optimizer": CONSTANT, "scheduler": None}
        folder = tmp_path / method().name
        whole = fit(lazy, (IMAGES, LABELS), **given | {"method": method(), "epochs": 3})
        fit(lazy, (IMAGES, LABELS), **given | {"method": method(), "epochs": 1}, output_dir=folder)
        gone_on = fit(lazy, (IMAGES, LABELS), **given | {"method": method(), "epochs": 3}, output_dir=folder)
        np.testing.assert_array_equal(whole.predict(IMAGES), gone_on.predict(IMAGES))
