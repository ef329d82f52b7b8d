"""``coteach audit --sources`` from training to the maps."""

import csv
import json

import numpy as np
import pytest
import rasterio
import yaml
from label_rasters import write_map, write_sources

import coteach
from coteach.cli.main import main

NAMES = ["dark", "bright"]
SIZE = 64


def outcome(*args):
    with pytest.raises(SystemExit) as left:
        main([*map(str, args)])
    return left.value.code


def rows_of(path):
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Two tiles of dark and bright squares; three maps of them, one with a wrong corner, one with other codes."""
    folder = tmp_path_factory.mktemp("world")
    rng = np.random.default_rng(0)
    rows = []
    for name in ("one", "two"):
        truth = np.kron(rng.integers(0, 2, (SIZE // 8, SIZE // 8)), np.ones((8, 8), np.int64))
        image = (rng.integers(0, 60, truth.shape) + 150 * truth).astype(np.uint8)
        maps = {key: truth.copy() for key in ("esa", "esri", "mask")}
        maps["esa"][:24, :24] ^= 1
        codes = {"esa": maps["esa"], "esri": maps["esri"] * 10 + 10, "mask": maps["mask"]}
        row = {"tile_id": name, "image_path": write_map(folder / f"{name}.tif", image)}
        for key, values in codes.items():
            row[f"{key}_path"] = write_map(folder / f"{name}_{key}.tif", values.astype(np.uint8))
        np.save(folder / f"{name}.npy", truth)
        rows.append(row)
    write_sources(folder / "sources.csv", rows)
    (folder / "esri.csv").write_text("code,class\n10,0\n20,1\n")
    return folder


@pytest.fixture(scope="module")
def run_dir(world):
    report = coteach.build_soft_labels(
        world / "sources.csv",
        world / "soft",
        2,
        lulc_keys=["esa_path", "esri_path"],
        legends={"esri_path": {10: 0, 20: 1}},
        patch_size=16,
        scheduler="serial",
    )
    config = {
        "num_classes": 2,
        "class_names": NAMES,
        "method": {"name": "co_teaching", "e_warm": 1},
        "model": {
            "_target_": "coteach.models.SmallFCN",
            "in_channels": 1,
            "classes": 2,
            "width": 4,
            "depth": 1,
        },
        "optimizer": {"_target_": "torch.optim.AdamW", "lr": 0.03},
        "train_dataset": {
            "_target_": "coteach.SoftLabelWindowedDataset",
            "input_csv_path": str(report.manifest),
        },
        "data_loader": {"batch_size": 4},
        "trainer": {"max_epochs": 4, "accelerator": "cpu"},
        "output_dir": str(world / "run"),
    }
    (world / "conf.yaml").write_text(yaml.safe_dump(config))
    assert outcome("train", world / "conf.yaml", "--quiet") == 0
    return world / "run"


@pytest.fixture
def audit(world, run_dir, tmp_path):
    """The command with small windows; maps go to ``out``."""

    def run(*args, sources=world / "sources.csv"):
        windows = ("--checkpoint", "last", "--window", 32, "--overlap", 8)
        legend = ("--legend", f"esri_path={world / 'esri.csv'}")
        return outcome(
            "audit", run_dir, "--sources", sources, "--output-dir", tmp_path / "out", *windows, *legend, *args
        )

    return run


def test_the_wrong_corner_is_found(audit, world, tmp_path, capsys):
    assert audit() == 0
    out = capsys.readouterr()
    assert "tiles: 2 audited, 0 up to date, 0 failed" in out.out
    assert "esa: 1" in out.out
    assert out.err == ""
    for name in ("one", "two"):
        with (
            rasterio.open(tmp_path / "out" / f"{name}_esa.tif") as file,
            rasterio.open(world / f"{name}.tif") as image,
        ):
            assert (file.crs, file.transform, file.shape) == (image.crs, image.transform, image.shape)
            percent, suggested = file.read()
            assert json.loads(file.tags()["CLASS_NAMES"]) == NAMES
        wrong = np.zeros((SIZE, SIZE), bool)
        wrong[:24, :24] = True
        truth = np.load(world / f"{name}.npy")
        assert ((percent > 50) == wrong).mean() > 0.97
        assert (suggested == truth)[wrong].mean() > 0.95
    errors = {row["source"]: row for row in rows_of(tmp_path / "out" / "source_errors.csv")}
    assert list(errors) == ["esa", "esri", "mask"]
    assert float(errors["esa"]["error_rate"]) == pytest.approx((24 / SIZE) ** 2, abs=0.03)
    assert float(errors["esri"]["error_rate"]) < 0.03
    assert {int(row["pixels"]) for row in errors.values()} == {2 * SIZE * SIZE}
    maps = rows_of(tmp_path / "out" / "source_maps.csv")
    assert [(row["tile_id"], row["source"], row["map_path"]) for row in maps[:2]] == [
        ("one", "esa", "one_esa.tif"),
        ("one", "esri", "one_esri.tif"),
    ]
    figures = json.loads((tmp_path / "out" / "audit.json").read_text())
    assert np.sum(figures["sources"]["esa"]["true_by_given"]) == pytest.approx(2 * SIZE * SIZE)
    np.testing.assert_allclose(np.sum(figures["sources"]["esa"]["transition"], 1), 1)

    assert audit() == 0
    assert "tiles: 0 audited, 2 up to date, 0 failed" in capsys.readouterr().out
    assert {row["source"]: row for row in rows_of(tmp_path / "out" / "source_errors.csv")} == errors


def test_a_table_that_is_missing_is_told_first(tmp_path, capsys):
    """Also of a folder without networks: loading them takes longer."""
    assert outcome("audit", tmp_path, "--sources", tmp_path / "none.csv", "--device", "cpu") == 1
    assert f"{tmp_path / 'none.csv'}: does not exist" in capsys.readouterr().err


def test_columns_can_be_named_and_a_tile_may_lack_one(audit, world, tmp_path):
    rows = rows_of(world / "sources.csv")
    rows[1]["esa_path"] = ""
    table = write_sources(tmp_path / "sources.csv", rows)
    assert audit("--lulc-key", "esri_path", "--lulc-key", "esa_path", sources=table) == 0
    made = {file.name for file in (tmp_path / "out").glob("*.tif")}
    assert made == {"one_esa.tif", "one_esri.tif", "two_esri.tif"}


def test_codes_without_a_meaning_are_told(audit, world, tmp_path, capsys):
    table = write_sources(
        tmp_path / "sources.csv",
        [dict(row, copy_path=row["esri_path"]) for row in rows_of(world / "sources.csv")],
    )
    assert audit(sources=table) == 0
    err = capsys.readouterr().err
    assert "Warning: copy says nothing at any pixel with data" in err
    assert "copy holds codes that are no class: 10 (" in err
    with rasterio.open(tmp_path / "out" / "one_copy.tif") as file:
        assert (file.read() == 255).all()


def test_what_fails_does_not_stop_the_others(audit, world, tmp_path, capsys):
    rows = rows_of(world / "sources.csv")
    rows[0]["esa_path"] = str(tmp_path / "gone.tif")
    assert audit(sources=write_sources(tmp_path / "sources.csv", rows)) == 1
    out = capsys.readouterr()
    assert "tiles: 1 audited, 0 up to date, 1 failed" in out.out
    assert "1 of 2 tiles failed" in out.err
    [failed] = rows_of(tmp_path / "out" / "failures.csv")
    assert failed["tile_id"] == "one"
    assert "source 'esa_path'" in failed["error"]
    assert "gone.tif" in failed["error"]
    assert audit() == 0
    assert not (tmp_path / "out" / "failures.csv").exists()


@pytest.mark.parametrize(
    ("header", "args", "message"),
    [
        (
            "tile_id,image_path",
            (),
            "--lulc-key: {table} has no column that ends with _path beside image_path",
        ),
        ("tile_id,image_path,a_path", ("--lulc-key", "b_path"), "no column 'b_path' (is it 'a_path'?)"),
        ("tile_id,image_path,a_path", ("--overlap", "32"), "overlap: 32 is not from 0 to 31"),
        ("tile_id,image_path,a_path", ("--device", "abacus"), "--device: 'abacus' cannot be used"),
    ],
)
def test_what_cannot_be_done_is_named(run_dir, tmp_path, capsys, header, args, message):
    table = tmp_path / "table.csv"
    table.write_text(f"{header}\n" + ",".join("x" for _ in header.split(",")) + "\n")
    assert (
        outcome(
            "audit",
            run_dir,
            "--sources",
            table,
            "--checkpoint",
            "last",
            "--window",
            "32",
            "--overlap",
            "8",
            *args,
        )
        == 1
    )
    assert message.format(table=table) in capsys.readouterr().err
