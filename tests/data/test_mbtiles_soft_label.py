"""Windows of masks on a web map, made from the sample imagery."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import rasterio
import rasterio.shutil
import torch
from label_rasters import write_map, write_sources
from rasterio import Affine
from rasterio.warp import Resampling, reproject
from run_configs import write_small_fcn_run
from torch.utils.data import DataLoader
from web_maps import grid_over, web_map_of

from coteach import MBTilesSoftLabelMaskWindowedDataset, build_soft_labels
from coteach.cli.main import main
from coteach.errors import OptionError, RasterError, TableError
from coteach.rasters.grid import Window
from coteach.rasters.read import read_soft_label

HEIGHT, WIDTH = 72, 90
CORNERS = {"a": (150, 100), "b": (240, 260)}  # of two masks in the sample
OPTIONS = {"num_classes": 4, "patch_size": 32}


class World:
    """A web map, two masks, and two maps that vote beside them: one in degrees, one a coarser VRT over mask a."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.mbtiles = folder / "map.mbtiles"
        self.masks = folder / "masks"
        self.others = [folder / "degrees.tif", folder / "coarse.vrt"]
        self.cache = folder / "index" / "windows.json"

    def make(self, image: Path, landcover: Path) -> World:
        with rasterio.open(image) as file:
            web_map_of(file, self.mbtiles)
        with rasterio.open(landcover) as file:
            crs, codes, whole = file.crs, file.read(1), file.transform
            degrees, height, width = grid_over(file, "EPSG:4326", 3e-4)
        for name, (row, col) in CORNERS.items():
            part = codes[row : row + HEIGHT, col : col + WIDTH]
            moved = whole @ Affine.translation(col, row)
            write_map(self.masks / f"{name}.tif", part, transform=moved, crs=crs, nodata=255)
        rng = np.random.default_rng(0)
        noisy = np.where(rng.random(codes.shape) < 0.3, rng.integers(0, 4, codes.shape), codes)
        other = np.full((height, width), 255, np.uint8)
        reproject(
            noisy.astype(np.uint8), other, src_transform=whole, src_crs=crs, dst_transform=degrees,
            dst_crs="EPSG:4326", src_nodata=255, dst_nodata=255, resampling=Resampling.nearest,
        )  # fmt: skip
        write_map(self.others[0], other, transform=degrees, crs="EPSG:4326", nodata=255)
        coarse = write_map(
            self.folder / "coarse.tif",
            codes[:240:3, :240:3],
            transform=whole @ Affine.scale(3),
            crs=crs,
            nodata=255,
        )
        rasterio.shutil.copy(coarse, self.others[1], driver="VRT")
        return self

    def dataset(self, **changes) -> MBTilesSoftLabelMaskWindowedDataset:
        options = OPTIONS | {"mask_dir": self.masks, "lulc_paths": self.others} | changes
        return MBTilesSoftLabelMaskWindowedDataset(self.mbtiles, **options)


@pytest.fixture(scope="module")
def sample_world(tmp_path_factory, nc_landcover) -> World:
    return World(tmp_path_factory.mktemp("world")).make(nc_landcover.image, nc_landcover.landcover)


@pytest.fixture
def world(sample_world, tmp_path) -> World:
    """A copy, to be changed."""
    return World(shutil.copytree(sample_world.folder, tmp_path / "w"))


def parts(item):
    return item["image"].numpy(), item["mask"]["mask"].numpy(), item["mask"]["w_conf"].numpy()


def test_windows_cover_the_masks_and_those_at_the_edge_move_inward(sample_world):
    dataset = sample_world.dataset()
    starts = [(row, col) for row in (0, 32, 40) for col in (0, 32, 58)]
    masks = [sample_world.masks / "a.tif", sample_world.masks / "b.tif"]
    assert [dataset.location(i) for i in range(len(dataset))] == [
        (mask, Window(*start, 32, 32)) for mask in masks for start in starts
    ]
    assert (len(dataset), dataset.num_bands, dataset.num_classes) == (18, 3, 4)
    assert dataset.rows[10] == {
        "tile_id": "b",
        "image_path": str(sample_world.mbtiles),
        "mask_path": str(masks[1]),
        "row_off": "0",
        "col_off": "32",
        "patch_h": "32",
        "patch_w": "32",
    }
    assert len(dataset.rows) == 18
    assert dataset.path_of(0, "mask_path") == masks[0]


