"""The training module: resume, accumulation, clipping, one scaler, length, errors."""

import copy
import csv
import json
from functools import partial

import pytest
import torch
from toy_images import ToyImages, image_network
from toys import ToyMaps, adam, toy_network, toy_run

from coteach.errors import ConfigError, CoteachWarning, TrainingError
from coteach.methods.base import Stream
from coteach.training.checkpoints import load_checkpoint
from coteach.training.options import SchedulerOptions, TrainerOptions
from coteach.training.run import train
from coteach.training.streams import LoaderOptions, make_loader, refuse_no_batch


def weights(folder, name="last"):
    return load_checkpoint(folder / "checkpoints" / f"{name}.ckpt")["state_dict"]


def assert_same(first, second):
    assert first.keys() == second.keys()
    for key in first:
        assert torch.equal(first[key], second[key]), key


@pytest.mark.parametrize("method", ["supervised", "co_teaching"])
def test_a_resumed_run_is_the_uninterrupted_one(tmp_path, method):
    whole = {"options": {"max_epochs": 4}}
    train(toy_run(tmp_path / "whole", method, **whole))

    class Stops(ToyMaps):
        """Fails in the middle of the third epoch, as a killed process would."""

        drawn = 0

        def __getitem__(self, index):
            self.drawn += 1
            if self.drawn > 30:
                raise RuntimeError("killed")
            return super().__getitem__(index)

    with pytest.raises(RuntimeError, match="killed"):
        train(
            toy_run(
                tmp_path / "parts", method, datasets={"train": Stops(), "val": ToyMaps(4, noise=0)}, **whole
            )
        )
    assert not json.loads((tmp_path / "parts" / "run.json").read_text())["finished"]
    train(toy_run(tmp_path / "parts", method, **whole))
    assert_same(weights(tmp_path / "parts"), weights(tmp_path / "whole"))
    first, second = (load_checkpoint(tmp_path / n / "checkpoints" / "last.ckpt") for n in ("parts", "whole"))
    assert str(first["optimizer_states"]) == str(second["optimizer_states"])
    assert first["lr_schedulers"] == second["lr_schedulers"]
    assert first["coteach"]["batches_seen"] == 12


def test_a_finished_run_is_left_alone_and_another_configuration_refused(tmp_path):
    last = train(toy_run(tmp_path, identity={"lr": 1}))
    written = last.stat().st_mtime_ns
    assert train(toy_run(tmp_path, identity={"lr": 1})).stat().st_mtime_ns == written
    with pytest.raises(TrainingError, match="another configuration"):
        train(toy_run(tmp_path, identity={"lr": 2}))


def test_a_run_of_another_version_is_refused_before_it_goes_on(tmp_path):
    """As where a method keeps another table than it did."""
    last = train(toy_run(tmp_path))
    content = load_checkpoint(last)
    content["state_dict"]["method.table"] = torch.zeros(3)
    torch.save(content, last)
    more = toy_run(tmp_path, options={"max_epochs": 5})
    with pytest.raises(
        TrainingError, match=r"version of coteach: it has table, the model has not.*choose another"
    ):
        train(more)


def test_loader_workers_draw_the_same_samples(tmp_path):
    only_train = {"datasets": {"train": ToyMaps()}}
    train(toy_run(tmp_path / "alone", "supervised", **only_train))
    helped = LoaderOptions(batch_size=4, num_workers=1)
    train(toy_run(tmp_path / "helped", "supervised", loader=helped, **only_train))
    assert_same(weights(tmp_path / "helped"), weights(tmp_path / "alone"))


def sgd(parameters):
    return torch.optim.SGD(parameters, lr=0.1)


def linear():
    return torch.nn.Conv2d(2, 2, 1)


def one_epoch(folder, **options):
    run = toy_run(
        folder,
        "supervised",
        make_network=linear,
        make_optimizer=sgd,
        scheduler=None,
        loader=LoaderOptions(batch_size=options.pop("batch_size", 4)),
        options={"max_epochs": 1, **options},
    )
    initial = copy.deepcopy(run)
    train(run)
    return {k: v for k, v in weights(folder).items() if "networks" in k}, initial


