"""Old keys -> new ones; what is refused, and that all of it is listed at once."""

from copy import deepcopy

import pytest
import yaml
from legacy_project import LEGACY, coteach

from coteach.cli.config import compose_config, parse_config
from coteach.compat.smt.config import is_legacy, translate
from coteach.compat.smt.ledger import feature
from coteach.errors import ConfigError

PACKAGE = "pytorch_segmentation_models_trainer"


@pytest.fixture(scope="module")
def old():
    """The co-teaching configuration as plain data."""
    return compose_config(LEGACY / "co_teaching.yaml")[1]


def native(content, **changes):
    return translate(deepcopy(content) | changes, "old.yaml", "old").content


def problems(content, **changes):
    with pytest.raises(ConfigError) as caught:
        native(content, **changes)
    lines = str(caught.value).splitlines()
    return [line.strip() for line in lines[1:]]


def test_a_configuration_is_known_by_its_classes():
    assert is_legacy({"_target_": f"{PACKAGE}.model_loader.co_teaching_model.CoTeachingModel"})
    assert is_legacy({"train_dataset": {"_target_": f"{PACKAGE}.dataset_loader.dataset.SegmentationDataset"}})
    assert not is_legacy({"train_dataset": {"_target_": "coteach.SoftLabelDataset"}, "method": {"name": "x"}})


def test_the_whole_of_a_translation(old):
    """Every key of the file, by hand."""
    data = {"image_key": "image_path", "p_soft_key": "p_soft_path", "w_conf_key": "w_conf_path"}
    normalize = {
        "_target_": "albumentations.Normalize",
        "mean": [0.485, 0.456, 0.406],
        "std": [0.229, 0.224, 0.225],
        "max_pixel_value": 1.0,
    }
    flip = {"_target_": "albumentations.HorizontalFlip", "p": 0.5}
    soft = {"_target_": "coteach.SoftLabelDataset", **data}
    model = yaml.safe_load((LEGACY / "co_teaching.yaml").read_text())["model"]
    assert native(old) == {
        "method": {"name": "co_teaching", "e_warm": 4, "p_start": 0.6, "p_end": 0.9, "lambda_reg": 0.05},
        "num_classes": 4,
        "model": model,
        "optimizer": {"_target_": "torch.optim.AdamW", "lr": 1e-3, "weight_decay": 1e-4},
        "scheduler": {
            "_target_": "torch.optim.lr_scheduler.ExponentialLR",
            "gamma": 0.5,
            "interval": "epoch",
        },
        "train_dataset": soft
        | {"input_csv_path": "data/splits/train.csv", "augmentation_list": [flip, normalize]},
        "val_dataset": soft | {"input_csv_path": "data/splits/val.csv", "augmentation_list": [normalize]},
        "data_loader": {"batch_size": 2, "num_workers": 0},
        "trainer": {"max_epochs": 2, "accelerator": "cpu", "precision": "32-true"},
        "class_names": ["built", "crops", "trees", "water"],
        "output_dir": "runs/old",
        "seed": 3,
    }


@pytest.mark.parametrize("name", [path.stem for path in sorted(LEGACY.glob("*.yaml"))])
def test_every_example_fits_the_schema(name, project, monkeypatch):
    monkeypatch.chdir(project)  # OneCycleLR counts the rows of the table
    path, content = compose_config(LEGACY / f"{name}.yaml")
    parse_config(translate(content, str(path)).content, str(path))


def test_one_cycle_counts_its_steps_from_the_table(at_project):
    _, content = compose_config(LEGACY / "soft_label.yaml")
    scheduler = native(content)["scheduler"]
    assert (scheduler["epochs"], scheduler["steps_per_epoch"]) == (2, 2)  # 4 rows in batches of 2
    assert scheduler["interval"] == "step"
    content["pl_trainer"]["accumulate_grad_batches"] = 2
    assert native(content)["scheduler"]["steps_per_epoch"] == 1