def test_an_item_has_the_form_of_the_other_data_sets(sample_world):
    item = sample_world.dataset(selected_bands=[3, 1])[4]
    assert item.keys() == {"image", "mask", "path"}
    assert item["image"].shape == (2, 32, 32)
    assert item["mask"]["mask"].shape == (4, 32, 32)
    assert item["mask"]["w_conf"].shape == (1, 32, 32)
    assert {part.dtype for part in (item["image"], *item["mask"].values())} == {torch.float32}
    assert 0 <= item["image"].min() < item["image"].max() <= 1
    assert item["path"] == str(sample_world.masks / "a.tif")


def test_the_image_is_that_of_the_place(sample_world, nc_landcover):
    """The web map was made from the sample's image: seen from the mask's grid it is nearly the same again."""
    dataset = sample_world.dataset(patch_size=[HEIGHT, WIDTH])
    with rasterio.open(nc_landcover.image) as file:
        bands = file.read([1, 2, 3])
    for index, (row, col) in enumerate(CORNERS.values()):
        seen = dataset[index]["image"].numpy() * 255
        # colours at the place, and two pixels beside it
        right, wrong = (
            np.corrcoef(seen.ravel(), bands[:, row : row + HEIGHT, c : c + WIDTH].ravel())[0, 1]
            for c in (col, col + 2)
        )
        assert right > 0.85
        assert right > wrong + 0.1
        assert abs(seen.mean() - bands[:, row : row + HEIGHT, col : col + WIDTH].mean()) < 2


@pytest.mark.parametrize(
    "weights",
    [
        {},
        {"entropy_norm": "minmax", "border_radius": 4.5},
        {"use_border": False, "entropy_norm": "minmax", "alpha": 1},
        {"alpha": 0.2, "border_radius": 20},
    ],
)
def test_labels_are_those_that_building_the_tile_gives(sample_world, tmp_path, weights):
    """Of every window, bit for bit, although each is read alone."""
    rows = []
    for name in CORNERS:
        with rasterio.open(sample_world.masks / f"{name}.tif") as file:
            image = write_map(
                tmp_path / f"{name}.tif",
                np.ones(file.shape, np.uint8),
                transform=file.transform,
                crs=file.crs,
            )
        coarse = sample_world.others[1] if name == "a" else ""
        rows.append(
            {"tile_id": name, "image_path": image, "mask_path": sample_world.masks / f"{name}.tif",
             "one": sample_world.others[0], "two": coarse}
        )  # fmt: skip
    table = write_sources(tmp_path / "sources.csv", rows)
    build_soft_labels(
        table, tmp_path / "out", 4, border_source="mask", lulc_keys=["one", "two"], max_workers=1, **weights
    )
    dataset = sample_world.dataset(**weights)
    for index in range(len(dataset)):
        mask, window = dataset.location(index)
        built = [tmp_path / "out" / kind / mask.name for kind in ("p_soft", "w_conf")]
        p_soft, w_conf, _ = read_soft_label(*built, window)
        _, own_p_soft, own_w_conf = parts(dataset[index])
        np.testing.assert_array_equal(own_p_soft, p_soft)
        np.testing.assert_array_equal(own_w_conf[0], w_conf)


def test_windows_do_not_depend_on_each_other(sample_world):
    whole = sample_world.dataset(patch_size=[HEIGHT, WIDTH], entropy_norm="minmax")
    cut = sample_world.dataset(patch_size=[20, 31], patch_stride=[17, 23], entropy_norm="minmax")
    assert len(cut) > 30
    for index in range(len(cut)):
        mask, window = cut.location(index)
        of_mask = parts(whole[0 if mask.stem == "a" else 1])
        for own, all_of_it in zip(parts(cut[index]), of_mask, strict=True):
            np.testing.assert_array_equal(own, window.cut(all_of_it))


