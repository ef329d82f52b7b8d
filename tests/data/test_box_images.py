"""Which images boxes are found in: ids of files, tables and COCO files."""

import pytest
from coco_files import write_coco
from PIL import Image

from coteach.data.box_images import find_box_images
from coteach.errors import OptionError


@pytest.fixture
def folder(tmp_path):
    for name in ("b.png", "a.JPG", "c.webp", "note.txt"):
        Image.new("RGB", (4, 4)).save(tmp_path / name, "PNG")
    return tmp_path


def ids(*sources, **options):
    return [image.image_id for image in find_box_images(sources, **options).images]


def test_ids_are_file_names_unless_a_table_says_otherwise(folder):
    assert ids(folder) == ["a.JPG", "b.png", "c.webp"]
    assert ids(folder / "c.webp", folder / "b.png") == ["c.webp", "b.png"]
    (folder / "t.csv").write_text("tile_id,photo\nfirst,b.png\nsecond,b.png\n")
    assert ids(folder / "t.csv", image_key="photo") == ["first", "second"]
    (folder / "two.csv").write_text("tile_id,image_path\nb,b.png\nb.png,c.webp\n")
    with pytest.raises(OptionError, match=r"has the id 'b\.png' of another image"):
        ids(folder / "two.csv")


def test_of_a_coco_file_everything_is_its_own(folder):
    file = write_coco(folder / "drawn", "all.json", [12, 5])
    found = find_box_images([file])
    assert [(image.image_id, image.size) for image in found.images] == [(5, (64, 64)), (12, (64, 64))]
    assert found.images[0].path == folder / "drawn" / "5.png"
    assert (found.class_names, found.category_ids) == (("red", "blue"), (1, 2))
    assert find_box_images([file], folder).images[0].path == folder / "5.png"
    with pytest.raises(OptionError, match="give a COCO file alone"):
        ids(file, folder)
    with pytest.raises(OptionError, match="is for a COCO file"):
        ids(folder, image_dir=folder)