def test_all_that_is_not_supported_is_in_one_list(old, tmp_path, capsys):
    changes = {
        "loss_params": {"compound_loss": {"losses": []}},
        "ohem": {"ratio": 0.7},
        "fine_tuning": {"strategy": "lora"},
        "optimiser": {"lr": 1},
        "callbacks": [
            {"_target_": f"{PACKAGE}.custom_callbacks.training_callbacks.EMACallback", "decay": 0.9}
        ],
    }
    changed = deepcopy(old) | changes
    changed["model"] = {"_target_": f"{PACKAGE}.custom_models.upernet_moe.UPerNetMoE", "classes": 4}
    changed["train_dataset"]["gpu_augmentation_list"] = []
    changed["val_dataset"]["input_csv"] = "val.csv"
    changed["train_dataset"]["data_loader"]["weighted_sampler"] = True
    path = tmp_path / "old.yaml"
    path.write_text(yaml.safe_dump(changed))
    assert coteach("train", path, f"output_dir={tmp_path / 'run'}") == 1
    error = capsys.readouterr().err
    assert "8 keys cannot be had here" in error
    for place, what in {
        "loss_params": "compound losses",
        "ohem": "OHEM",
        "fine_tuning": "LoRA",
        "optimiser": "did you mean optimizer?",
        "callbacks[0]._target_": "(moving averages of weights (EMA))",
        "model._target_": "(mixture of experts)",
        "val_dataset.input_csv": "did you mean input_csv_path?",
        "train_dataset.data_loader.weighted_sampler": "weighted sampling",
    }.items():
        [line] = [line for line in error.splitlines() if line.strip().startswith(f"{place}: ")]
        assert what in line
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("custom_models.upernet_dual_head.UPerNetDualHead", "dual heads"),
        ("custom_models.upernet_medoe.UPerNetMEDoE", "mixture of experts"),
        ("custom_models.edl_wrapper.EvidentialWrapper", "evidential deep learning (EDL)"),
        ("use_ohem", "OHEM"),
        ("segmentation_models_pytorch.Unet", None),
        ("schema", None),
        ("remove_small", None),
    ],
)
def test_features_are_known_by_their_names(name, what):
    assert feature(name) == what


def test_hyperparameters_are_free_but_for_what_is_not_supported(old):
    hyper = {"num_epochs": 2, "batch_size": 2, "remark": "x", "warmup_epochs": 0}
    assert native(old, hyperparameters=hyper) == native(old)
    assert problems(old, hyperparameters=hyper | {"warmup_epochs": 3, "use_ohem": True}) == [
        "hyperparameters.warmup_epochs: 3: give a schedule with a warm-up of its own",
        "hyperparameters.use_ohem: OHEM is not supported",
    ]


def test_a_feature_that_is_switched_off_is_no_problem(old):
    assert native(old, ohem=None, use_edl=False, dual_head={"enabled": False}) == native(old)
    assert problems(old, use_edl=True) == ["use_edl: evidential deep learning (EDL) is not supported"]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"precision": 16}, {"precision": "16-mixed"}),
        ({"precision": "bf16"}, {"precision": "bf16-mixed"}),
        ({"gpus": 0}, {"accelerator": "cpu", "devices": 1}),
        ({"gpus": 2}, {"accelerator": "gpu", "devices": 2}),
        ({"max_steps": 100}, {"max_steps": 50}),  # each batch steps two optimizers, and Lightning counts both
        ({"max_steps": 100, "accumulate_grad_batches": 4}, {"max_steps": 200, "accumulate_grad_batches": 4}),
        ({"gradient_clip_val": 1.0, "gradient_clip_algorithm": "norm"}, {"gradient_clip_val": 1.0}),
        ({"enable_progress_bar": False, "benchmark": True}, {}),
        ({"fast_dev_run": False, "limit_train_batches": 1.0}, {}),
        ({"sync_batchnorm": True}, {"sync_batchnorm": True}),
    ],
)
def test_trainer_keys(given, expected, old):
    trainer = native(old, pl_trainer={"max_epochs": 5} | given)["trainer"]
    assert trainer == {"max_epochs": 5, "precision": "32-true"} | expected


@pytest.mark.parametrize(
    ("given", "place"),
    [
        ({"precision": "64-true"}, "pl_trainer.precision"),
        ({"gradient_clip_algorithm": "value"}, "pl_trainer.gradient_clip_algorithm"),
        ({"num_nodes": 2}, "pl_trainer.num_nodes"),
        ({"fast_dev_run": True}, "pl_trainer.fast_dev_run"),
        ({"limit_train_batches": 0.5}, "pl_trainer.limit_train_batches"),
    ],
)
def test_trainer_keys_that_would_change_the_run_are_refused(given, place, old):
    [problem] = problems(old, pl_trainer=given)
    assert problem.startswith(f"{place}: ")


def test_epochs_of_a_file_without_a_trainer(old):
    content = {key: value for key, value in old.items() if key != "pl_trainer"}
    assert native(content)["trainer"]["max_epochs"] == 2  # hyperparameters.num_epochs
    assert native(content, hyperparameters={})["trainer"]["max_epochs"] == 1000  # Lightning's