def test_without_weights_every_vote_weighs_one(sample_world):
    item = sample_world.dataset(return_w_conf=False, lulc_paths=[])[0]
    _, p_soft, w_conf = parts(item)
    with rasterio.open(sample_world.masks / "a.tif") as file:
        codes = file.read(1)[:32, :32]
    assert (w_conf == 1).all()
    np.testing.assert_array_equal(p_soft, [codes == c for c in range(4)])


def test_what_the_map_does_not_show_does_not_train(world):
    with rasterio.open(world.mbtiles) as file:
        rgba, crs, transform = file.read(), file.crs, file.transform
    left = transform.c + transform.a * rgba.shape[2] * 0.3
    rgba[:, :, : int(rgba.shape[2] * 0.3)] = 0
    holed = write_map(
        world.folder / "holed.tif", rgba, transform=transform, crs=crs, photometric="RGB", alpha="YES"
    )
    dataset = MBTilesSoftLabelMaskWindowedDataset(
        holed, mask_dir=world.masks, patch_size=[HEIGHT, WIDTH], num_classes=4
    )
    image, p_soft, w_conf = parts(dataset[0])
    with rasterio.open(world.masks / "a.tif") as file:
        rows, cols = np.mgrid[:HEIGHT, :WIDTH] + 0.5
        xs, ys = file.transform @ (cols.ravel(), rows.ravel())
        xs = np.array(rasterio.warp.transform(file.crs, crs, xs, ys)[0]).reshape(HEIGHT, WIDTH)
    hidden, shown = xs < left - 60, xs > left + 60
    assert hidden.any()
    assert shown.any()
    assert (image[:, hidden] == 0).all()
    assert (p_soft[:, hidden] == 0.25).all()
    assert (w_conf[0, hidden] == 0).all()
    assert (w_conf[0, shown] > 0).all()


def test_windows_without_a_class_or_beside_the_map_are_left_out(world):
    with rasterio.open(world.masks / "a.tif", "r+") as file:
        codes = np.full((HEIGHT, WIDTH), 255, np.uint8)
        codes[33, 60] = 2  # in the windows from row 32 and from columns 32 and 58
        file.write(codes, 1)
        crs = file.crs
    write_map(
        world.masks / "far.tif",
        np.ones((40, 40), np.uint8),
        crs=crs,
        transform=Affine(28.5, 0, 0, 0, -28.5, 0),
    )
    with pytest.warns(UserWarning, match=r"1 masks are left out, as .*map.mbtiles shows nothing .*far.tif"):
        dataset = world.dataset(lulc_paths=[])
    own = [dataset.location(i)[1][:2] for i in range(len(dataset)) if dataset.location(i)[0].stem == "a"]
    assert own == [(32, 32), (32, 58)]
    assert len(dataset) == 11


def test_the_index_is_kept_and_found_again(world):
    first = world.dataset(window_index_cache=world.cache, entropy_norm="minmax")
    made = world.cache.stat()
    again = world.dataset(window_index_cache=world.cache, entropy_norm="minmax")
    assert world.cache.stat().st_mtime_ns == made.st_mtime_ns
    assert world.cache.stat().st_ino == made.st_ino
    assert list(again.rows) == list(first.rows)
    for one, other in zip(parts(first[3]), parts(again[3]), strict=True):
        np.testing.assert_array_equal(one, other)
    assert [file.name for file in world.cache.parent.iterdir()] == ["windows.json"]