def test_accumulation_over_three_batches_is_one_batch_of_all(tmp_path):
    # 12 samples of equal size: the mean of three means is the mean of all.
    accumulated, _ = one_epoch(tmp_path / "three", accumulate_grad_batches=3)
    whole, _ = one_epoch(tmp_path / "one", batch_size=12)
    single, _ = one_epoch(tmp_path / "single")
    for key in whole:
        torch.testing.assert_close(accumulated[key], whole[key], rtol=1e-5, atol=1e-6)
        assert not torch.allclose(single[key], whole[key], atol=1e-4)


def test_an_incomplete_group_still_steps(tmp_path):
    # Three batches in groups of two: the second group holds one batch, its gradient counts half.
    twice, _ = one_epoch(tmp_path / "two", accumulate_grad_batches=2)
    never, _ = one_epoch(tmp_path / "first", accumulate_grad_batches=2, max_steps=2)
    assert any(not torch.equal(twice[k], never[k]) for k in twice)


def test_clipping_bounds_the_step(tmp_path):
    limit = 1e-3
    clipped, _ = one_epoch(tmp_path / "clipped", batch_size=12, gradient_clip_val=limit)
    free, _ = one_epoch(tmp_path / "free", batch_size=12)
    start = start_weights(tmp_path)
    moved, moved_free = (
        torch.cat([(w[k] - start[k]).flatten() for k in start]).norm().item() for w in (clipped, free)
    )
    assert moved == pytest.approx(0.1 * limit, rel=1e-3)  # learning rate times the largest norm
    assert moved_free > 10 * moved


def start_weights(tmp_path):
    """Weights before training: a learning rate of zero leaves them."""
    run = toy_run(
        tmp_path / "start",
        "supervised",
        make_network=linear,
        make_optimizer=lambda p: torch.optim.SGD(p, lr=0.0),
        scheduler=None,
        options={"max_epochs": 1},
    )
    train(run)
    return {k: v for k, v in weights(tmp_path / "start").items() if "networks" in k}


def test_clipping_acts_on_each_network_by_itself(tmp_path):
    run = toy_run(
        tmp_path / "both",
        make_network=linear,
        make_optimizer=sgd,
        scheduler=None,
        loader=LoaderOptions(batch_size=12),
        options={"max_epochs": 1, "gradient_clip_val": 1e-3},
    )
    train(run)
    still = toy_run(
        tmp_path / "still",
        make_network=linear,
        make_optimizer=lambda p: torch.optim.SGD(p, lr=0.0),
        scheduler=None,
        options={"max_epochs": 1},
    )
    train(still)
    end, start = weights(tmp_path / "both"), weights(tmp_path / "still")
    for network in "ab":
        keys = [k for k in end if f"networks.{network}." in k]
        moved = torch.cat([(end[k] - start[k]).flatten() for k in keys]).norm().item()
        assert moved == pytest.approx(1e-4, rel=1e-3)


@pytest.mark.filterwarnings("ignore:16-mixed:coteach.errors.CoteachWarning")
def test_an_overflow_in_one_network_skips_only_its_step(tmp_path):
    class Overflows(torch.nn.Module):
        """Its first instance gives gradients beyond float16."""

        made = 0

        def __init__(self):
            super().__init__()
            self.net = linear()
            self.scale = 1e30 if Overflows.made == 0 else 1.0
            Overflows.made += 1

        def forward(self, x):
            scores = self.net(x)
            if scores.requires_grad:
                scores.register_hook(lambda gradient: gradient * self.scale)
            return scores

    def run(folder, lr):
        Overflows.made = 0
        train(
            toy_run(
                folder,
                method_options={"lambda_reg": 0.0},
                make_network=Overflows,
                make_optimizer=lambda p: torch.optim.SGD(p, lr=lr),
                scheduler=None,
                loader=LoaderOptions(batch_size=12),
                options={"max_epochs": 1, "precision": "16-mixed"},
            )
        )
        return load_checkpoint(folder / "checkpoints" / "last.ckpt")

    end, start = run(tmp_path / "run", 0.1), run(tmp_path / "start", 0.0)
    changed = {
        k: not torch.equal(v, start["state_dict"][k]) for k, v in end["state_dict"].items() if "networks" in k
    }
    assert not any(c for k, c in changed.items() if "networks.a." in k)
    assert any(c for k, c in changed.items() if "networks.b." in k)
    assert all(torch.isfinite(v).all() for v in end["state_dict"].values())
    assert end["coteach"]["stepper"]["scaler"]["scale"] == 2.0**15  # halved once from 2^16


