from __future__ import annotations

import re
import subprocess
import sys
import warnings

import numpy as np
import pytest
import rasterio
import torch
from scenes import Scene, write_raster

from coteach import SoftLabelDataset, SoftLabelWindowedDataset
from coteach.errors import OptionError, RasterError, TableError


def both(sample):
    return sample["mask"]["mask"].numpy(), sample["mask"]["w_conf"].numpy()


def test_a_sample_holds_what_the_files_hold(scene):
    dataset = SoftLabelDataset(scene.table(rows=3), w_conf_key="w_conf_path")
    assert (len(dataset), dataset.num_bands, dataset.num_classes) == (3, 3, 4)
    assert dataset.rows[0] == {
        "tile_id": "s",
        "image_path": "image.tif",
        "p_soft_path": "p.tif",
        "w_conf_path": "w.tif",
    }
    sample = dataset[2]
    assert sample.keys() == {"image", "mask", "path"}
    assert {part.dtype for part in (sample["image"], *sample["mask"].values())} == {torch.float32}
    np.testing.assert_allclose(sample["image"], scene.image / 255, rtol=1e-6)
    np.testing.assert_array_equal(sample["mask"]["mask"], scene.p_soft)
    np.testing.assert_array_equal(sample["mask"]["w_conf"], scene.w_conf)
    assert sample["path"] == str(scene.folder / "image.tif")


def test_without_confidence_every_pixel_with_a_vote_weighs_one(scene):
    valid = np.ones(scene.p_soft.shape[1:], bool)
    valid[3:5, 7] = False
    scene.write(valid=valid)
    sample = SoftLabelDataset(scene.table())[0]
    np.testing.assert_array_equal(sample["mask"]["w_conf"][0], valid)


@pytest.mark.parametrize(("dtype", "top"), [("uint8", 255), ("uint16", 65535), ("float32", 1)])
def test_the_dtype_gives_the_scale(tmp_path, dtype, top):
    scene = Scene(tmp_path, dtype=dtype)
    scene.image[0, 0, :2] = 0, top
    scene.write()
    image = SoftLabelDataset(scene.table())[0]["image"]
    assert image[0, 0, :2].tolist() == [0, 1]
    np.testing.assert_allclose(image, scene.image / top, rtol=1e-6)


def test_a_dark_window_is_scaled_as_its_scene(scene):
    scene.image[:, :8, :8] = 1
    scene.write()
    sample = SoftLabelWindowedDataset(scene.table((0, 0, 8)))[0]
    assert torch.all(sample["image"] == torch.tensor(1 / 255))


def test_a_given_scale_overrides_the_dtype(tmp_path):
    scene = Scene(tmp_path, dtype="float32")
    scene.image *= 255
    scene.write()
    image = SoftLabelDataset(scene.table(), image_scale=255)[0]["image"]
    np.testing.assert_allclose(image, scene.image / 255, rtol=1e-6)


@pytest.mark.parametrize("scale", [0, -1, float("nan"), float("inf")])
def test_scales_that_are_none(scene, scale):
    with pytest.raises(OptionError, match=r"image_scale: .* is no number above 0"):
        SoftLabelDataset(scene.table(), image_scale=scale)


def test_other_integers_need_a_scale(tmp_path):
    scene = Scene(tmp_path, dtype="int16")
    with pytest.raises(
        RasterError, match=r"image\.tif: int16 images have no scale of their own; give image_scale"
    ):
        SoftLabelDataset(scene.table())
    image = SoftLabelDataset(scene.table(), image_scale=32767)[0]["image"]
    np.testing.assert_allclose(image, scene.image / 32767, rtol=1e-6)


def test_floats_beyond_one_are_left_so_with_one_warning_that_names_file_and_option(tmp_path):
    scene = Scene(tmp_path, dtype="float32", width=48)
    scene.image *= 200
    scene.image[0, 5, 40] = 200
    scene.image[:, :, :24] = -99999
    scene.write(nodata=-99999)
    table = scene.table((0, 0, 24), (0, 24, 24), (0, 24, 24))  # the first window is all NoData
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        dataset = SoftLabelWindowedDataset(table)
        images = [dataset[index]["image"] for index in range(3)]
    assert len(caught) == 1
    assert re.search(r"image\.tif: values from .* to 200 .*; give image_scale", str(caught[0].message))
    np.testing.assert_allclose(images[1], scene.image[:, :, 24:], rtol=1e-6)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        SoftLabelWindowedDataset(table, image_scale=255.0)


