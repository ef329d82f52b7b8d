"""``coteach report`` over two small runs, by the command line; the page is read as a browser would read it."""

import base64
import csv
import io
import json
from html.parser import HTMLParser

import numpy as np
import pytest
import rasterio
import yaml
from label_rasters import write_map
from PIL import Image
from rasterio import Affine

from coteach import build_soft_labels, generate_training_csv
from coteach.cli import report_runs
from coteach.cli.main import main
from coteach.legend import Legend
from coteach.report.views import RIGHT, WRONG

NAMES = ["<b>built</b>", "open & bare", "forest", "water"]
COLORS = Legend.of(4).colors
_VOID = {"meta", "img", "br", "link", "path", "use", "circle"}  # what is not closed, or closes itself


def coteach(*args):
    with pytest.raises(SystemExit) as stopped:
        main([str(arg) for arg in args])
    return stopped.value.code


@pytest.fixture(scope="module")
def scene(nc_landcover, tmp_path_factory):
    """A part of the real scene, its land cover, and a second map that is shifted and has a hole."""
    folder = tmp_path_factory.mktemp("scene")
    part = rasterio.windows.Window(300, 200, 128, 128)
    with rasterio.open(nc_landcover.image) as file:
        a, _, c, _, e, f = file.transform[:6]
        crs, transform = file.crs.to_wkt(), Affine(a, 0, c + 300 * a, 0, e, f + 200 * e)
        write_map(folder / "image.tif", file.read(window=part), crs=crs, transform=transform)
    with rasterio.open(nc_landcover.landcover) as file:
        truth = file.read(1, window=part)
    shifted = np.roll(truth, 4, axis=1)
    shifted[90:100, 90:100] = 255
    for name, codes in (("truth", truth), ("shifted", shifted)):
        write_map(folder / f"{name}.tif", codes, crs=crs, transform=transform, nodata=255)
    (folder / "sources.csv").write_text(
        "tile_id,image_path,mask_path,shifted_path\nnc,image.tif,truth.tif,shifted.tif\n"
    )
    report = build_soft_labels(
        folder / "sources.csv",
        folder / "soft",
        4,
        lulc_keys=["shifted_path"],
        patch_size=32,
        stride=32,
        max_workers=1,
    )
    assert report.failures == ()
    files = generate_training_csv(report.manifest, folder / "split", by="row", seed=1).files
    return folder, truth, shifted, files


def configuration(scene, output, **changes):
    _, _, _, files = scene

    def dataset(split):
        return {
            "_target_": "coteach.SoftLabelWindowedDataset",
            "input_csv_path": str(files[split]),
            "image_scale": 255,
            "w_conf_key": "w_conf_path",
        }

    content = {
        "num_classes": 4,
        "class_names": NAMES,
        "method": {"name": "co_teaching", "e_warm": 1, "lambda_reg": 0},
        "model": {"_target_": "coteach.models.SmallFCN", "in_channels": 5, "classes": 4},
        "optimizer": {"_target_": "torch.optim.AdamW", "lr": 1e-2},
        "train_dataset": dataset("train"),
        "val_dataset": dataset("val"),
        "test_dataset": dataset("test"),
        "trainer": {"max_epochs": 2, "accelerator": "cpu"},
        "output_dir": str(output),
    }
    path = output.parent / f"{output.name}.yaml"
    path.write_text(yaml.safe_dump(content | changes))
    return path


