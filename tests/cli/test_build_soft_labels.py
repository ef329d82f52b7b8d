from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import rasterio
from click.testing import CliRunner
from label_rasters import NORTH_UP, read_band, rows_of, write_image, write_map, write_sources

from coteach import build_soft_labels
from coteach.cli import build_page
from coteach.cli.main import cli, main
from coteach.errors import CoteachError, IncompleteError, OptionError, TableError

# three maps of 2 x 6 pixels; a 7 is no class, 255 is NoData
MASK = [[0, 0, 0, 1, 1, 1], [0, 0, 0, 1, 1, 255]]
ESA = [[0, 0, 1, 1, 1, 1], [0, 0, 0, 1, 1, 255]]
ESRI = [[0, 0, 1, 1, 2, 7], [0, 0, 0, 1, 0, 255]]


@pytest.fixture
def sources(tmp_path):
    def place(name, codes):
        return write_map(tmp_path / name, np.array(codes, np.uint8), nodata=255).name

    maps = {
        "mask_path": place("m.tif", MASK),
        "esa_path": place("e.tif", ESA),
        "esri_path": place("s.tif", ESRI),
    }
    rows = [
        {"tile_id": name, "image_path": write_image(tmp_path / f"{name}_image.tif", 2, 6).name, **maps}
        for name in ("a", "b")
    ]
    return write_sources(tmp_path / "sources.csv", rows)


def command(sources, *more):
    keys = ["--lulc-key", "esa_path", "--lulc-key", "esri_path"]
    out = str(sources.parent / "out")
    return ["build-soft-labels", str(sources), "--output-dir", out, "--num-classes", "3", *keys, *more]


def run(sources, *more):
    """The command on tables whose 7 is known to mean no vote."""
    return run_strictly(sources, "--ignore-code", "7", *more)


def run_strictly(sources, *more):
    return CliRunner().invoke(cli, command(sources, "--max-workers", "1", *more))


def edit(sources, line, old, new):
    lines = sources.read_text().splitlines()
    assert old in lines[line]
    lines[line] = lines[line].replace(old, new)
    sources.write_text("\n".join(lines) + "\n")


def test_summary_and_files(sources, tmp_path):
    result = run(sources, "--border-radius", "2")
    assert result.exit_code == 0, result.output
    assert result.stdout == (
        f"tiles: 2 built, 0 up to date, 0 failed: {tmp_path / 'out' / 'soft_label_manifest.csv'}\n"
        "pixels without a vote: 8.33%\n"  # 1 of 12
        "ties, given to the lowest code: 0.00% of pixels with a vote\n"
        f"summary: {tmp_path / 'out' / 'summary.html'}\n"
    )
    assert result.stderr == ""
    # distances to the mask's border are 2 1 0 0 1 2 by column; two against one have 1 - H(2/3, 1/3) / log 3
    split = 0.420620
    expected = [
        [1, 0.8, 0.6 * split, 0.6, 0.6 * split + 0.2, 1],
        [1, 0.8, 0.6, 0.6, 0.6 * split + 0.2, 0],
    ]
    np.testing.assert_allclose(read_band(tmp_path / "out/w_conf/a.tif"), expected, atol=1e-5)
    assert [row["tile_id"] for row in rows_of(tmp_path / "out/soft_label_manifest.csv")] == ["a", "b"]


def test_no_other_build_comes_between_the_tiles_and_their_page(sources, tmp_path, monkeypatch):
    """What it draws is what it built: until the page is there, one with other options is refused, an equal one not."""
    options = {"mask_key": "mask_path", "lulc_keys": ["esa_path", "esri_path"], "ignore_codes": [7]}

    def another_comes(*_):
        with pytest.raises(OptionError, match="is at work there with other alpha"):
            build_soft_labels(sources, tmp_path / "out", 3, alpha=0.2, max_workers=1, **options)
        build_soft_labels(sources, tmp_path / "out", 3, max_workers=1, **options)
        return tmp_path / "page"

    monkeypatch.setattr(build_page, "write_page", another_comes)
    result = run(sources)
    assert (result.exit_code, result.exception) == (0, None)
    assert f"summary: {tmp_path / 'page'}" in result.output
    build_soft_labels(sources, tmp_path / "out", 3, alpha=0.2, max_workers=1, **options)  # and now it may


