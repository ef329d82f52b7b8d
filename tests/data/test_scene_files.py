"""Which scenes are meant."""

import pytest

from coteach.data.scene_files import find_scenes
from coteach.errors import OptionError, TableError


def touch(*files):
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("")


def test_files_folders_and_tables(tmp_path):
    folder = tmp_path / "folder"
    touch(folder / "b.TIF", folder / "a.jp2", folder / "notes.txt", folder / "deep" / "c.tif")
    touch(tmp_path / "one.dat", tmp_path / "in_table.tif")
    table = tmp_path / "t.csv"
    table.write_text("tile_id,image_path,other\nx,in_table.tif,1\ny,folder/a.jp2,2\n")
    found = find_scenes([tmp_path / "one.dat", folder, table])
    assert [scene.scene_id for scene in found] == ["one", "a", "b", "x", "y"]
    assert [scene.path.name for scene in found] == ["one.dat", "a.jp2", "b.TIF", "in_table.tif", "a.jp2"]
    assert all(scene.path.is_file() for scene in found)


def test_a_table_without_ids_goes_by_the_images(tmp_path):
    (tmp_path / "t.csv").write_text("scene\nfar/a.tif\nfar/b.tif\n")
    found = find_scenes([tmp_path / "t.csv"], image_key="scene")
    assert [scene.scene_id for scene in found] == ["a", "b"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("image_path\n", "has no rows"),
        ("image\na.tif\n", "no column 'image_path' .is it 'image'?"),
        ("tile_id,image_path\nx,\n", "image_path is empty"),
        ("tile_id,image_path\n../x,a.tif\n", "cannot be the name of a file"),
    ],
)
def test_tables_that_name_no_scenes(tmp_path, content, message):
    (tmp_path / "t.csv").write_text(content)
    with pytest.raises(TableError, match=message):
        find_scenes([tmp_path / "t.csv"])


def test_equal_ids_are_refused_whatever_their_case(tmp_path):
    touch(tmp_path / "1" / "scene.tif", tmp_path / "2" / "SCENE.png")
    with pytest.raises(OptionError, match=r"1.scene\.tif and .*SCENE\.png have the same id"):
        find_scenes([tmp_path / "1", tmp_path / "2"])


def test_sources_that_are_not_there(tmp_path):
    with pytest.raises(OptionError, match=r"none\.tif: does not exist"):
        find_scenes([tmp_path / "none.tif"])
    with pytest.raises(OptionError, match="holds no raster"):
        find_scenes([tmp_path])
