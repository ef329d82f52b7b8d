"""The packaged example configurations: each is whole, says how its labels are made, and trains."""

import json
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest
import rasterio
from label_rasters import rows_of, write_map, write_sources
from PIL import Image
from web_maps import web_map_of

from coteach import build_soft_labels, generate_training_csv
from coteach.cli.config import load_config
from coteach.cli.main import main
from coteach.cli.packaged import packaged_configs, summary
from coteach.cli.soft_labels import build
from coteach.cli.split import generate
from coteach.cli.targets import TargetResolver
from coteach.cli.variants import VARIANTS
from coteach.methods.discovery import create_method

# example -> the variant that it is
VARIANT = {
    "soft_label_no_wconf": "E1",
    "soft_label_no_border": "E2-NB",
    "soft_label_unet": "E2",
    "soft_label_windowed_unet": "E2",
    "soft_label_aef_gcs": "E4-AEF",
    "co_teaching_curriculum": "CoT-Curr",
    "co_teaching_full": "CoT-Full",
    "embeddings_small_fcn": "E2",
}
OF_IMAGES = ("classification_co_teaching", "classification_supervised")
OF_BOXES = {f"soft_teacher_fasterrcnn_r50_fpn_coco_{percent}pct" for percent in (1, 2, 5, 10)}
NAMES = {*VARIANT, *OF_IMAGES, "soft_label_cached", "mbtiles_soft_label", "ablation"}


def loaded(name, *overrides):
    bands = ["model.in_channels=3"] if name == "ablation" else []
    return load_config(Path(name), ["num_classes=3", *bands, *overrides])


def test_these_are_the_examples():
    assert set(packaged_configs()) == NAMES | OF_BOXES


@pytest.mark.parametrize("name", sorted(NAMES))
def test_each_passes_the_schema_and_its_parts_can_be_made(name):
    config = loaded(name)
    method = dict(config.method)
    create_method(method.pop("name"), method)  # refuses an unknown option
    resolver = TargetResolver()
    network = resolver.build(config.model, "model", "model")
    optimizer = resolver.build(config.optimizer, "optimizer", "optimizer", network.parameters())
    resolver.build(config.scheduler, "scheduler", "scheduler", optimizer)
    for transform in config.train_dataset["augmentation_list"]:
        resolver.build(transform, "transform", "augmentation_list")
    assert summary(packaged_configs()[name]).endswith(".")


@pytest.mark.parametrize("name", sorted(NAMES))
def test_the_number_of_classes_must_be_given(name, capsys):
    with pytest.raises(SystemExit) as left:
        main(["train", name])
    assert left.value.code == 1
    error = capsys.readouterr().err
    assert "num_classes" in error
    assert "must be given" in error


@pytest.mark.parametrize("name", sorted(VARIANT))
def test_a_variants_example_is_that_variant(name):
    config, variant = loaded(name), VARIANTS[VARIANT[name]]
    assert config.method.items() >= variant.method.items()
    assert ("w_conf_key" in config.train_dataset) is variant.weighted


def commands(name):
    """The commands in the head of an example, as lists of words."""
    head = packaged_configs()[name].read_text(encoding="utf-8").partition("\n\n")[0]
    lines = "\n".join(line.removeprefix("#").strip() for line in head.splitlines())
    joined = lines.replace("\\\n", " ")
    return [shlex.split(line) for line in joined.splitlines() if line.startswith("coteach ")]


@pytest.mark.parametrize("name", sorted(VARIANT))
def test_the_labels_are_built_as_the_variant_says(name):
    by_command = {words[1]: words[2:] for words in commands(name)}
    asked = build.make_context("build", by_command["build-soft-labels"]).params
    asked["use_border"] = not asked["no_border"]
    options = VARIANTS[VARIANT[name]].labels.options
    defaults = {"alpha": 0.6, "beta": 0, "use_border": True, "border_source": "auto", "aef_source": "gcs"}
    if name == "soft_label_no_wconf":  # weights are not used: any build does
        options = {}
    for key, value in {**defaults, **options}.items():
        assert asked[key] == value
    tables = "soft_label_patches.csv" if asked["patch_size"] else "soft_label_manifest.csv"
    split = generate.make_context("split", by_command["generate-training-csv"]).params
    assert split["manifest"] == asked["output_dir"] / tables
    windowed = loaded(name).train_dataset["_target_"].endswith("WindowedDataset")
    assert windowed is (asked["patch_size"] is not None)


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    """Four tiles of three classes that the bands of the image tell, with a mask and another map."""
    folder = tmp_path_factory.mktemp("tiles")
    rng = np.random.default_rng(2)
    rows = []
    for index in range(4):
        truth = np.repeat(np.repeat(rng.integers(0, 3, (4, 4)), 8, 0), 8, 1).astype(np.uint8)
        image = (np.stack([truth == code for code in range(3)]) * 200 + 20).astype(np.uint8)
        other = np.where(rng.random(truth.shape) < 0.1, 0, truth).astype(np.uint8)
        rows.append(
            {
                "tile_id": f"t{index}",
                "image_path": write_map(folder / f"image{index}.tif", image),
                "mask_path": write_map(folder / f"mask{index}.tif", truth),
                "other_path": write_map(folder / f"other{index}.tif", other),
            }
        )
    return write_sources(folder / "sources.csv", rows)