def test_unknown_codes_end_the_command_when_all_is_built(sources, tmp_path):
    edit(sources, 2, "m.tif", "")
    result = run_strictly(sources)
    assert "tiles: 2 built, 0 up to date, 0 failed" in result.stdout
    assert isinstance(result.exception, IncompleteError)
    assert str(result.exception) == (
        f"{sources}: esri_path holds codes other than 0 to 2, which did not vote: 7 (2 pixels); recode them, or name "
        "those that mean no vote with --ignore-code; all tiles are built"
    )
    # it decides nothing about the rasters: they stay, and now all is well
    result = run(sources, "--ignore-code", "-1")
    assert result.exit_code == 0, result.output
    assert "tiles: 0 built, 2 up to date, 0 failed" in result.stdout


def test_most_frequent_unknown_codes_come_first(sources, tmp_path):
    write_map(tmp_path / "s.tif", np.array([[9, 9, 9, 5, 8, 8], range(10, 16)], np.uint8))
    result = run_strictly(sources, "--ignore-code", "5")
    assert (
        "did not vote: 9 (6 pixels), 8 (4 pixels), 10 (2 pixels), 11 (2 pixels), 12 (2 pixels), 13 (2 pixels), "
        "14 (2 pixels), 15 (2 pixels); recode" in str(result.exception)
    )


def test_verbose_tells_of_each_tile(sources):
    edit(sources, 2, ",e.tif", ",none.tif")
    result = run(sources, "--verbose")
    assert result.stderr.endswith("\na: built\nb: failed\n")
    edit(sources, 2, ",none.tif", ",e.tif")
    assert "a: up to date\n" in run(sources, "--verbose").stderr
    assert run(sources, "--quiet").output == ""


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([], [0.6 + 0.4 * 0.2, 0.6 + 0.4 * 0.1, 0.6]),  # R is 10
        (["--alpha", "0.25", "--border-radius", "4"], [0.25 + 0.75 * 0.5, 0.25 + 0.75 * 0.25, 0.25]),
        (["--no-border"], [1, 1, 1]),
        (["--no-border", "--alpha", "3"], [1, 1, 1]),
        (
            ["--border-source", "argmax"],
            [1, 0.8, 0.6],
        ),  # the border of the argmax is that of row 1; max d is 2
        (["--no-mask", "--border-source", "auto"], [1, 0.8, 0.6]),
        (["--entropy-norm", "minmax", "--alpha", "1"], [1, 1, 1]),
    ],
)
def test_options(sources, tmp_path, options, expected):
    # all maps agree; their border lies between columns 2 and 3
    for name in ("e.tif", "s.tif"):
        write_map(tmp_path / name, np.array(MASK, np.uint8), nodata=255)
    result = run(sources, *options)
    assert result.exit_code == 0, result.output
    np.testing.assert_allclose(read_band(tmp_path / "out/w_conf/a.tif")[1, :3], expected, atol=1e-6)


def test_patches_and_stride(sources, tmp_path):
    assert run(sources, "--patch-size", "2").exit_code == 0
    table = tmp_path / "out" / "soft_label_patches.csv"
    assert [row["col_off"] for row in rows_of(table)] == ["0", "2", "4"] * 2
    result = run(sources, "--patch-size", "2", "--stride", "3")
    assert [row["col_off"] for row in rows_of(table)] == ["0", "3", "4"] * 2
    assert "tiles: 0 built, 2 up to date, 0 failed" in result.stdout


def test_other_column_names(sources, tmp_path):
    text = sources.read_text().replace("image_path", "photo").replace("mask_path", "chart")
    sources.write_text(text)
    result = run(sources, "--image-key", "photo", "--mask-key", "chart")
    assert result.exit_code == 0, result.output
    assert "image_path" in rows_of(tmp_path / "out" / "soft_label_manifest.csv")[0]


def test_a_column_that_does_not_vote_is_pointed_out(sources):
    result = CliRunner().invoke(cli, [*command(sources)[:6], "--lulc-key", "esa_path", "--max-workers", "1"])
    assert result.exit_code == 0, result.output
    assert result.stderr == (
        "Warning: not used: esri_path; a label map votes if its column is a --lulc-key\n"
    )


def test_a_bad_tile_does_not_stop_the_others(sources, tmp_path):
    edit(sources, 1, ",e.tif", ",none.tif")
    result = run(sources)
    assert isinstance(result.exception, IncompleteError)
    assert "tiles: 1 built, 0 up to date, 1 failed" in result.stdout
    error = f"a: source 'esa_path' ({tmp_path / 'none.tif'}) does not exist; correct the path"
    assert result.stderr.splitlines()[1:] == [  # the check's, and not again
        f"error   1 a    esa_path {tmp_path / 'none.tif'}: does not exist; correct the path"
    ]
    assert rows_of(tmp_path / "out" / "failures.csv") == [{"tile_id": "a", "error": error}]
    assert [row["tile_id"] for row in rows_of(tmp_path / "out" / "soft_label_manifest.csv")] == ["b"]
    edit(sources, 1, ",none.tif", ",e.tif")
    result = run(sources)
    assert result.exit_code == 0
    assert "tiles: 1 built, 1 up to date, 0 failed" in result.stdout
    assert not (tmp_path / "out" / "failures.csv").exists()


