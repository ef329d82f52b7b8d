"""Bad tables: CSV, COCO's JSON, VOC's XML and YAML configurations, of which something was changed.

Each is read, and what comes of it is looked at: an error that names the file, or content that keeps its own rules.
"""

from __future__ import annotations

import json
import random
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
from absurd_text import ABSURD, DAMAGES
from fault_frame import Family, Try
from PIL import Image

from coteach.cli.config import load_config
from coteach.data.coco import read_coco
from coteach.data.detection_boxes import Annotations
from coteach.data.image_table import ImageTableDataset
from coteach.data.voc import read_voc
from coteach.errors import CoteachError, CoteachWarning
from coteach.rasters.check import check_sources

IDS = ("a", "b", "ü 3")
CSV = "path,label,weight\n" + "".join(f'"{name}.png",{code},0.5\n' for code, name in enumerate(IDS))
SOURCES = "tile_id,image_path,mask_path,esa_path\na,a.png,b.png,\nb,b.png,a.png,a.png\n"
COCO = json.dumps(
    {
        "images": [
            {"id": n, "file_name": f"{name}.png", "height": 8, "width": 8} for n, name in enumerate(IDS)
        ],
        "annotations": [
            {"id": n, "image_id": n, "category_id": 1 + n % 2, "bbox": [1, 1, 4, 5.5], "iscrowd": 0}
            for n in range(3)
        ],
        "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dög"}],
    },
    indent=1,
    ensure_ascii=False,
)
VOC = """<?xml version="1.0" encoding="UTF-8"?>
<annotation><filename>a.png</filename><size><width>8</width><height>8</height><depth>3</depth></size>
<object><name>dög</name><difficult>0</difficult>
<bndbox><xmin>1</xmin><ymin>1</ymin><xmax>5</xmax><ymax>6.5</ymax></bndbox></object></annotation>
"""
YAML = """num_classes: 2
method: {name: supervised}
model: {_target_: coteach.models.SmallFCN, in_channels: 3, classes: 2}
optimizer: {_target_: torch.optim.SGD, lr: 0.1}
train_dataset: {_target_: coteach.SoftLabelDataset, input_csv_path: "a.csv"}
class_names: [water, 'fôret']
seed: 3
"""


def read_table(file: Path) -> None:
    """Images with labels."""
    data = ImageTableDataset(file, weight_key="weight", image_size=8, num_bands=3)
    assert len(data.rows) > 0
    assert all(set(row) == set(data.rows[0]) for row in data.rows)
    assert all(0 <= float(row["weight"]) <= 1 and int(row["label"] or -1) >= -1 for row in data.rows)


def read_sources(file: Path) -> None:
    """Tiles and their maps."""
    report = check_sources(file, max_workers=1)
    assert report.rows or any(one.severity == "error" for one in report.findings)


def read_boxes(file: Path) -> None:
    """COCO."""
    check_boxes(read_coco(file, file.parent))


def read_xml(file: Path) -> None:
    """A VOC folder of one image."""
    folder = file.parent / "Annotations"
    folder.mkdir()
    file.rename(folder / "a.xml")
    check_boxes(read_voc(file.parent))


def check_boxes(found: Annotations) -> None:
    """Boxes are within their images, and of known classes."""
    for image in found.images:
        height, width = image.size or (np.inf, np.inf)
        boxes = np.concatenate([image.boxes, image.ignore])
        assert np.isfinite(boxes).all()
        assert (boxes[:, :2] >= 0).all()
        assert (boxes[:, 2:] > boxes[:, :2]).all()
        assert (boxes[:, 2:] <= (width, height)).all()
        assert ((image.labels >= 1) & (image.labels <= len(found.class_names))).all()


def read_config(file: Path) -> None:
    """A training configuration."""
    config = load_config(file)
    assert config.num_classes >= 1
    assert isinstance(config.seed, int)


FORMATS: dict[str, tuple[str, str, Callable[[Path], None]]] = {
    "CSV": ("table.csv", CSV, read_table),
    "CSV of sources": ("sources.csv", SOURCES, read_sources),
    "COCO": ("coco.json", COCO, read_boxes),
    "VOC": ("a.xml", VOC, read_xml),
    "YAML": ("conf.yaml", YAML, read_config),
}


def tries(count: int, seed: int, shared: Path) -> Iterator[Try]:
    """All absurd texts, then seeded damages of each format in turn; of a small count, a third is absurd."""
    rng = random.Random(seed)
    absurd = [(f"{kind}, {name}", kind, content) for kind, name, content in ABSURD]
    if count < 2 * len(absurd):
        absurd = rng.sample(absurd, count // 3)
    for name, kind, content in absurd:
        yield Try(name, partial(attempt, kind=kind, content=content))
    for number in range(count - len(absurd)):
        kind = list(FORMATS)[number % len(FORMATS)]
        damage = rng.choice(list(DAMAGES))
        content = DAMAGES[damage](FORMATS[kind][1], random.Random(rng.getrandbits(32)))
        yield Try(f"{kind}, {damage}", partial(attempt, kind=kind, content=content))


def attempt(folder: Path, kind: str, content: bytes) -> None:
    """Read it: refused by name, or processed to something that keeps its rules."""
    name, _, read = FORMATS[kind]
    for stem in IDS:
        Image.new("RGB", (8, 8)).save(folder / f"{stem}.png")
    (folder / name).write_bytes(content)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # NumPy's, of numbers that overflow: nobody has looked at them then
        warnings.simplefilter("ignore", CoteachWarning)
        try:
            read(folder / name)
        except CoteachError as error:
            refused = error.thing
        else:
            return
    named = (str(folder), name, *(("class_names", "num_classes") if kind == "YAML" else ()))
    assert any(text in refused for text in named), f"names no file: {refused}"


FAMILIES = (Family("bad tables", "processed or refused by name", tries, short=15, long=500),)
