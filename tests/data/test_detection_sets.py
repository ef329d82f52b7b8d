"""COCO and VOC data sets: what they give, and what they say of bad files."""

from __future__ import annotations

import copy
import json
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from coteach.data.coco import load_coco, read_coco
from coteach.data.detection_boxes import check_same_classes
from coteach.data.detection_files import CocoDetectionDataset, VocDetectionDataset
from coteach.data.keyed import ItemKey, KeyedDataset
from coteach.data.voc import parse_voc, read_voc
from coteach.errors import InputError, OptionError

SIZES = {3: (40, 60), 7: (30, 30), 5: (50, 20)}  # image id -> (H, W)
BOX = {"id": 1, "image_id": 3, "category_id": 90, "bbox": [10, 5, 20, 30], "iscrowd": 0}
COCO = {
    "images": [
        {"id": number, "file_name": f"{number}.png", "height": height, "width": width}
        for number, (height, width) in SIZES.items()
    ],
    "categories": [{"id": 90, "name": "bus"}, {"id": 4, "name": "cat"}],
    "annotations": [
        BOX,
        {"id": 2, "image_id": 3, "category_id": 4, "bbox": [0, 0, 60, 40], "iscrowd": 1},
        {"id": 3, "image_id": 5, "category_id": 4, "bbox": [1.5, 2, 3, 4], "iscrowd": 0},
    ],
}


def change(**entries):
    """The COCO content, changed in single keys."""
    return {**copy.deepcopy(COCO), **entries}