@pytest.mark.parametrize(
    "changed", ["mask", "map", "part of a vrt", "image", "new mask", "damage", "options"]
)
def test_the_index_is_made_anew_when_something_changed(world, changed):
    count = len(world.dataset(window_index_cache=world.cache))
    made = world.cache.stat().st_ino
    options = {}
    if changed == "mask":
        with rasterio.open(world.masks / "a.tif", "r+") as file:
            file.write(np.full((1, HEIGHT, WIDTH), 255, np.uint8))
        with pytest.warns(UserWarning, match=r"a\.tif"):
            assert len(world.dataset(window_index_cache=world.cache)) == count - 9
    elif changed in {"map", "part of a vrt", "image"}:
        file = {"map": world.others[0], "part of a vrt": world.folder / "coarse.tif", "image": world.mbtiles}[
            changed
        ]
        os.utime(file, ns=(1, 1))
    elif changed == "new mask":
        shutil.copy(world.masks / "a.tif", world.masks / "c.tif")
        count += 9
    elif changed == "damage":
        world.cache.write_text(world.cache.read_text()[:-40])
    else:
        options["patch_size"] = [HEIGHT, WIDTH]
        count = 2
    if changed != "mask":
        assert len(world.dataset(window_index_cache=world.cache, **options)) == count
    assert world.cache.stat().st_ino != made
    assert json.loads(world.cache.read_text())["result"]


def test_values_that_are_no_class_are_told(world):
    with rasterio.open(world.masks / "b.tif", "r+") as file:
        codes = file.read(1)
        codes[:5, :7] = 77
        file.write(codes, 1)
    with pytest.warns(UserWarning, match=r"masks hold values other than 0 to 3, which do not vote: 77"):
        dataset = world.dataset(lulc_paths=[])
    assert (parts(dataset[9])[2][0, :5, :7] == 0).all()


def test_values_of_another_map_that_are_no_class_are_told_once(world):
    with rasterio.open(world.others[0], "r+") as file:
        codes = file.read(1)
        codes[codes == 2] = 77
        file.write(codes, 1)
    dataset = world.dataset()
    with pytest.warns(UserWarning, match=r"degrees\.tif holds values other than 0 to 3.*: 77$") as told:
        parts_of_all = [parts(dataset[index]) for index in range(len(dataset))]
    assert len(told) == 1 < len(parts_of_all)


def test_metadata_beside_a_mask_make_the_index_anew(world):
    whole = len(world.dataset(window_index_cache=world.cache))
    lone = world.masks / "b.tif"
    with rasterio.open(lone) as file:
        classes = np.unique(file.read(1))
    for code in classes:  # all of one mask's classes become NoData, one after the other
        with rasterio.open(lone, "r+") as file:
            codes = file.read(1)
            codes[codes == code] = classes[0]
            file.write(codes, 1)
    assert len(world.dataset(window_index_cache=world.cache)) == whole
    text = f"<PAMDataset><PAMRasterBand band='1'><NoDataValue>{classes[0]}</NoDataValue></PAMRasterBand></PAMDataset>"
    (world.masks / "b.tif.aux.xml").write_text(text)
    with pytest.warns(UserWarning, match="1 masks are left out"):
        dataset = world.dataset(window_index_cache=world.cache)
    assert {row["mask_path"] for row in dataset.rows} == {str(world.masks / "a.tif")}


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_workers_read_what_one_process_reads(sample_world, method):
    dataset = sample_world.dataset()
    alone = [dataset[i] for i in range(len(dataset))]  # files are open when workers are forked
    loader = DataLoader(dataset, batch_size=3, num_workers=2, multiprocessing_context=method)
    together = [batch["image"] for batch in loader]
    torch.testing.assert_close(
        torch.cat(together), torch.stack([one["image"] for one in alone]), rtol=0, atol=0
    )


def test_augmentation_moves_image_and_label_together(sample_world):
    import albumentations

    dataset = sample_world.dataset(augmentation_list=[albumentations.HorizontalFlip(p=1)])
    for own, plain in zip(parts(dataset[2]), parts(dataset.plain(2)), strict=True):
        np.testing.assert_array_equal(own, plain[..., ::-1])
    often = sample_world.dataset(
        augmentation_list=[albumentations.HorizontalFlip(), albumentations.RandomCrop(8, 8)]
    )
    drawn = []
    for _ in range(2):
        often.reseed(5)
        drawn.append(often[2]["image"])
    assert torch.equal(*drawn)