def test_pixels_without_a_vote_or_without_an_image_train_nothing(tmp_path):
    scene = Scene(tmp_path, dtype="float32")
    scene.image[:, 2, 3] = -9  # NoData in all bands
    scene.image[1, 4, 5] = -9  # in one band
    scene.image[0, 6, 7] = np.nan
    scene.p_soft[:, 8, 9] = np.nan
    scene.p_soft[2, 8, 10] = np.nan
    scene.p_soft[:, 10, 11] = 0
    scene.p_soft[:, 12, 13] = 0.25  # a tie with votes: it stays
    scene.w_conf[0, 14, 15] = np.nan
    valid = np.ones(scene.p_soft.shape[1:], bool)
    valid[16, 17] = False
    scene.p_soft[:, 16, 17] = 0.25  # written so by build-soft-labels
    scene.w_conf[0, 16, 17] = 0.7  # a foreign W_conf that does not know
    scene.write(nodata=-9, valid=valid)
    nothing = [(2, 3), (4, 5), (6, 7), (8, 9), (8, 10), (10, 11), (14, 15), (16, 17)]
    sample = SoftLabelDataset(scene.table(), w_conf_key="w_conf_path")[0]
    p_soft, w_conf = both(sample)
    for row, col in nothing:
        assert p_soft[:, row, col].tolist() == [0.25] * 4
        assert w_conf[0, row, col] == 0
    assert sorted(map(tuple, np.argwhere(w_conf[0] == 0).tolist())) == nothing
    assert w_conf[0, 12, 13] == scene.w_conf[0, 12, 13]
    image = sample["image"].numpy()
    unseen = nothing[:3]
    for row, col in unseen:
        assert image[:, row, col].tolist() == [0] * 3
    seen = np.ones(image.shape[1:], bool)
    seen[tuple(zip(*unseen, strict=True))] = False
    np.testing.assert_array_equal(image[:, seen], scene.image[:, seen])  # also where there is no vote
    assert np.isfinite(p_soft).all()
    np.testing.assert_allclose(p_soft.sum(0), 1, rtol=1e-6)


@pytest.mark.parametrize("values", [[0.5, 0.2, 0.1, 0], [2, -1, 0, 0], [255, 0, 0, 0]])
def test_what_is_no_distribution_is_an_error(scene, values):
    scene.p_soft[:, 5, 6] = values
    scene.write()
    with pytest.raises(RasterError, match=r"p\.tif: is no distribution: it holds .* at a pixel with a vote"):
        SoftLabelDataset(scene.table())[0]


@pytest.mark.parametrize("value", [-0.5, 1.5])
def test_a_weight_outside_its_range_is_an_error(scene, value):
    scene.w_conf[0, 5, 6] = value
    scene.write()
    with pytest.raises(RasterError, match=rf"w\.tif: holds {value}, which is outside \[0, 1\]"):
        SoftLabelDataset(scene.table(), w_conf_key="w_conf_path")[0]


def test_windows_are_slices_of_the_scene(scene):
    windows = [(0, 0, 8), (16, 22, 8), (5, 7, 1), (0, 6, 24)]
    dataset = SoftLabelWindowedDataset(scene.table(*windows), w_conf_key="w_conf_path")
    for index, (row, col, size) in enumerate(windows):
        sample = dataset[index]
        part = np.s_[:, row : row + size, col : col + size]
        np.testing.assert_allclose(sample["image"], scene.image[part] / 255, rtol=1e-6)
        np.testing.assert_array_equal(sample["mask"]["mask"], scene.p_soft[part])
        np.testing.assert_array_equal(sample["mask"]["w_conf"], scene.w_conf[part])


def test_the_window_columns_have_the_names_that_are_given(scene):
    table = scene.table((4, 5, 6))
    table.write_text(table.read_text().replace("row_off,col_off,patch_size", "y,x,n"))
    dataset = SoftLabelWindowedDataset(table, row_off_key="y", col_off_key="x", patch_size_key="n")
    np.testing.assert_array_equal(dataset[0]["mask"]["mask"], scene.p_soft[:, 4:10, 5:11])
    with pytest.raises(TableError, match="no column 'row_off'"):
        SoftLabelWindowedDataset(table)