@pytest.fixture
def folder(tmp_path) -> Path:
    for number, (height, width) in SIZES.items():
        pixels = np.full((height, width, 3), number, np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
    write(tmp_path, COCO)
    return tmp_path


def write(folder, content, name="boxes.json"):
    (folder / name).write_text(json.dumps(content), encoding="utf-8")
    return folder / name


def coco(folder, **options):
    return CocoDetectionDataset(folder / "boxes.json", folder, **options)


def test_images_come_by_id_with_boxes_as_corners_and_labels_by_category_id(folder):
    data = coco(folder)
    assert [image.image_id for image in data.annotations.images] == [3, 5, 7]
    assert data.class_names == ("cat", "bus")
    assert data.annotations.category_ids == (4, 90)
    first, second, empty = (data[index] for index in range(3))
    assert first["image"].shape == (3, 40, 60)
    assert first["image"].dtype == torch.float32
    assert first["image"].unique().tolist() == pytest.approx([3 / 255])
    assert first["mask"]["boxes"].tolist() == [[10, 5, 30, 35]]
    assert first["mask"]["labels"].tolist() == [2]
    assert first["ignore"].tolist() == [[0, 0, 60, 40]]
    assert second["mask"]["boxes"].tolist() == [[1.5, 2, 4.5, 6]]
    assert second["size"] == (50, 20)
    assert empty["mask"]["boxes"].shape == (0, 4)
    assert empty["mask"]["labels"].dtype == torch.int64
    assert empty["file_name"].endswith("7.png")


def test_torchvisions_detector_takes_the_samples(folder):
    from torchvision.models.detection.transform import GeneralizedRCNNTransform

    data = coco(folder)
    images, targets = zip(*((data[i]["image"], data[i]["mask"]) for i in range(3)), strict=True)
    sized, scaled = GeneralizedRCNNTransform(80, 120, [0.5] * 3, [0.2] * 3)(list(images), list(targets))
    assert sized.image_sizes[0] == (80, 120)
    assert scaled[0]["boxes"].tolist() == [[20, 10, 60, 70]]


def test_without_labels_there_are_none_and_annotations_may_be_missing(folder):
    assert coco(folder, labelled=False)[0]["mask"] is None
    write(folder, {key: COCO[key] for key in ("images", "categories")})
    data = coco(folder, labelled=False)
    batch = data.collate([KeyedDataset(data, seed=1)[ItemKey(i, 0)] for i in range(3)])
    assert batch.targets == (None,)


def test_a_batch_keeps_sizes_views_and_extras(folder):
    data = coco(folder, weak={"short_side": [20, 40], "long_side": 60})
    batch = data.collate([KeyedDataset(data, seed=1, views=2)[ItemKey(i, 0)] for i in (2, 0)])
    assert batch.ids.tolist() == [2, 0]
    assert len(batch.views) == len(batch.targets) == 2
    assert [len(view) for view in batch.views] == [2, 2]
    assert len(batch.target[1]["boxes"]) == 1
    assert batch.extra["image_id"] == (7, 3)
    assert batch.extra["size"] == ((30, 30), (40, 60))
    assert batch.inputs[0].shape[1:] != batch.inputs[1].shape[1:]


def test_a_loader_with_workers_gives_the_same_batch(folder):
    from torch.utils.data import DataLoader

    from coteach.data.shared_batches import SharedBatches

    data = coco(folder, weak={"short_side": [20, 40]})
    drawn = KeyedDataset(data, seed=1)
    keys = [[ItemKey(i, 0) for i in range(3)]]
    (there,) = DataLoader(drawn, batch_sampler=keys, num_workers=1, collate_fn=SharedBatches(data.collate))
    here = data.collate([drawn[key] for key in keys[0]])
    assert all(torch.equal(a, b) for a, b in zip(there.inputs, here.inputs, strict=True))
    assert torch.equal(there.target[0]["boxes"], here.target[0]["boxes"])


def test_weak_views_depend_on_seed_epoch_and_image_and_move_the_boxes(folder):
    data = coco(folder, weak={"short_side": [20, 80], "long_side": 200})
    drawn = KeyedDataset(data, seed=3)
    once, again = drawn[ItemKey(0, 0)], drawn[ItemKey(0, 0)]
    assert torch.equal(once["views"][0], again["views"][0])
    sizes = {tuple(drawn[ItemKey(0, epoch)]["views"][0].shape) for epoch in range(5)}
    assert len(sizes) > 1
    x1, y1, x2, y2 = once["targets"][0]["boxes"][0].tolist()
    height, width = once["views"][0].shape[1:]
    assert (x2 - x1) / width == pytest.approx(20 / 60)
    assert (y2 - y1) / height == pytest.approx(30 / 40)
    plain = KeyedDataset(data, seed=3, augment=False)[ItemKey(0, 0)]
    assert plain["views"][0].shape == (3, 40, 60)


def test_boxes_that_are_none_are_counted_named_and_dropped(folder):
    boxes = [
        [50, 30, 20, 20],
        [5, 5, 0, 3],
        [70, 5, 4, 4],
        [-5, -5, 10, 10],
        [9, 9, -4, 3],
        [1, 1, 59.0004, 2],
    ]
    extra = [{**BOX, "id": 10 + i, "bbox": box} for i, box in enumerate(boxes)]
    write(folder, change(annotations=[*COCO["annotations"], *extra]))
    with pytest.warns(UserWarning, match="of 9 boxes") as told:
        data = coco(folder)
    said = [str(one.message) for one in told]
    assert len(said) == 3
    assert "2 of 9 boxes have no area and were dropped; the first one is of 3.png" in said[0]
    assert "1 of 9 boxes lie outside" in said[1]
    assert "2 of 9 boxes reach out" in said[2]
    assert data[0]["mask"]["boxes"].tolist() == [
        [10, 5, 30, 35],
        [50, 30, 60, 40],
        [0, 0, 5, 5],
        [1, 1, 60, 3],
    ]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ([], "is no COCO file but a JSON list"),
        ({"images": []}, "no list 'categories'"),
        (change(images=3), "no list 'images'"),
        (change(annotations=[1]), "no list 'annotations'"),
        (
            change(categories=[{"id": 4, "name": "cat"}]),
            "1 annotations have an unknown category_id, the first one 90",
        ),
        (change(annotations=[{**BOX, "image_id": 99}]), "unknown image_id, the first one 99"),
        (change(annotations=[{"image_id": 3}]), "entry 1 of 'annotations' has no 'category_id'"),
        (change(annotations=[{**BOX, "bbox": [1, 2, 3]}]), r"annotation 1 has the bbox \[1, 2, 3\]"),
        (change(annotations=[{**BOX, "bbox": [1, 2, float("nan"), 4]}]), "a box of 3.png is"),
        (change(images=[COCO["images"][0]] * 2), "two of 'images' have the id 3"),
        (change(images=[{"id": 3}]), "entry 1 of 'images' has no 'file_name'"),
        (change(images=[], annotations=[]), "has no images"),
    ],
)
def test_files_that_are_not_coco_say_why(folder, content, said):
    write(folder, content)
    with pytest.raises(InputError, match=said):
        coco(folder)