def test_many_findings_are_not_all_printed(sources):
    header, row, _ = sources.read_text().splitlines()
    sources.write_text("\n".join([header, row, *(row for _ in range(60))]) + "\n")
    result = run(sources)
    assert result.stderr.count("\nerror ") == 50
    assert result.stderr.endswith("\nand 10 more; --verbose shows all\n")
    assert len(rows_of(sources.parent / "out" / "failures.csv")) == 60
    assert run(sources, "--verbose").stderr.count("\nerror ") == 60


def test_what_only_the_build_finds_is_printed(sources, tmp_path):
    """The check before a build looks at no code."""
    half = write_map(tmp_path / "half.tif", np.full((2, 6), 0.5, np.float32), nodata=255)
    header, row, _ = sources.read_text().splitlines()
    rows = [row.replace("a,", f"t{n},", 1).replace(",e.tif", ",half.tif") for n in range(30)]
    sources.write_text("\n".join([header, *rows]) + "\n")
    lines = run(sources).stderr.splitlines()
    assert lines[-21] == (
        f"Failed: t0: source 'esa_path' ({half}) holds 0.5, which is no class code; give a raster of whole numbers, "
        "0 to 2"
    )
    assert lines[-1] == "and 10 more"


def test_a_tile_id_that_leads_elsewhere(sources, tmp_path):
    edit(sources, 1, "a,", "../x,")
    result = run(sources)
    assert isinstance(result.exception, IncompleteError)
    assert "error   1 ../x tile_id tile_id '../x' cannot be the name of a file; give" in result.stderr
    assert not (tmp_path / "x.tif").exists()
    assert not (tmp_path / "out" / "x.tif").exists()
    assert sorted(path.name for path in (tmp_path / "out" / "p_soft").iterdir()) == ["b.tif"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--alpha", "0.8", "--beta", "0.3"], r"alpha \+ beta: 0.8 \+ 0.3 is more than 1"),
        (["--alpha", "0", "--no-border"], r"alpha \+ beta: both are 0"),
        (["--beta", "0.1"], r"beta: 0.1 gives weight to embeddings"),
        (["--no-mask", "--border-source", "mask"], r"border_source: 'mask' needs"),
        (["--border-radius", "0"], r"border_radius: 0.0 is no radius"),
        (["--lulc-key", "esa_path"], r"lulc_keys: the column 'esa_path' has two uses"),
        (["--stride", "2"], r"stride: has no meaning"),
    ],
)
def test_options_are_checked_first(sources, tmp_path, options, message):
    result = run(sources, *options)
    assert isinstance(result.exception, OptionError)
    with pytest.raises(OptionError, match=message):
        raise result.exception
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "option", [["--border-source", "both"], ["--entropy-norm", "max"], ["--num-classes", "x"]]
)
def test_choices_are_those_of_the_help(sources, option):
    assert run(sources, *option).exit_code == 2


def test_help_has_an_example():
    result = CliRunner().invoke(cli, ["build-soft-labels", "--help"])
    assert "coteach build-soft-labels sources.csv --output-dir soft --num-classes 4" in result.output