@pytest.mark.parametrize("window", [(17, 0, 8), (0, 23, 8), (0, 0, 25), (24, 0, 1)])
def test_a_window_that_leaves_the_scene_is_an_error(scene, window):
    row, col, size = window
    expected = (
        rf"row 2 \(s\): .*image\.tif: has 24 x 30 pixels, which the window of rows {row} to {row + size} "
        rf"and columns {col} to {col + size} leaves"
    )
    dataset = SoftLabelWindowedDataset(scene.table((0, 0, 8), window))
    with pytest.raises(RasterError, match=expected):
        dataset[1]


@pytest.mark.parametrize("window", [(-1, 0, 8), (0, -8, 8), (0, 0, 0), (0, 0, -4)])
def test_a_window_that_is_none_is_an_error_at_once(scene, window):
    with pytest.raises(TableError, match=r"row 2 \(s\): (row_off|col_off|patch_size) is '-?\d'"):
        SoftLabelWindowedDataset(scene.table((0, 0, 8), window))


def test_positions(scene):
    dataset = SoftLabelWindowedDataset(scene.table((0, 0, 4), (8, 8, 4)))
    assert torch.equal(dataset[-1]["image"], dataset[1]["image"])
    for index in (2, -3):
        with pytest.raises(IndexError):
            dataset[index]
    assert len(list(dataset)) == 2  # iteration ends there


def test_paths_are_relative_to_the_table(tmp_path, monkeypatch):
    scene = Scene(tmp_path / "data")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert len(SoftLabelDataset(scene.table())) == 1


@pytest.mark.parametrize(
    ("key", "near"),
    [("image_key", "image_path"), ("p_soft_key", "p_soft_path"), ("w_conf_key", "w_conf_path")],
)
def test_a_column_that_is_not_there_names_the_nearest(scene, key, near):
    with pytest.raises(TableError, match=rf"t\.csv: no column '{near}s' \(is it '{near}'\?\)"):
        SoftLabelDataset(scene.table(), **{key: f"{near}s"})


def test_tables_that_cannot_be_used(scene):
    table = scene.table()
    header, line = table.read_text().splitlines()
    table.write_text(header + "\n")
    with pytest.raises(TableError, match="has no rows"):
        SoftLabelDataset(table)
    table.write_text(f"{header}\n{line}\n{line.replace('p.tif', '')}\n")
    with pytest.raises(TableError, match=r"row 2 \(s\): p_soft_path is empty"):
        SoftLabelDataset(table)
    table.write_text(f"{header}\n{line}\n{line.replace('p.tif', 'gone.tif')}\n")
    with pytest.raises(RasterError, match=r"row 2 \(s\): p_soft_path .*gone\.tif does not exist"):
        SoftLabelDataset(table)


def test_a_truncated_file_is_named(scene):
    table = scene.table(rows=2)
    image = scene.folder / "image.tif"
    image.write_bytes(image.read_bytes()[:600])
    with pytest.raises(RasterError, match=r"image\.tif"):
        SoftLabelDataset(table)[0]


@pytest.mark.parametrize("name", ["p.tif", "w.tif"])
def test_files_of_other_sizes_are_named(scene, name):
    array = scene.p_soft if name == "p.tif" else scene.w_conf
    write_raster(scene.folder / name, array[:, :-1])
    dataset = SoftLabelDataset(scene.table(), w_conf_key="w_conf_path")
    expected = rf"row 1 \(s\): .*{name}: has 23 x 30 pixels, .*image\.tif has 24 x 30"
    with pytest.raises(RasterError, match=expected):
        dataset[0]


@pytest.mark.parametrize("name", ["image.tif", "p.tif", "w.tif"])
def test_files_of_other_kinds_are_named(scene, name):
    other = Scene(scene.folder / "other")
    array = {"image.tif": other.image, "p.tif": other.p_soft, "w.tif": other.w_conf}[name]
    write_raster(other.folder / name, np.concatenate([array, array]))
    table = scene.table()
    table.write_text(table.read_text() + "o,other/image.tif,other/p.tif,other/w.tif\n")
    dataset = SoftLabelDataset(table, w_conf_key="w_conf_path")
    assert dataset[0]
    with pytest.raises(
        RasterError, match=rf"row 2 \(o\): .*{name}: has {2 * len(array)} bands where {len(array)} (is|are)"
    ):
        dataset[1]