def test_options_that_do_not_fit(sample_world, tmp_path):
    masks = [sample_world.masks / "a.tif"]
    (tmp_path / "empty").mkdir()
    for changes, words in (
        ({"mask_paths": masks}, r"mask_dir and mask_paths: both are given"),
        ({"mask_dir": None}, r"mask_dir and mask_paths: neither is given"),
        ({"mask_dir": tmp_path / "none"}, r"mask_dir .*none: there is no such folder"),
        ({"mask_dir": tmp_path / "empty"}, r"mask_dir .*empty: holds no mask"),
        ({"patch_size": [3]}, r"patch_size: \[3\] is no size"),
        ({"patch_stride": 0}, r"patch_stride: 0 is no size"),
        ({"image_scale": 0}, r"image_scale: 0 is no number above 0"),
        ({"num_classes": 1}, r"num_classes: 1 is out of range"),
        ({"alpha": 1.5}, r"alpha"),
        ({"border_radius": 0}, r"border_radius"),
        ({"entropy_norm": "max"}, r"entropy_norm"),
    ):
        with pytest.raises(OptionError, match=words):
            sample_world.dataset(**changes)
    with pytest.raises(
        TableError, match=r"map.mbtiles: no column 'truth'; its columns are tile_id, .*mask_path"
    ):
        sample_world.dataset().path_of(0, "truth")


def test_files_that_do_not_fit_are_named(world):
    far = write_map(
        world.folder / "far.tif", np.ones((9, 9), np.uint8), transform=Affine(10, 0, 0, 0, -10, 0)
    )
    bands = write_map(world.folder / "bands.tif", np.ones((2, 9, 9), np.uint8))
    for changes, words in (
        ({"lulc_paths": [far]}, r"far.tif: overlaps none of the masks; give a raster that covers them"),
        ({"lulc_paths": [bands]}, r"bands.tif: has 2 bands, a label map has one"),
        (
            {"patch_size": 80},
            r"a.tif: has 72 x 90 pixels, less than a window of 80 x 80; give a smaller patch_size",
        ),
        (
            {"mask_dir": None, "mask_paths": [far], "patch_size": 4},
            r"map.mbtiles: shows nothing under a class of the 1",
        ),
        ({"mask_dir": None, "mask_paths": [world.folder / "no.tif"]}, r"no.tif: does not exist"),
    ):
        options = {"lulc_paths": []} | changes
        with pytest.raises(RasterError, match=words):
            world.dataset(**options)


def test_a_map_that_is_damaged_later_is_named(world):
    dataset = world.dataset()
    content = (world.folder / "degrees.tif").read_bytes()
    (world.folder / "degrees.tif").write_bytes(content[: len(content) // 3])
    with pytest.raises(RasterError, match=r"map.mbtiles, row 4 \(a\): .*degrees.tif: cannot be read"):
        dataset[3]


def test_a_network_is_trained_and_measured_by_the_command_line(sample_world, tmp_path, capsys):
    def dataset(name: str) -> dict:
        return {
            "_target_": "coteach.MBTilesSoftLabelMaskWindowedDataset",
            "mbtiles_path": str(sample_world.mbtiles),
            "mask_paths": [str(sample_world.masks / f"{name}.tif")],
            "window_index_cache": str(tmp_path / f"{name}.json"),
            "lulc_paths": [str(sample_world.others[0])],
            "augmentation_list": [{"_target_": "albumentations.HorizontalFlip", "p": 0.5}],
            **OPTIONS,
        }

    config = write_small_fcn_run(
        tmp_path,
        {"train_dataset": dataset("a"), "val_dataset": dataset("b")},
        network={"in_channels": 3, "width": 8, "depth": 2},
        batch_size=3,
        epochs=2,
    )
    for command in (
        ["train", config],
        ["evaluate", tmp_path / "run", "--dataset", "val_dataset", "--reference-key", "mask_path"],
    ):
        with pytest.raises(SystemExit) as end:
            main([*map(str, command)])
        assert not end.value.code, capsys.readouterr().err
    counted = np.array(json.loads((tmp_path / "run" / "evaluation.json").read_text())["confusion"])
    with rasterio.open(sample_world.masks / "b.tif") as file:
        codes = file.read(1)
    # overlapping windows are put together: every pixel counts once, as what the mask has there
    assert counted.sum(axis=1).tolist() == [(codes == c).sum() for c in range(4)]