def test_batch_size_of_the_hyperparameters_goes_before(old):
    assert native(old, hyperparameters={"batch_size": 16})["data_loader"]["batch_size"] == 16
    assert native(old, hyperparameters={})["data_loader"]["batch_size"] == 2


def test_callbacks_and_loggers(old):
    callbacks = [
        {"_target_": "pytorch_lightning.callbacks.ModelCheckpoint", "monitor": "val/F1Score", "mode": "max"},
        {
            "_target_": "lightning.pytorch.callbacks.EarlyStopping",
            "monitor": "val/F1Score",
            "mode": "max",
            "patience": 9,
        },
    ]
    wandb = {"_target_": "pytorch_lightning.loggers.WandbLogger", "project": "x"}
    board = {
        "_target_": "pytorch_lightning.loggers.TensorBoardLogger",
        "save_dir": "logs",
        "name": "a",
        "version": 3,
    }
    content = native(old, callbacks=callbacks, logger=[board, wandb])
    wanted = {
        "monitor": "val/F1Score",
        "monitor_mode": "max",
        "early_stop_patience": 9,
        "early_stop_min_delta": 0.0,
    }
    assert wanted.items() <= content["trainer"].items()
    assert content["output_dir"] == "logs/a/3"
    assert content["loggers"] == [{"_target_": "lightning.pytorch.loggers.WandbLogger", "project": "x"}]
    callbacks[1]["monitor"] = "loss/val"
    assert problems(old, callbacks=callbacks)[0].startswith("callbacks[1].monitor: ")


def test_metrics_of_one_class_are_told_apart_and_skip_items_without_a_label(old):
    jaccard = {"_target_": "torchmetrics.JaccardIndex", "task": "multiclass", "num_classes": 4}
    metrics = native(old, metrics=[jaccard | {"ignore_index": 255}, jaccard | {"average": "weighted"}])[
        "metrics"
    ]
    assert metrics == {
        "JaccardIndex": jaccard | {"ignore_index": -1},
        "JaccardIndex2": jaccard | {"average": "weighted"},
    }


def test_the_class_must_have_its_own_loss(old):
    other = f"{PACKAGE}.custom_losses.soft_label_loss.SoftLabelWeightedCELoss"
    [problem] = problems(old, loss={"_target_": other, "num_classes": 4})
    assert problem.startswith("loss._target_: ")


def test_options_of_this_package_may_stand_in_an_old_file(old):
    content = deepcopy(old)
    content["train_dataset"]["image_scale"] = 255
    content |= {"output_dir": "elsewhere", "method": {"regularize": "a"}}
    found = native(content)
    assert found["train_dataset"]["image_scale"] == 255
    assert (found["output_dir"], found["method"]["regularize"]) == ("elsewhere", "a")


def test_division_resolves(tmp_path):
    text = (LEGACY / "co_teaching.yaml").read_text()
    path = tmp_path / "old.yaml"
    path.write_text(text.replace("e_warm: 4", "e_warm: ${div:${hyperparameters.num_epochs},2}"))
    assert native(compose_config(path)[1])["method"]["e_warm"] == 1


def test_convert_prints_and_refuses_what_is_not_old(tmp_path, capsys):
    assert coteach("convert", LEGACY / "co_teaching.yaml") == 0
    printed = yaml.safe_load(capsys.readouterr().out)
    assert printed["method"]["name"] == "co_teaching"
    path = tmp_path / "new.yaml"
    path.write_text(yaml.safe_dump(printed))
    assert coteach("convert", path) == 1
    assert "names no class of pytorch_segmentation_models_trainer" in capsys.readouterr().err
    assert (
        coteach("convert", LEGACY / "co_teaching.yaml", "+ohem=true", "--output", tmp_path / "out.yaml") == 1
    )
    assert not (tmp_path / "out.yaml").exists()


def test_a_list_of_windows_of_that_package_is_read_and_not_overwritten(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    _, content = compose_config(LEGACY / "mbtiles_soft_label.yaml")
    content["train_dataset"]["stride"] = 16
    dataset = native(content)["train_dataset"]
    assert (dataset["window_index_cache"], dataset["patch_stride"]) == ("cache/windows.json", 16)
    (tmp_path / "cache").mkdir()
    table = tmp_path / "cache" / "windows.csv"
    table.write_text("mask_path,row_off,col_off,width,height\n")
    dataset = native(content)["train_dataset"]
    assert (dataset["windows_csv"], "window_index_cache" in dataset) == ("cache/windows.csv", False)
    table.write_text("mask_path,minx,miny,maxx,maxy\n")
    [problem] = problems(content)
    assert problem.startswith("train_dataset.window_index_cache: cache/windows.csv: no column 'row_off'")