def test_a_file_that_is_not_there_or_no_json(folder):
    with pytest.raises(InputError, match="does not exist"):
        load_coco(folder / "none.json")
    (folder / "bad.json").write_text("{", encoding="utf-8")
    with pytest.raises(InputError, match="is no JSON"):
        load_coco(folder / "bad.json")
    with pytest.raises(InputError, match="is no JSON"):
        load_coco(folder / "3.png")


def test_missing_images_are_counted_and_fatal_unless_allowed(folder):
    (folder / "5.png").unlink()
    with pytest.raises(InputError, match=r"1 of 3 image files are missing, the first one .*5\.png"):
        coco(folder)
    with pytest.warns(UserWarning, match="1 of 3 image files are missing"):
        data = coco(folder, on_missing="skip")
    assert [image.image_id for image in data.annotations.images] == [3, 7]
    for number in (3, 7):
        (folder / f"{number}.png").unlink()
    with pytest.raises(InputError, match="3 of 3"):
        coco(folder, on_missing="skip")


def test_options_that_do_not_exist(folder, unchecked):
    with pytest.raises(OptionError, match="'ignore' is unknown"):
        coco(folder, on_missing="ignore")
    with pytest.raises(OptionError, match=r"weak.flips: is unknown; did you mean flip"):
        coco(folder, weak={"flips": 1})


def test_an_image_of_another_size_than_annotated(folder):
    Image.new("RGB", (10, 20)).save(folder / "3.png")
    with pytest.raises(InputError, match=r"is 10 x 20 pixels where .* says 60 x 40"):
        coco(folder)[0]


def test_class_lists_that_differ_are_named(folder):
    first = read_coco(folder / "boxes.json", folder)
    same = read_coco(write(folder, change(annotations=[]), "other.json"), folder)
    check_same_classes(first, same)
    fewer = change(categories=[{"id": 4, "name": "cat"}, {"id": 5, "name": "dog"}], annotations=[])
    with pytest.raises(InputError, match="has no 'bus' and has 'dog' besides"):
        check_same_classes(first, read_coco(write(folder, fewer, "other.json"), folder))
    turned = change(categories=[{"id": 4, "name": "bus"}, {"id": 90, "name": "cat"}])
    with pytest.raises(InputError, match="has the order 'bus', 'cat'"):
        check_same_classes(first, read_coco(write(folder, turned, "other.json"), folder))


def test_the_fingerprint_follows_boxes_labels_and_mode(folder):
    first = coco(folder).fingerprint()
    assert coco(folder).fingerprint() == first
    assert coco(folder, labelled=False).fingerprint() != first
    write(folder, change(annotations=[BOX]))
    assert coco(folder).fingerprint() != first