def train_and_evaluate(name, run, overrides, capsys):
    quick = ["trainer.max_epochs=1", "trainer.accelerator=cpu", "data_loader.num_workers=0"]
    small = ["num_classes=3", "data_loader.batch_size=2", f"output_dir={run}"]
    own_network = name in {"embeddings_small_fcn", *OF_IMAGES}
    encoder = [] if own_network else ["model.encoder_name=resnet18"]
    for command in (
        ["train", name, *quick, *small, *encoder, *overrides],
        ["evaluate", str(run), "--checkpoint", "last"],
    ):
        with pytest.raises(SystemExit) as left:
            main(command)
        assert not left.value.code, capsys.readouterr().err
    assert (run / "checkpoints" / "last.ckpt").is_file()
    assert sum(map(sum, json.loads((run / "evaluation.json").read_text())["confusion"])) > 0


@pytest.mark.parametrize("name", ["co_teaching_full", "soft_label_unet", "soft_label_no_wconf"])
def test_an_example_trains_by_name_and_is_evaluated(name, sources, tmp_path, capsys):
    size = None if name == "soft_label_unet" else 32
    report = build_soft_labels(
        sources, tmp_path / "soft", 3, lulc_keys=["other_path"], patch_size=size, max_workers=1
    )
    files = generate_training_csv(report.manifest, tmp_path, train_ratio=0.5, val_ratio=0.25).files
    tables = [f"{split}_dataset.input_csv_path={file}" for split, file in files.items()]
    train_and_evaluate(name, tmp_path / "run", tables, capsys)


def test_the_example_with_embeddings_trains(sources, tmp_path, capsys):
    rows = rows_of(sources)
    for index, row in enumerate(rows):
        values = np.random.default_rng(index).integers(-127, 128, (64, 32, 32)).astype(np.int8)
        row["image_path"] = write_map(tmp_path / f"aef{index}.tif", values, nodata=-128)
    report = build_soft_labels(
        write_sources(tmp_path / "s.csv", rows), tmp_path / "soft", 3, patch_size=32, max_workers=1
    )
    files = generate_training_csv(report.manifest, tmp_path, train_ratio=0.5, val_ratio=0.25).files
    tables = [f"{split}_dataset.input_csv_path={file}" for split, file in files.items()]
    train_and_evaluate("embeddings_small_fcn", tmp_path / "run", tables, capsys)


def test_the_example_with_a_cache_trains(sources, tmp_path, capsys):
    rows = rows_of(sources)
    overrides = []
    for split, own in (("train", rows[:2]), ("val", rows[2:3]), ("test", rows[3:])):
        table = write_sources(tmp_path / f"{split}.csv", own)
        overrides += [
            f"{split}_dataset.sources_csv={table}",
            f"{split}_dataset.cache_dir={tmp_path / 'cache'}",
            f"{split}_dataset.lulc_keys=[other_path]",
            f"{split}_dataset.patch_size=[32,32]",
        ]
    train_and_evaluate("soft_label_cached", tmp_path / "run", overrides, capsys)
    assert {file.stem for file in (tmp_path / "cache").glob("*.tif")} == {"t0", "t1", "t2", "t3"}


def test_the_example_with_mbtiles_trains(sources, tmp_path, capsys):
    rows = rows_of(sources)
    with rasterio.open(rows[0]["image_path"]) as image:
        web = web_map_of(image, tmp_path / "imagery.mbtiles")
    overrides = []
    for split in ("train", "val", "test"):
        folder = tmp_path / split
        folder.mkdir()
        for name in ("a", "b"):
            shutil.copy(rows[0]["mask_path"], folder / f"{name}.tif")
        overrides += [
            f"{split}_dataset.mbtiles_path={web}",
            f"{split}_dataset.mask_dir={folder}",
            f"{split}_dataset.window_index_cache={tmp_path / split}.json",
            f"{split}_dataset.lulc_paths=[{rows[0]['other_path']}]",
            f"{split}_dataset.patch_size=[32,32]",
        ]
    train_and_evaluate("mbtiles_soft_label", tmp_path / "run", overrides, capsys)


@pytest.mark.parametrize("name", OF_IMAGES)
def test_the_examples_of_images_train(name, tmp_path, capsys):
    rng = np.random.default_rng(0)
    overrides = []
    for part in ("train", "val", "test"):
        for label in ("a", "b", "c"):
            folder = tmp_path / part / label
            folder.mkdir(parents=True)
            Image.fromarray(rng.integers(0, 256, (30, 34, 3), np.uint8)).save(folder / "1.png")
        overrides.append(f"{part}_dataset.root={tmp_path / part}")
    train_and_evaluate(name, tmp_path / "run", overrides, capsys)


def test_the_list_names_every_example_and_its_file(capsys):
    with pytest.raises(SystemExit) as left:
        main(["train", "--list"])
    assert not left.value.code
    shown = capsys.readouterr().out
    for name, file in packaged_configs().items():
        assert f"{name}\n    {summary(file)}\n    {file}\n" in shown


def test_a_file_of_the_user_goes_before_an_example(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("soft_label_unet").write_text("num_classes: 2\n")
    with pytest.raises(SystemExit):
        main(["train", "soft_label_unet"])
    assert "soft_label_unet: the ending '' is not .yaml" in capsys.readouterr().err
