"""Names that climb: ids of tiles, names in annotations, and links planted where outputs go. Nothing is written outside."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from absurd_text import coco as coco_text
from family_rasters import CLASSES, write_tile
from fault_frame import Family, Try
from label_rasters import write_sources

from coteach import build_soft_labels
from coteach.data.coco import read_coco
from coteach.data.voc import read_voc
from coteach.errors import InputError
from coteach.rasters.check import check_sources

NAMES = (
    "../up",
    "../../up",
    "..",
    ".",
    "a/../../up",
    "a/b",
    "/tmp/coteach-absolute",
    "\\up",
    "..\\up",
    "C:\\up",
    "C:up",
    ".hidden",
    "a\nb",
    "a\x1b[31m",
    "ends.",
    "x" * 300,
    "ü" * 150,
    "a*b",
    "a?b",
    "a|b",
    '"a"',
    "<a>",
)
PLANTED = ("p_soft/t.tif", "w_conf/t.tif", "fingerprints/t.json", "soft_label_manifest.csv")


def tries(count: int, seed: int, shared: Path) -> Iterator[Try]:
    """All names as all kinds, and links at all outputs, in a seeded order."""
    ways: list[tuple[str, Callable[[Path], None]]] = [
        (f"{name[:20]!r} as {kind}", partial(refuse, name=name))
        for kind, refuse in KINDS.items()
        for name in (NAMES if kind == "the id of a tile" else NAMES[:5] + NAMES[6:7])
        if kind == "the id of a tile" or name not in (".", "a/b")
    ]
    ways += [(f"a link at {name}", partial(keep_target, name=name)) for name in PLANTED]
    ways = random.Random(seed).sample(ways, len(ways))
    for number in range(count):
        yield Try(*ways[number % len(ways)])


def refuse_id(folder: Path, name: str) -> None:
    """The tile fails, and nothing is written for it."""
    inside = folder / "inside"
    inside.mkdir()
    write_tile(inside)
    row = {"tile_id": name, "image_path": "image.tif", "mask_path": "mask.tif", "esa_path": "esa.tif"}
    table = write_sources(inside / "sources.csv", [row])
    before = {path for path in folder.rglob("*") if "out" not in path.parts}
    report = build_soft_labels(table, inside / "out", CLASSES, lulc_keys=["esa_path"], scheduler="serial")
    ((_, error),) = report.failures
    assert "cannot be the name of a file" in error
    assert any(finding.severity == "error" for finding in check_sources(table, max_workers=1).findings)
    written = {path for path in folder.rglob("*") if path.is_file()} - before
    assert {path.name for path in written} <= {"failures.csv", "soft_label_manifest.csv"}
    assert not Path("/tmp/coteach-absolute.tif").exists()


def refuse_file_name(folder: Path, name: str) -> None:
    """An annotation file does not name files outside of the folder of its images."""
    content = json.loads(coco_text())
    content["images"][0]["file_name"] = name
    (folder / "coco.json").write_text(json.dumps(content))
    expect_refusal(lambda: read_coco(folder / "coco.json", folder / "images"), "leads out of")


def refuse_stem(folder: Path, name: str) -> None:
    """Nor does a list of images."""
    lists = folder / "ImageSets" / "Main"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text(f"{name}\n")
    expect_refusal(lambda: read_voc(folder, "train"), "leads out of")


def expect_refusal(read: Callable[[], object], says: str) -> None:
    """It is an InputError that says so."""
    with pytest.raises(InputError, match=says):
        read()


def keep_target(folder: Path, name: str) -> None:
    """A link where an output goes is replaced; what it leads to stays as it is."""
    victim = folder / "victim"
    victim.write_text("precious")
    (folder / "tile").mkdir()
    write_tile(folder / "tile")
    place = folder / "out" / name
    place.parent.mkdir(parents=True)
    place.symlink_to(victim)
    report = build_soft_labels(
        folder / "tile" / "sources.csv", folder / "out", CLASSES, lulc_keys=["esa_path"], scheduler="serial"
    )
    assert not report.failures
    assert victim.read_text() == "precious"
    assert not place.is_symlink()
    shutil.rmtree(folder / "out")


KINDS: dict[str, Callable[..., None]] = {
    "the id of a tile": refuse_id,
    "a file name of COCO": refuse_file_name,
    "a line of VOC's list": refuse_stem,
}

FAMILIES = (Family("names that climb", "nothing read or written outside", tries, short=4, long=34),)