@pytest.mark.parametrize("precision", ["bf16-mixed", "16-mixed"])
@pytest.mark.filterwarnings("ignore:16-mixed:coteach.errors.CoteachWarning")
def test_mixed_precision_trains(tmp_path, precision):
    train(toy_run(tmp_path, options={"max_epochs": 3, "precision": precision}))
    losses = figures(tmp_path, "train/loss_epoch")
    assert losses[-1] < losses[0]


def test_float16_on_a_processor_is_told_to_be_slow(tmp_path):
    with pytest.warns(
        CoteachWarning, match="16-mixed may be a hundred times slower .* take bf16-mixed or 32-true"
    ):
        train(toy_run(tmp_path, options={"max_epochs": 1, "precision": "16-mixed"}))


def figures(folder, column):
    [file] = folder.glob("logs/version_*/metrics.csv")
    with file.open() as lines:
        return [float(row[column]) for row in csv.DictReader(lines) if row.get(column)]


def test_max_steps_counts_batches(tmp_path):
    train(toy_run(tmp_path, options={"max_epochs": 9, "max_steps": 5, "accumulate_grad_batches": 2}))
    checkpoint = load_checkpoint(tmp_path / "checkpoints" / "last.ckpt")
    assert checkpoint["coteach"]["batches_seen"] == 5


def test_logs_and_checkpoints_are_there(tmp_path):
    train(toy_run(tmp_path, options={"max_epochs": 3}))
    assert len(figures(tmp_path, "val/mIoU")) == 3
    assert figures(tmp_path, "train/retention_rate") == pytest.approx([0.5, 0.5225, 0.545])
    assert figures(tmp_path, "train/forget_rate") == pytest.approx([0, 0.015, 0.03])
    assert list(tmp_path.glob("tensorboard/version_*/events.*"))
    best = min(figures(tmp_path, "val/loss"))
    saved = load_checkpoint(tmp_path / "checkpoints" / "best.ckpt")["callbacks"]
    [score] = [v["best_model_score"] for k, v in saved.items() if "'monitor': 'val/loss'" in k]
    assert score.item() == pytest.approx(best, rel=1e-5)
    assert not list(tmp_path.rglob("*.tmp"))


def test_schedules_by_step_and_on_plateau(tmp_path):
    by_step = SchedulerOptions(
        make=lambda o: torch.optim.lr_scheduler.StepLR(o, 1, gamma=0.5), interval="step"
    )
    train(toy_run(tmp_path / "step", "supervised", scheduler=by_step))
    rate = load_checkpoint(tmp_path / "step" / "checkpoints" / "last.ckpt")["optimizer_states"][0][
        "param_groups"
    ][0]["lr"]
    assert rate == pytest.approx(0.01 * 0.5**6)  # three batches in each of two epochs
    plateau = SchedulerOptions(make=lambda o: torch.optim.lr_scheduler.ReduceLROnPlateau(o, threshold=0))
    train(toy_run(tmp_path / "plateau", "supervised", scheduler=plateau))
    state = load_checkpoint(tmp_path / "plateau" / "checkpoints" / "last.ckpt")["lr_schedulers"][0]
    assert state["best"] == pytest.approx(min(figures(tmp_path / "plateau", "val/loss")), rel=1e-5)


def test_a_loss_that_is_no_number_stops_the_run(tmp_path):
    class Bad(ToyMaps):
        def __getitem__(self, index):
            sample = super().__getitem__(index)
            return {**sample, "image": sample["image"] * float("nan")}

    with pytest.raises(TrainingError, match=r"epoch 0, batch 0.*nan.*items"):
        train(
            toy_run(
                tmp_path, "supervised", datasets={"train": Bad()}, make_network=linear, make_optimizer=adam
            )
        )


def test_a_damaged_checkpoint_is_named(tmp_path):
    last = train(toy_run(tmp_path))
    last.write_bytes(last.read_bytes()[:100])
    with pytest.raises(TrainingError, match=r"last\.ckpt"):
        load_checkpoint(last)


@pytest.mark.parametrize(
    "bad", [{"max_epochs": 0}, {"precision": "8-bit"}, {"gradient_clip_val": -1.0}, {"monitor_mode": "best"}]
)
def test_options_out_of_range(bad, unchecked):
    with pytest.raises(ConfigError, match="trainer"):
        TrainerOptions(**bad)


def test_networks_are_not_shared(tmp_path):
    run = toy_run(tmp_path, make_network=toy_network)
    train(run)
    a, b = (list(run.method.networks[n].parameters()) for n in "ab")
    assert not {id(p) for p in a} & {id(p) for p in b}