VOC = """<annotation><filename>a.png</filename><size><width>60</width><height>40</height></size>
<object><name>dog</name><difficult>0</difficult>
 <part><name>head</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>2</xmax><ymax>2</ymax></bndbox></part>
 <bndbox><xmin>11</xmin><ymin>6</ymin><xmax>30</xmax><ymax>35</ymax></bndbox></object>
<object><name>cat</name><difficult>1</difficult>
 <bndbox><xmin>1</xmin><ymin>1</ymin><xmax>60</xmax><ymax>40</ymax></bndbox></object></annotation>"""


@pytest.fixture
def voc(tmp_path) -> Path:
    for part in ("Annotations", "JPEGImages", "ImageSets/Main"):
        (tmp_path / part).mkdir(parents=True)
    Image.new("RGB", (60, 40)).save(tmp_path / "JPEGImages" / "a.png")
    (tmp_path / "Annotations" / "a.xml").write_text(VOC, encoding="utf-8")
    (tmp_path / "ImageSets" / "Main" / "train.txt").write_text("a\n", encoding="utf-8")
    return tmp_path


def test_voc_objects_become_boxes_and_difficult_ones_are_ignored(voc):
    sample = VocDetectionDataset(voc, "train", class_names=["dog", "cat"], one_based=True)[0]
    assert sample["mask"]["boxes"].tolist() == [[10, 5, 30, 35]]
    assert sample["mask"]["labels"].tolist() == [1]
    assert sample["ignore"].tolist() == [[0, 0, 60, 40]]
    sample = VocDetectionDataset(voc, ignore_difficult=False)[0]
    assert sample["mask"]["boxes"].tolist() == [[11, 6, 30, 35], [1, 1, 60, 40]]
    assert sample["mask"]["labels"].tolist() == [2, 1]
    assert sample["image_id"] == "a"


@pytest.mark.parametrize(
    "text",
    [
        '<!DOCTYPE a [<!ENTITY b "c">]><annotation>&b;</annotation>',
        '<?xml version="1.0"?>\n<!doctype a SYSTEM "file:///etc/passwd"><annotation/>',
        "<!DOCTYPE a><annotation/>".encode("utf-16").decode("latin-1"),
    ],
)
def test_xml_with_declarations_is_refused(voc, text):
    (voc / "Annotations" / "a.xml").write_bytes(text.encode("latin-1"))
    with pytest.raises(InputError, match="declares a document type"):
        parse_voc(voc / "Annotations" / "a.xml")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("<annotation>", "is no VOC XML"),
        (VOC.replace("<ymax>35</ymax>", ""), "object without name or bndbox"),
        (VOC.replace("<ymax>35</ymax>", "<ymax>many</ymax>"), "is no VOC XML"),
        (VOC.replace("<ymax>35</ymax>", "<ymax>nan</ymax>"), "a box of a.xml is"),
        (VOC.replace("dog", "cow"), "has the class 'cow', which is none of dog, cat"),
    ],
)
def test_bad_voc_files_say_why(voc, text, said):
    (voc / "Annotations" / "a.xml").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=said):
        read_voc(voc, class_names=["dog", "cat"])


def test_class_names_of_voc_that_are_one_text(voc):
    with pytest.raises(OptionError, match="class_names: 'dog' is one text; give a list of names"):
        read_voc(voc, class_names="dog")


def test_lists_and_files_that_are_missing(voc):
    with pytest.raises(InputError, match=r"val\.txt: does not exist; there is train"):
        read_voc(voc, "val")
    with pytest.raises(InputError, match="holds no Annotations"):
        read_voc(voc / "JPEGImages")
    (voc / "ImageSets" / "Main" / "train.txt").write_text("a\nb\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"b\.xml: does not exist"):
        read_voc(voc, "train")
    (voc / "JPEGImages" / "a.png").unlink()
    with pytest.raises(InputError, match="1 of 1 image files are missing"):
        VocDetectionDataset(voc)


def test_good_files_are_read_in_silence(folder, voc):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        coco(folder)
        VocDetectionDataset(voc)
