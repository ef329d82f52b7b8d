"""Old configurations, run unchanged by ``coteach train``, converted, and as Python classes."""

import csv
import json

import lightning
import pytest
import torch
import yaml
from legacy_project import LEGACY, coteach
from omegaconf import OmegaConf

from coteach.compat import smt
from coteach.compat.smt import CoTeachingModel, SoftLabelModel
from coteach.errors import TargetError
from coteach.training.checkpoints import load_checkpoint, method_weights
from coteach.training.quiet import quiet_lightning


def logged(run_dir, figure):
    [log] = run_dir.glob("logs/*/metrics.csv")
    return [float(row[figure]) for row in csv.DictReader(log.read_text().splitlines()) if row.get(figure)]


@pytest.fixture(scope="session")
def trained(project):
    """Name of the configuration -> folder of its run; each is trained once."""
    folders = {}

    def run(name):
        if name not in folders:
            with pytest.MonkeyPatch.context() as patch:
                patch.chdir(project)
                assert coteach("train", LEGACY / f"{name}.yaml") == 0
            content = yaml.safe_load((LEGACY / f"{name}.yaml").read_text())
            folders[name] = project / ("experiments/unet_soft" if "logger" in content else f"runs/{name}")
        return folders[name]

    return run


@pytest.mark.parametrize(
    ("name", "epochs"),
    [("soft_label", 2), ("soft_label_windowed", 1), ("co_teaching", 2), ("soft_label_cached", 1)],
)
def test_an_old_configuration_runs_unchanged(name, epochs, trained):
    run_dir = trained(name)
    assert json.loads((run_dir / "run.json").read_text())["finished"]
    assert (run_dir / "checkpoints" / "best.ckpt").is_file()
    assert len(logged(run_dir, "val/loss")) == epochs


def test_an_old_configuration_of_a_web_map_runs_unchanged(trained, project):
    run_dir = trained("mbtiles_soft_label")
    assert json.loads((run_dir / "run.json").read_text())["finished"]
    assert (
        project / "cache" / "windows.json"
    ).is_file()  # the file says .csv, which would be a list of windows


def test_figures_and_names_are_those_of_the_file(trained):
    run_dir = trained("soft_label")
    assert len(logged(run_dir, "val/JaccardIndex")) == len(logged(run_dir, "val/F1Score")) == 2
    # torchmetrics' macro Jaccard index is the method's own mIoU, by another way
    assert logged(run_dir, "val/JaccardIndex") == pytest.approx(logged(run_dir, "val/mIoU"))
    assert yaml.safe_load((run_dir / "config.yaml").read_text())["class_names"] == [
        "built",
        "crops",
        "trees",
        "water",
    ]


def test_the_curriculum_at_the_root_goes_before_that_of_the_loss(trained):
    # 0.6 + e / 4 · 0.3, not the loss's 0.5 + e / 20 · 0.45
    assert logged(trained("co_teaching"), "train/retention_rate") == pytest.approx([0.6, 0.675])


def test_a_converted_file_is_the_same_run(trained, at_project, tmp_path, capsys):
    last = trained("co_teaching") / "checkpoints" / "last.ckpt"
    before = last.stat().st_mtime_ns
    native = tmp_path / "native.yaml"
    assert coteach("convert", LEGACY / "co_teaching.yaml", "--output", native) == 0
    assert native.read_text().startswith("# Translated from co_teaching.yaml")
    assert coteach("train", native) == 0, (
        capsys.readouterr().err
    )  # finds it finished; another one would be refused
    assert last.stat().st_mtime_ns == before
    assert "translated" not in capsys.readouterr().out


def test_overrides_have_the_old_keys(trained, at_project, capsys):
    trained("co_teaching")
    assert coteach("train", LEGACY / "co_teaching.yaml", "hyperparameters.learning_rate=1.0e-2") == 1
    assert "another configuration" in capsys.readouterr().err


def test_the_class_trains_to_the_very_weights_of_the_command(trained, at_project):
    cfg = OmegaConf.load(LEGACY / "co_teaching.yaml")
    module = CoTeachingModel(cfg)
    first = {name: p.detach().clone() for name, p in module.model.named_parameters()}
    assert any(not torch.equal(first[name], p) for name, p in module.model_b.named_parameters())
    with quiet_lightning():
        trainer = lightning.Trainer(
            max_epochs=2,
            accelerator="cpu",
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
        )
        trainer.fit(module)
    weights = method_weights(load_checkpoint(trained("co_teaching") / "checkpoints" / "last.ckpt"))
    ours = module.method.state_dict()
    assert set(ours) == set(weights)
    assert all(torch.equal(ours[name], weights[name]) for name in weights)
    held = [{id(p) for group in o.param_groups for p in group["params"]} for o in trainer.optimizers]
    assert held == [{id(p) for p in network.parameters()} for network in (module.model, module.model_b)]


def test_evaluate_takes_the_run(trained, at_project, capsys):
    assert coteach("evaluate", trained("soft_label")) == 0, capsys.readouterr().err
    assert (trained("soft_label") / "evaluation.json").is_file()


def test_a_network_that_only_predicts_needs_no_data(at_project):
    cfg = yaml.safe_load((LEGACY / "co_teaching.yaml").read_text())
    kept = {key: cfg[key] for key in ("model", "seed")}
    module = CoTeachingModel(kept, inference_mode=True).eval()
    images = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        expected = module.model(images)  # network A
        assert torch.equal(module(images), expected)
        assert torch.equal(module.predict_step({"image": images}, 0), expected)
        assert not torch.equal(module.model_b(images), expected)
        assert torch.allclose(module.method.predict(images), expected.softmax(1))


def test_the_class_of_one_network_learns_and_reads_its_schedule(at_project):
    module = SoftLabelModel(OmegaConf.load(LEGACY / "soft_label.yaml"))
    assert len(module.data.datasets["train"]) == 4
    with quiet_lightning():
        trainer = lightning.Trainer(
            max_epochs=1,
            accelerator="cpu",
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
        )
        trainer.fit(module)
    assert trainer.callback_metrics["val/JaccardIndex"] == pytest.approx(trainer.callback_metrics["val/mIoU"])
    [scheduler] = [config.scheduler for config in trainer.lr_scheduler_configs]
    assert (type(scheduler).__name__, scheduler.total_steps, scheduler.last_epoch) == ("OneCycleLR", 4, 2)


@pytest.mark.parametrize(
    ("key", "node", "what"),
    [
        ("model", {"_target_": "os.system", "command": "true"}, "Are you sure|no class|os.system"),
        ("model", {"_target_": "collections.OrderedDict"}, "is no Module"),
        ("optimizer", {"_target_": "torch.nn.Linear", "in_features": 1}, "is no Optimizer"),
        ("model", {"_target_": "torch.nn.Conv2d", "channels": 3}, "refuses its values"),
    ],
)
def test_a_class_of_another_kind_is_never_called(key, node, what, at_project):
    cfg = yaml.safe_load((LEGACY / "co_teaching.yaml").read_text()) | {key: node}
    cfg = OmegaConf.create(cfg)
    with pytest.raises(TargetError, match=what):
        CoTeachingModel(cfg).configure_optimizers()


def test_the_old_names_are_there():
    assert set(dir(smt)) == set(smt.__all__)
    assert all(getattr(smt, name) is not None for name in smt.__all__)
    with pytest.raises(AttributeError, match="OHEMLoss"):
        _ = smt.OHEMLoss