@pytest.fixture(scope="module")
def runs(scene, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    assert coteach("train", configuration(scene, folder / "two"), "--quiet") == 0
    supervised = configuration(scene, folder / "one", method={"name": "supervised"})
    assert coteach("train", supervised, "--quiet") == 0
    return [folder / "two", folder / "one"]


class Page(HTMLParser):
    """Tags, attributes and text of a page, and whether every tag is closed where it should be."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.texts, self.open = [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in _VOID or (tag == "path" and not self.get_starttag_text().endswith("/>")):
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if data.strip():
            self.texts.append((tuple(self.open), " ".join(data.split())))

    def all(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]

    def inside(self, tag):
        return [text for place, text in self.texts if tag in place]

    def picture(self, alt):
        [uri] = [image["src"] for image in self.all("img") if image["alt"] == alt]
        return np.array(Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))).convert("RGBA"))


@pytest.fixture(scope="module")
def page(scene, runs, tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    before = {path for run in runs for path in run.rglob("*")}
    target = folder / "deep" / "report.html"
    command = ["report", *runs, "--reference", scene[0] / "truth.tif", "--output", target]
    assert coteach(*command, "--checkpoint", "last") == 0
    assert [path.name for path in target.parent.iterdir()] == ["report.html"]
    assert {path for run in runs for path in run.rglob("*")} == before  # nothing else is written
    return Page(target.read_text(encoding="utf-8"))


def test_the_page_needs_no_other_file(page):
    assert page.open == []
    assert page.all("script") == page.all("link") == page.all("iframe") == []
    assert all(image["src"].startswith("data:image/png;base64,") for image in page.all("img"))
    [style] = [text for place, text in page.texts if place[-1] == "style"]
    assert "url(" not in style
    assert "@import" not in style
    targets = {attributes["id"] for _, attributes in page.tags if "id" in attributes}
    for tag, attributes in page.tags:
        for name in ("href", "xlink:href", "srcset", "data", "poster"):
            if name in attributes:
                assert attributes[name].startswith("#"), (tag, attributes)
                assert attributes[name][1:] in targets
    assert len([a for _, a in page.tags if "id" in a]) == len(targets)


def test_headings_and_names(page):
    assert page.inside("h1") == ["2 runs compared"]
    assert [text for text in page.inside("h2") if text != "#"] == [
        "Figures",
        "Maps",
        "Curves",
        "Each run",
        "How it was made",
    ]
    assert {"two", "one"} <= set(page.inside("h3"))
    assert "<b>built</b>" in page.inside("li")  # shown as it is written, not as a tag
    assert "open & bare" in page.inside("li")
    assert page.all("b") == [{"class": "best"}] * len(page.all("b"))


def test_figures_are_those_of_evaluate(page, scene, runs, tmp_path):
    texts = page.inside("td")
    for number, run in enumerate(runs):
        output = tmp_path / f"{number}.json"
        reference = ["--reference", scene[0] / "truth.tif"]
        assert (
            coteach("evaluate", run, *reference, "--checkpoint", "last", "--output", output, "--quiet") == 0
        )
        found = json.loads(output.read_text())
        figures = [found["mIoU"], found["OA"], found["kappa"], *found["IoU"].values()]
        shown = ["-" if figure is None else f"{figure:.3f}" for figure in figures]
        cells = [text.removeprefix("★").strip() for text in texts]
        assert cells[number * 10 : number * 10 + 7] == shown
        row = [int(text.replace(" ", "")) for text in texts if text.replace(" ", "").isdigit()]
        counts = [count for line in found["confusion"] for count in line]
        assert any(row[i : i + 16] == counts for i in range(len(row)))


def test_maps_are_the_rasters(page, scene):
    folder, truth, shifted, files = scene
    with files["test"].open() as lines:
        rows = [{key: int(row[key]) for key in ("row_off", "col_off")} for row in csv.DictReader(lines)]
    top, left = min(row["row_off"] for row in rows), min(row["col_off"] for row in rows)
    bottom, right = (max(row[key] for row in rows) + 32 for key in ("row_off", "col_off"))
    for alt, codes in (
        ("Image and reference: Reference (truth.tif)", truth),
        ("Sources: shifted", shifted),
    ):
        shown = page.picture(alt)
        part = codes[top:bottom, left:right]
        assert shown.shape[:2] == part.shape
        for code, color in enumerate(COLORS):
            assert (shown[part == code, :3] == color).all()
        assert (shown[..., 3] == np.where(part == 255, 0, 255)).all()
    assert not any(image["alt"] == "Sources: mask" for image in page.all("img"))  # it is the reference
    assert folder.name in " ".join(page.inside("p"))


@pytest.mark.parametrize("run", ["two", "one"])
def test_wrong_is_where_prediction_and_reference_differ(page, run):
    prediction = page.picture(f"Predictions: {run}")
    reference = page.picture("Image and reference: Reference (truth.tif)")
    difference = page.picture(f"Where predictions differ from the reference: {run}")
    counted = (prediction[..., 3] > 0) & (reference[..., 3] > 0)
    wrong = (prediction[..., :3] != reference[..., :3]).any(axis=-1)
    assert counted.any()
    assert (difference[counted & wrong, :3] == WRONG).all()
    assert (difference[counted & ~wrong, :3] == RIGHT).all()
    assert (difference[~counted, 3] == 0).all()


def test_soft_label_maps_are_there(page):
    alts = [image["alt"] for image in page.all("img")]
    for title in ("argmax of P_soft", "Entropy of P_soft", "W_conf"):
        assert f"Soft label: {title}" in alts


def test_curves_show_what_each_run_has(page):
    charts = [svg["aria-label"] for svg in page.all("svg") if svg.get("role") == "img"]
    assert charts == [
        "Training loss",
        "Validation loss",
        "Validation mean IoU",
        "Retention and forget rate",
        "Agreement and overlap",
        "two: selected share by class",
    ]
    titles = page.inside("title")
    assert "two, train/retention_rate, epoch 1: 0.5" in titles  # p_start
    assert "two, train/retention_rate, epoch 2: 0.95" in titles  # p_end from e_warm = 1 on
    assert not any(title.startswith("one, train/retention_rate") for title in titles)


def test_origin(page, runs):
    [config] = [text for text in page.inside("pre") if "name: supervised" in text]
    assert "coteach.models.SmallFCN" in config
    versions = " ".join(page.inside("dd"))
    assert "torch" in versions
    assert str(runs[0]) in " ".join(page.inside("code"))


def test_without_a_reference_it_is_the_argmax_of_p_soft(runs, tmp_path):
    target = tmp_path / "r.html"
    assert coteach("report", runs[1], "--output", target, "--bands", "4,3,2", "--view-size", "40") == 0
    page = Page(target.read_text(encoding="utf-8"))
    assert page.inside("h1") == ["Run one"]
    assert page.picture("Image and reference: Image, bands 4, 3, 2").shape[:2] <= (40, 40)
    assert "Sources: mask" in [image["alt"] for image in page.all("img")]
    assert page.picture("Where predictions differ from argmax of P_soft: one").any()
    assert "Retention and forget rate" not in [svg.get("aria-label") for svg in page.all("svg")]
    assert page.all("b") == []  # nothing to be better than


def test_no_maps_if_none_are_asked_for(runs, tmp_path):
    target = tmp_path / "r.html"
    assert coteach("report", runs[1], "--output", target, "--max-tiles", "0", "--quiet") == 0
    page = Page(target.read_text(encoding="utf-8"))
    assert page.all("img") == []
    assert "Maps" not in page.inside("h2")


def altered(run, folder, change):
    """A copy of a run, all that a report needs of it, with another configuration."""
    folder.mkdir()
    (folder / "checkpoints").mkdir()
    (folder / "checkpoints" / "best.ckpt").write_bytes((run / "checkpoints" / "best.ckpt").read_bytes())
    config = yaml.safe_load((run / "config.yaml").read_text())
    change(config)
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    return folder


def test_a_reference_named_by_the_table_is_the_same_as_one_that_is_given(runs, scene, tmp_path):
    folder, _, _, files = scene
    with files["test"].open() as lines:
        rows = list(csv.DictReader(lines))
    table = files["test"].with_name("with_reference.csv")
    with table.open("w", newline="") as lines:
        writer = csv.DictWriter(lines, [*rows[0], "truth_path"])
        writer.writeheader()
        writer.writerows(row | {"truth_path": str(folder / "truth.tif")} for row in rows)

    def change(config):
        config["test_dataset"]["input_csv_path"] = str(table)

    run = altered(runs[1], tmp_path / "one", change)
    pages = []
    for name, *reference in (
        ("a", "--reference-key", "truth_path"),
        ("b", "--reference", folder / "truth.tif"),
    ):
        assert coteach("report", run, *reference, "--output", tmp_path / name) == 0
        pages.append(Page((tmp_path / name).read_text(encoding="utf-8")))
    assert pages[0].inside("td") == pages[1].inside("td")
    assert pages[0].all("img") == pages[1].all("img")


def test_runs_measured_on_different_pixels_are_warned_of(page, runs, scene, tmp_path):
    def change(config):
        config["test_dataset"]["input_csv_path"] = str(scene[3]["val"])

    other = altered(runs[1], tmp_path / "elsewhere", change)
    assert coteach("report", runs[0], other, "--output", tmp_path / "r.html", "--max-tiles", 0) == 0
    text = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert "elsewhere is not measured on the pixels and reference classes of two" in text
    assert not any("not measured" in text for text in page.inside("p"))


def test_a_source_that_is_gone_is_left_out_and_warned_of(runs, scene, tmp_path, capsys):
    shifted = scene[0] / "shifted.tif"
    shifted.rename(shifted.with_suffix(".away"))
    try:
        assert coteach("report", runs[1], "--output", tmp_path / "r.html") == 0
    finally:
        shifted.with_suffix(".away").rename(shifted)
    assert str(shifted) in capsys.readouterr().err
    page = Page((tmp_path / "r.html").read_text(encoding="utf-8"))
    assert [image["alt"] for image in page.all("img") if "Sources" in image["alt"]] == ["Sources: mask"]


def broken(runs, scene, folder, case):
    """Arguments of a report that cannot be made."""
    if case == "no run":
        return [runs[0], folder]
    if case == "checkpoint":
        return [*runs, "--checkpoint", "first"]
    if case == "references":
        return [*runs, "--reference", scene[0] / "truth.tif", "--reference-key", "mask_path"]
    if case == "reference":
        return [*runs, "--reference", folder / "none.tif"]
    if case == "bands":
        return [*runs, "--bands", "3,x,1"]
    if case == "band":
        return [*runs, "--bands", "3,2,9"]
    if case == "dataset":
        return [*runs, "--dataset", "tst_dataset"]
    if case == "folder":
        return [*runs, "--output", folder]

    def change(config):
        if case == "classes":
            config.update(num_classes=3, class_names=None)
        if case == "data":
            config["test_dataset"]["input_csv_path"] = str(folder / "gone.csv")

    other = altered(runs[1], folder / "other", change)
    if case == "state":
        (other / "run.json").write_text("{")
    return [runs[0], other]


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        ("no run", "config.yaml"),
        ("checkpoint", "first"),
        ("references", "--reference-key"),
        ("reference", "none.tif"),
        ("bands", "3,x,1"),
        ("band", "no band 9"),
        ("dataset", "tst_dataset"),
        ("folder", "is a folder"),
        ("classes", "3 classes"),
        ("data", "gone.csv"),
        ("state", "run.json"),
    ],
)
def test_what_cannot_be_shown_is_named_and_nothing_is_written(runs, scene, tmp_path, capsys, case, expected):
    folder = tmp_path / "in"
    folder.mkdir()
    target = tmp_path / "report.html"
    assert coteach("report", "--output", target, *broken(runs, scene, folder, case)) == 1
    message = capsys.readouterr().err
    assert expected in message
    assert "Traceback" not in message
    assert len(message.splitlines()) <= 2
    assert list(tmp_path.iterdir()) == [folder]


def test_soft_labels_are_called_after_their_folder(tmp_path, unchecked):
    """Also where the table lies beside it and names it as ../p_soft."""

    class Table:
        rows = ({"w_conf_path": ""},)

        def path_of(self, index, key):
            return tmp_path / "labels" / "e2" / "splits" / ".." / "p_soft" / "t0.tif"

    found = report_runs._label_files(Table(), 0, {})
    assert (found.name, found.w_conf) == ("e2", None)