def test_8_bit_labels_are_those_of_the_floats(scene):
    """The fixture's shares are those of four votes; a second band of W_conf says how many."""
    expected = SoftLabelDataset(scene.table(), w_conf_key="w_conf_path")[0]
    votes = np.rint(scene.p_soft * 4).astype(np.uint8)
    # with a mask, as a build writes it; without one GDAL takes the fourth class for transparency
    write_raster(scene.folder / "p.tif", votes, valid=votes.any(0))
    weights = np.rint(scene.w_conf * 255).astype(np.uint8)
    write_raster(scene.folder / "w.tif", np.concatenate([weights, np.full_like(weights, 4)]))
    with pytest.raises(RasterError, match="8-bit numbers, but lacks the tag SOFT_LABEL_PARTS"):
        SoftLabelDataset(scene.table())[0]
    with rasterio.open(scene.folder / "p.tif", "r+") as file:
        file.update_tags(SOFT_LABEL_PARTS="votes")
    with rasterio.open(scene.folder / "w.tif", "r+") as file:
        file.scales = [1 / 255] * 2
        file.set_band_description(2, "votes")
    found = SoftLabelDataset(scene.table(), w_conf_key="w_conf_path")[0]
    np.testing.assert_array_equal(both(found)[0], both(expected)[0])
    np.testing.assert_allclose(both(found)[1], both(expected)[1], atol=0.5 / 255 + 1e-6, rtol=0)


def test_albumentations_is_imported_only_when_there_is_something_to_do(scene):
    program = (
        "import sys; from coteach import SoftLabelDataset; SoftLabelDataset(sys.argv[1])[0]; "
        "sys.exit('albumentations' in sys.modules)"
    )
    command = [sys.executable, "-c", program, str(scene.table())]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_north_carolina_sample(nc_landcover, tmp_path):
    """One-hot labels made from the real land cover, whose counts are known."""
    import rasterio

    with rasterio.open(nc_landcover.landcover) as file:
        codes = file.read(1)
    one_hot = np.stack([codes == c for c in range(4)]).astype(np.float32)
    write_raster(tmp_path / "p.tif", one_hot, valid=codes != 255)
    table = tmp_path / "t.csv"
    table.write_text(f"image_path,p_soft_path\n{nc_landcover.image},p.tif\n")
    with pytest.warns(UserWarning, match="values from 1 to 255"):
        SoftLabelDataset(table)
    dataset = SoftLabelDataset(table, image_scale=255)
    sample = dataset[0]
    p_soft, w_conf = both(sample)
    with rasterio.open(nc_landcover.image) as file:
        raw, valid = file.read(), file.dataset_mask() > 0
    np.testing.assert_array_equal(w_conf[0], valid & (codes != 255))
    assert (p_soft[:, w_conf[0] == 0] == 0.25).all()
    np.testing.assert_array_equal(p_soft.argmax(0)[w_conf[0] == 1], codes[w_conf[0] == 1])
    np.testing.assert_allclose(sample["image"].numpy()[:, valid], raw[:, valid] / 255, rtol=1e-6)
    assert not sample["image"].numpy()[:, ~valid].any()


def test_samples_kept_in_memory_are_those_of_the_files_and_stay_so(scene):
    windows = scene.table((0, 0, 8), (3, 4, 8))
    read = SoftLabelWindowedDataset(windows, w_conf_key="w_conf_path")
    kept = SoftLabelWindowedDataset(windows, w_conf_key="w_conf_path", in_memory=True)
    first = kept[1]
    expected = read[1]
    for tensor in (first["image"], *first["mask"].values()):
        tensor.zero_()  # what a caller does to its sample is its own affair
    for name in ("image.tif", "p.tif", "w.tif"):
        (scene.folder / name).unlink()
    again = kept[1]
    for part in ("mask", "w_conf"):
        assert torch.equal(again["mask"][part], expected["mask"][part])
    assert torch.equal(again["image"], expected["image"])
    with pytest.raises(RasterError, match="does not exist"):
        kept[0]  # was never read


def test_where_a_row_lies(scene):
    whole = SoftLabelDataset(scene.table())
    assert whole.location(0) == (scene.folder / "image.tif", (0, 0, 24, 30))
    assert whole.path_of(0, "w_conf_path") == scene.folder / "w.tif"
    with pytest.raises(TableError, match="no column 'w_conf'"):
        whole.path_of(0, "w_conf")
    assert SoftLabelWindowedDataset(scene.table((3, 4, 8))).location(0)[1] == (3, 4, 8, 8)
