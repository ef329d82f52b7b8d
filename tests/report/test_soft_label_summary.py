"""The page of a build of soft labels, its pictures and its table, read back as files."""

import base64
import io
import os
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from label_rasters import rows_of, write_map
from PIL import Image

from coteach.labels.fusion import Fusion
from coteach.labels.patterns import PatternCounts
from coteach.legend import Legend
from coteach.report.soft_label_page import SummaryTile
from coteach.report.soft_label_summary import write_summary

LEGEND = Legend(("bare & dry", "wet"), ((200, 100, 0), (0, 0, 250)))
SOURCES = ("mask_path", "esa_path")
VOID = {"meta", "link", "img", "br", "path", "use", "rect"}


class Page(HTMLParser):
    """Texts by the sections' anchors; fails on tags that do not match."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.section, self.texts = [], [], "", {}
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "h2":
            self.section = dict(attrs)["id"]

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        if data.strip():
            self.texts.setdefault(self.section, []).append(" ".join(data.split()))

    def attributes(self, tag, name):
        return [found[name] for each, found in self.tags if each == tag and name in found]

    def text(self, section):
        return " | ".join(self.texts.get(section, []))


def make_tile(folder, tile_id, disputed, *, silent=0, size=6, no_embedding=None):
    """A tile of size x size pixels: ``disputed`` ones with a vote for each class, ``silent`` ones without a vote."""
    places = np.arange(size * size).reshape(size, size)
    voted = places >= silent
    shares = np.where((places >= silent) & (places < silent + disputed), 0.5, [[[0]], [[1]]]).astype(
        np.float32
    )
    files = [folder / f"{kind}_{tile_id}.tif" for kind in ("image", "p_soft", "w_conf")]
    write_map(files[0], np.full((size, size), 7, np.uint8))
    write_map(files[1], shares, valid=voted)
    write_map(files[2], shares[1] * voted, valid=voted)
    counted = [((-1, -1), silent), ((0, 1), disputed), ((1, 1), size * size - silent - disputed)]
    codes, counts = zip(*[each for each in counted if each[1]], strict=True)
    patterns = PatternCounts(np.array(codes, np.int16), np.array(counts, np.int64))
    return SummaryTile(tile_id, *files, patterns, no_embedding)


def summary(folder, tiles, **options):
    options = {"failures": [], "command": "coteach build-soft-labels s.csv", **options}
    path = write_summary(folder, tiles, SOURCES, LEGEND, **options)
    return Page(path.read_text(encoding="utf-8"))


def test_the_page_says_what_the_patterns_say(tmp_path):
    tiles = [make_tile(tmp_path, "calm", 0, no_embedding=0.5), make_tile(tmp_path, "hot", 18, silent=9)]
    page = summary(tmp_path, tiles)
    # 72 pixels, 63 with a vote; 18 of them disputed, half and half
    header = page.text("")
    assert "Soft labels of 2 tiles" in header
    assert "87.5 % of the pixels have a vote; at 71.4 %" in header
    assert "without a vote | 12.5 %" in header
    assert "without an embedding | 50.0 %" in header
    assert "0 | 12.5 % | 1 | 0 % | 2 | 87.5 %" in page.text("coverage")
    assert page.text("agreement").count("71.4 % | 63") == 2
    assert "The mean is 0.198 nats" in page.text("entropy")  # 18 / 63 log 2
    assert "bare & dry | 28.6 % | 28.6 % | 0 %" in page.text("classes")
    disputed = page.text("disputed")
    assert disputed.index("hot") < disputed.index("calm")
    assert "coteach build-soft-labels s.csv" in page.text("origin")


def test_the_table_has_the_figures_of_each_tile(tmp_path):
    summary(tmp_path, [make_tile(tmp_path, "calm", 0), make_tile(tmp_path, "hot", 9, no_embedding=0.25)])
    hot, calm = rows_of(tmp_path / "summary_tiles.csv")
    assert hot == {
        "tile_id": "hot",
        "pixels": "36",
        "voted": "36",
        "ties": "9",
        "one_class_only": "27",
        "mean_entropy": "0.173287",  # a quarter of log 2
        "no_embedding": "0.25",
        "coverage_mask_path": "1",
        "coverage_esa_path": "1",
        "argmax_0": "0.25",
        "argmax_1": "0.75",
    }
    assert (calm["tile_id"], calm["no_embedding"], calm["mean_entropy"]) == ("calm", "", "0")


def test_the_page_is_one_file_without_a_network(tmp_path):
    page = summary(tmp_path, [make_tile(tmp_path, "a b#1", 3)])
    for source in page.attributes("img", "src"):
        assert source.startswith("data:image/png;base64,")
    assert page.attributes("script", "src") == page.attributes("link", "href") == []
    assert "//" not in re.sub(r"data:[^\"]*", "", (tmp_path / "summary.html").read_text())
    links = [link for link in page.attributes("a", "href") if not link.startswith("#")]
    assert set(links) == {"summary_tiles.csv", "quicklooks/a%20b%231.png"}
    anchors = {found["id"] for _, found in page.tags if "id" in found}
    assert {link[1:] for link in page.attributes("a", "href") if link.startswith("#")} <= anchors


def test_a_picture_shows_image_classes_and_weight(tmp_path):
    page = summary(tmp_path, [make_tile(tmp_path, "t", 12, silent=6)])
    pixels = np.array(Image.open(tmp_path / "quicklooks" / "t.png"))
    assert pixels.shape == (6, 3 * 6 + 2 * 8, 3)
    assert (pixels[:, 6:14] == 255).all()  # the gap
    classes, weight = pixels[:, 14:20], pixels[:, 28:]
    assert (classes[1:3] == (200, 100, 0)).all()  # the tie goes to class 0
    assert (classes[3:] == (0, 0, 250)).all()
    assert (weight[3:] == (0xFA, 0xF3, 0x92)).all()  # the end of the ramp: weight 1
    for nothing in (classes[0], weight[0]):  # hatched
        assert {tuple(color) for color in nothing.tolist()} <= {(255,) * 3, (179,) * 3}
    uri = page.attributes("img", "src")[0]
    thumbnail = np.array(Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))).convert("RGB"))
    assert (thumbnail == pixels).all()  # few colours, and small already


def test_a_thumbnail_is_smaller_than_its_picture(tmp_path):
    page = summary(tmp_path, [make_tile(tmp_path, "t", 12, size=600)])
    with Image.open(tmp_path / "quicklooks" / "t.png") as picture:
        assert picture.size == (3 * 512 + 16, 512)
    uri = page.attributes("img", "src")[0]
    assert Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))).width == 800


def test_a_picture_is_drawn_again_only_if_its_files_changed(tmp_path):
    tile = make_tile(tmp_path, "t", 12)
    picture = tmp_path / "quicklooks" / "t.png"
    summary(tmp_path, [tile])
    drawn, first = picture.stat().st_mtime_ns, picture.read_bytes()
    summary(tmp_path, [tile])
    assert picture.stat().st_mtime_ns == drawn
    os.utime(tile.image, ns=(1, 1))  # another time, the same content: drawn again, the same bytes
    summary(tmp_path, [tile])
    assert picture.stat().st_mtime_ns > drawn
    assert picture.read_bytes() == first
    make_tile(tmp_path, "t", 24)
    summary(tmp_path, [tile])
    assert picture.read_bytes() != first
    picture.write_bytes(first[: len(first) // 2])  # a copy that was cut off
    summary(tmp_path, [tile])
    assert np.array(Image.open(picture)).shape[0] == 6


def test_only_the_most_disputed_have_pictures(tmp_path):
    tiles = [make_tile(tmp_path, f"tile_{n}", n) for n in range(5)]
    summary(tmp_path, tiles, quicklooks=5)
    (tmp_path / "quicklooks" / "mine.png").touch()
    page = summary(tmp_path, tiles, quicklooks=2)
    left = {file.name for file in (tmp_path / "quicklooks").iterdir()}
    assert left == {"tile_3.png", "tile_4.png", "mine.png"}
    records = {file.name for file in (tmp_path / "fingerprints" / "quicklooks").iterdir()}
    assert records == {"tile_3.json", "tile_4.json"}
    assert len(page.attributes("img", "src")) == 2
    page = summary(tmp_path, tiles, quicklooks=0)
    assert page.attributes("img", "src") == []
    assert "tile_0" in page.text("disputed")


def test_many_tiles_are_cut_to_a_list_and_all_are_in_the_table(tmp_path):
    one = make_tile(tmp_path, "t", 12)
    tiles = [SummaryTile(f"t{n:03}", one.image, one.p_soft, one.w_conf, one.patterns) for n in range(120)]
    page = summary(tmp_path, tiles, quicklooks=20)
    assert "The first 50 of 120 tiles" in page.text("disputed")
    assert "t049" in page.text("disputed")
    assert "t050" not in page.text("disputed")
    assert len(page.attributes("img", "src")) == 12
    assert len(list((tmp_path / "quicklooks").iterdir())) == 20
    assert [row["tile_id"] for row in rows_of(tmp_path / "summary_tiles.csv")] == [t.tile_id for t in tiles]


def test_a_tile_without_its_image_has_no_picture_and_the_page_says_why(tmp_path):
    tile = make_tile(tmp_path, "t", 12)
    summary(tmp_path, [tile])
    tile.image.unlink()
    page = summary(tmp_path, [tile])
    assert re.search(r"No picture: .*image_t\.tif: does not exist", page.text("disputed"))
    assert not list((tmp_path / "quicklooks").iterdir())  # that of other files would mislead


def test_failures_are_listed_and_all_text_is_escaped(tmp_path):
    failures = [("t<1>", "<script>alert(1)</script>")] + [(f"bad_{n}", "why") for n in range(150)]
    page = summary(tmp_path, [make_tile(tmp_path, "t", 1)], failures=failures, command="coteach '<i>'")
    assert "151 tiles could not be made" in page.text("")
    assert "t<1> | <script>alert(1)</script>" in page.text("failures")
    assert "The first 100 of 151" in page.text("failures")
    assert "bad_99" not in page.text("failures")
    assert {"script", "i"}.isdisjoint(tag for tag, _ in page.tags)


@pytest.mark.parametrize("silent", [None, 36])
def test_nothing_to_show(tmp_path, silent):
    tiles = [] if silent is None else [make_tile(tmp_path, "t", 0, silent=silent)]
    page = summary(tmp_path, tiles, failures=[("t1", "why")])
    lead = "No tile could be made." if silent is None else "No source votes at any pixel."
    assert lead in page.text("")
    assert "t1 | why" in page.text("failures")
    if tiles:
        assert page.text("agreement").count("n/a") == 2
        assert rows_of(tmp_path / "summary_tiles.csv")[0]["mean_entropy"] == ""


def test_weights_decide_what_is_disputed(tmp_path):
    tile = make_tile(tmp_path, "t", 12)
    page = summary(tmp_path, [tile], fusion=Fusion(2, weights=(3.0, 1.0)))
    # 12 of 36 pixels with shares 3/4 and 1/4: 0.562335 nats
    assert "The mean is 0.187 nats" in page.text("entropy")


def test_estimated_reliability_has_its_section(tmp_path):
    tile = make_tile(tmp_path, "t", 12)
    assert "Estimated" not in (summary(tmp_path, [tile]).text("reliability"))
    reliability = {
        "weights": {"mask_path": 1.5, "esa_path": 0.5},
        "accuracy": {"mask_path": 0.9},
        "confusion": {"esa_path": np.array([[0.75, 0.25], [0.125, 0.875]])},
    }
    text = summary(tmp_path, [tile], reliability=reliability).text("reliability")
    assert "mask_path | 90.0 % | 1.500 | esa_path | n/a | 0.500" in text
    assert "bare & dry | 75.0 % | 25.0 % | wet | 12.5 % | 87.5 %" in text