def test_a_run_goes_on_only_from_a_whole_checkpoint(tmp_path):
    last = train(toy_run(tmp_path))
    last.write_bytes(last.read_bytes()[:2000])
    state = tmp_path / "run.json"
    state.write_text(state.read_text().replace('"finished": true', '"finished": false'))
    with pytest.raises(TrainingError, match=r"last\.ckpt"):
        train(toy_run(tmp_path))


def test_no_full_batch_is_no_training(tmp_path):
    """Known, and said, before there is anything in the folder."""
    message = (
        r"data_loader\.drop_last: true leaves no batch: of train there are 12 samples, a batch has 100; "
        r"lower data_loader\.batch_size to 12 or less, or set it to false"
    )
    with pytest.raises(ConfigError, match=message):
        train(toy_run(tmp_path, loader=LoaderOptions(batch_size=100, drop_last=True)))
    assert not list(tmp_path.iterdir())


def test_a_selection_with_no_full_batch_is_taken_whole(tmp_path):
    """Which images DivideMix takes for wrong is known in training only; they may be fewer than a batch has."""
    options = LoaderOptions(batch_size=5, drop_last=True)
    sizes = {}
    for ids in ((3, 1, 4), (0, 1, 2, 3, 4, 5, 6)):
        loader = make_loader(ToyMaps(), Stream(ids=ids), options, seed=1)
        sizes[len(ids)] = [sorted(batch.ids.tolist()) for batch in loader]
    assert sizes[3] == [[1, 3, 4]]
    assert [len(ids) for ids in sizes[7]] == [5]
    changes = {
        "make_network": image_network,
        "datasets": {"train": ToyImages(12, wrong=(1,))},
        "method_options": {"warm_epochs": 4, "threshold": 0.1, "lambda_u": 1.0},
        "options": {"max_epochs": 6, "log_images": 0},
        "loader": LoaderOptions(batch_size=6, drop_last=True),
        "make_optimizer": partial(torch.optim.Adam, lr=0.02),
    }
    train(toy_run(tmp_path, "divide_mix", **changes))
    kept = load_checkpoint(tmp_path / "checkpoints" / "last.ckpt")["state_dict"]["method.kept"]
    assert 0 < (~kept).sum(1).min() < 6


def test_which_streams_have_no_full_batch():
    def check(size, processes=1, **stream):
        options = LoaderOptions(batch_size=size, drop_last=True)
        refuse_no_batch((Stream(**stream),), {"train": ToyMaps()}, options, world_size=processes)

    check(12)
    check(6, 2)
    check(100, shuffle=False)  # seen whole
    check(100, ids=[1, 2])  # known when it is drawn
    check(100, batch_size=3)
    with pytest.raises(
        ConfigError, match=r"12 samples, 6 in each of 2 processes, a batch has 7; lower .* to 6 or"
    ):
        check(7, 2)
    with pytest.raises(ConfigError, match=r"a batch has 13; lower the method's batch to 12 or less"):
        check(1, batch_size=13)


def test_the_validation_loss_is_the_mean_over_labelled_items(tmp_path):
    class Partly(ToyMaps):
        """The second half of the samples has labels in one row of pixels only."""

        def plain(self, index):
            sample = super().plain(index)
            if index >= 2:
                sample["mask"]["mask"][:, 1:] = 0.5
                sample["mask"]["w_conf"][:, 1:] = 0
            return sample

    # A rate of zero: the weights in the checkpoint are those that were validated.
    run = toy_run(
        tmp_path,
        "supervised",
        make_optimizer=lambda p: torch.optim.SGD(p, lr=0.0),
        datasets={"train": ToyMaps(), "val": Partly(4, noise=0)},
        loader=LoaderOptions(batch_size=2),
        options={"max_epochs": 1},
    )
    train(run)
    network = run.method.networks["a"].eval()
    total = count = 0.0
    for index in range(4):
        sample = run.datasets["val"].plain(index)
        losses = -(sample["mask"]["mask"] * network(sample["image"][None])[0].log_softmax(0)).sum(0)
        labelled = sample["mask"]["w_conf"][0] > 0
        total += (losses * sample["mask"]["w_conf"][0])[labelled].sum().item()
        count += labelled.sum().item()
    assert count == 2 * 64 + 2 * 8
    assert figures(tmp_path, "val/loss") == pytest.approx([total / count], rel=1e-5)