def test_help_needs_no_rasterio():
    code = (
        "import sys; from coteach.cli.main import main\n"
        "try: main(['build-soft-labels', '--help'])\n"
        "except SystemExit: pass\n"
        "print([name for name in ('rasterio', 'scipy', 'numpy', 'torch') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_without_rasterio_the_extra_is_named(sources):
    code = "import sys; sys.modules['rasterio'] = None; from coteach.cli.main import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, *command(sources)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr == "Error: rasterio: is not installed; pip install 'coteach[rasters]'\n"


def test_a_missing_column_ends_the_command(sources, capsys, tmp_path):
    with pytest.raises(SystemExit) as ended:
        main([*command(sources), "--mask-key", "mask"])
    assert ended.value.code == 1
    error = capsys.readouterr().err
    assert error.startswith(f"Error: {sources}: no column 'mask' (is it 'mask_path'?); its columns are ")
    assert not (tmp_path / "out").exists()


def test_the_command_itself_with_bad_files(sources, tmp_path):
    """What a user sees: our lines and nothing of GDAL, Python or the worker processes; no half-written file."""
    whole = write_map(
        tmp_path / "cut.tif", np.random.default_rng(0).integers(0, 3, (300, 300)).astype(np.uint8)
    )
    whole.write_bytes(whole.read_bytes()[:-500])
    lost = write_map(tmp_path / "lost.tif", np.array(ESA, np.uint8), crs=None, transform=None)
    away = write_map(tmp_path / "away.tif", np.array(ESA, np.uint8), transform=NORTH_UP @ NORTH_UP)
    image = "b_image.tif"
    with sources.open("a") as stream:
        for tile, file in (("c", whole), ("d", lost), ("e", away)):
            stream.write(f"{tile},{image},m.tif,{file.name},s.tif\n")
    start = [sys.executable, "-c", "from coteach.cli.main import main; main()"]
    done = subprocess.run([*start, *command(sources)], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stdout.startswith("tiles: 2 built, 0 up to date, 3 failed: ")
    lines = [" ".join(line.split()) for line in done.stderr.splitlines()]
    assert lines[1].startswith(f"error 3 c esa_path {whole}: cannot be read (")
    assert lines[2].startswith(f"error 4 d esa_path {lost}: has no coordinate reference system")
    assert lines[3].startswith(f"error 5 e esa_path {away}: does not overlap the image; give")
    # the three new rows have the image of b
    assert lines[4].startswith(f"warning 3 +2 c image_path {tmp_path / image}: is the image of row 2 (b)")
    assert lines[5].startswith("Warning: esri_path holds codes other than 0 to 2, which did not vote: 7 (2 ")
    assert lines[6] == (
        f"Error: {sources}: 3 of 5 tiles failed; correct what {tmp_path / 'out' / 'failures.csv'} lists and run it "
        "again; the rest is kept"
    )
    assert len(lines) == 7
    assert {path.name for path in (tmp_path / "out").rglob("*") if path.is_file()} == {
        "a.tif", "b.tif", "a.json", "b.json", "soft_label_manifest.csv", "failures.csv",
        "summary.html", "summary_tiles.csv", "a.png", "b.png",
    }  # fmt: skip


def test_weights_and_legends_on_the_command_line(sources, tmp_path):
    (tmp_path / "esri.csv").write_text("code,class\n0,0\n1,1\n2,2\n7,ignore\n")
    options = [
        "--legend",
        f"esri_path={tmp_path / 'esri.csv'}",
        "--source-weight",
        "mask_path=2",
        "--no-summary",
    ]
    result = run_strictly(sources, *options, "--votes-band")
    assert result.exit_code == 0, result.output
    # third column of the first row: the mask of weight 2 says 0, the others 1; last column: the 7 does not vote
    p_soft = [read_band(tmp_path / "out" / "p_soft" / "a.tif")]
    assert p_soft[0][0].tolist() == pytest.approx([1, 1, 0.5, 0, 0, 0])
    with rasterio.open(tmp_path / "out" / "w_conf" / "a.tif") as file:
        assert file.read(2)[0].tolist() == [3, 3, 3, 3, 3, 2]
    assert not (tmp_path / "out" / "summary.html").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ["--source-weight", "mask_path"],
            "--source-weight: 'mask_path' is not COLUMN=VALUE; write --source-weight",
        ),
        (["--source-weight", "mask_path=x"], "--source-weight: 'x', the value of mask_path, is no number"),
        (["--source-weight", "a=1", "--source-weight", "a=2"], "--source-weight: a is named twice"),
        (["--legend", "esri_path=none.csv"], "none.csv: does not exist"),
        (["--aef-resampling", "cubic"], "'cubic' mixes the components"),
        (["--scheduler", "dask"], "--scheduler: 'dask' is none; give processes"),
    ],
)
def test_options_that_are_none(sources, tmp_path, options, message):
    error = run(sources, *options).exception
    assert isinstance(error, CoteachError)
    assert message in str(error)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("code,class\n", "has no rows"),
        ("code,klass\n1,2\n", "no column 'class' (is it 'klass'?)"),
        ("code,class\n1,3\n", "row 1: class 3 is none of the 3 classes, 0 to 2"),
        ("code,class\n1,2\n1,0\n", "row 2: code 1 is there already"),
        ("code,class\nx,2\n", "row 1: code is 'x'"),
    ],
)
def test_a_legend_that_is_none(sources, tmp_path, text, message):
    (tmp_path / "esri.csv").write_text(text)
    error = run(sources, "--legend", f"esri_path={tmp_path / 'esri.csv'}").exception
    assert isinstance(error, TableError)
    assert message in str(error)
