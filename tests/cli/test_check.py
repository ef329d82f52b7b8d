"""What `coteach check` finds that is no error, how it prints it, and what it returns."""

from __future__ import annotations

import re
import subprocess
import sys

import numpy as np
import pytest
from label_rasters import NORTH_UP, rows_of, write_image, write_map, write_sources
from rasterio import Affine

from coteach.cli.main import main

CODES = np.random.default_rng(0).integers(0, 4, (90, 120)).astype(np.uint8)


@pytest.fixture
def rows(tmp_path):
    """Two tiles of 90 x 120 pixels of 10 m with maps of their own."""
    return [
        {
            "tile_id": name,
            "image_path": write_image(tmp_path / f"{name}.tif", 90, 120).name,
            "mask_path": write_map(tmp_path / f"{name}_mask.tif", CODES, nodata=255).name,
            "esa_path": write_map(tmp_path / f"{name}_esa.tif", CODES, nodata=255).name,
        }
        for name in ("a", "b")
    ]


@pytest.fixture
def check(tmp_path, rows, capsys):
    """Call it with what the rows are then: exit code, table lines without padding, summary."""

    def call(*options):
        table = write_sources(tmp_path / "sources.csv", rows)
        with pytest.raises(SystemExit) as ended:
            main(["check", str(table), *map(str, options)])
        said = capsys.readouterr()
        assert said.err == ""
        *lines, summary = said.out.splitlines() or [""]
        found = [" ".join(line.split()).replace(f"{tmp_path}/", "") for line in lines]
        return ended.value.code, found[1:], summary.removeprefix(f"{table}: ")

    return call


def test_nothing_found(check):
    assert check("--num-classes", 4, "--patch-size", 90) == (
        0,
        [],
        "2 rows, 2 label maps each: nothing found",
    )


def test_the_sample_data(nc_landcover, tmp_path, capsys):
    """Real maps: rasterio calls the two CRSs equal, which have different definitions."""
    row = {"image_path": nc_landcover.image, "landcover_path": nc_landcover.landcover}
    table = write_sources(tmp_path / "sources.csv", [row])
    with pytest.raises(SystemExit) as ended:
        main(["check", str(table), "--num-classes", "4"])
    assert ended.value.code == 0
    _, found, summary = capsys.readouterr().out.splitlines()
    assert found.startswith("note   1 image landcover_path ")
    assert (
        "landcover.tif: has another CRS (NAD83(HARN) / North Carolina, EPSG:3358) than the image (unnamed"
        in found
    )
    assert summary == f"{table}: 1 row, 1 label map each: 1 note"


@pytest.mark.parametrize(
    ("shift", "percent"),
    [
        (Affine.translation(60, 0), "50 %"),
        (Affine.translation(0, -45), "50 %"),
        (Affine.translation(90, 0), "25 %"),
        (Affine.translation(60, 45), "25 %"),
        (Affine.translation(1, 0), "more than 99 %"),
        (Affine.translation(119, 89), "less than 1 %"),
    ],
)
def test_partial_overlap(check, rows, tmp_path, shift, percent):
    rows[1]["esa_path"] = write_map(tmp_path / "e.tif", CODES, transform=NORTH_UP @ shift, nodata=255).name
    code, (line,), _ = check()
    assert code == 3
    assert line == (
        f"warning 2 b esa_path e.tif: covers {percent} of the image; elsewhere it does not vote; give a raster that "
        "covers the image, if there is one"
    )


@pytest.mark.parametrize(
    ("scale", "says"),
    [
        (3, "has pixels of 30 m, those of the image have 10 m"),
        (0.5, "has pixels of 5 m, those of the image have 10 m"),
        (1.4, None),
        (0.7, None),
    ],
)
def test_resolution(check, rows, tmp_path, scale, says):
    codes = np.zeros((200, 300), np.uint8)
    placed = {"transform": NORTH_UP @ Affine.scale(scale), "nodata": 255}
    rows[0]["esa_path"] = write_map(tmp_path / "e.tif", codes, **placed).name
    code, lines, _ = check()
    assert code == 0
    assert [line.partition(";")[0] for line in lines] == (
        [f"note 1 a esa_path e.tif: {says}"] if says else []
    )


def test_resolution_in_another_crs_is_told_in_the_image_s_unit(check, rows, tmp_path):
    # 4.5e-4 degrees at 36.14 degrees north: 40.5 m by 49.9 m
    degrees = Affine(4.5e-4, 0, -81.005, 0, -4.5e-4, 36.15)
    codes = np.zeros((100, 100), np.uint8)
    rows[0]["esa_path"] = write_map(
        tmp_path / "e.tif", codes, transform=degrees, crs="EPSG:4326", nodata=255
    ).name
    code, (crs, resolution), _ = check()
    assert code == 0
    assert crs.startswith(
        "note 1 a esa_path e.tif: has another CRS (WGS 84, EPSG:4326) than the image (WGS 84 / UTM zone 17N, EPSG:32617)"
    )
    side = float(resolution.partition("pixels of ")[2].partition(" m")[0])
    assert side == pytest.approx((40.5 * 49.9) ** 0.5, rel=2e-3)


def test_no_nodata_is_a_note_unless_there_is_a_mask(check, rows, tmp_path):
    rows[0]["esa_path"] = write_map(tmp_path / "e.tif", CODES).name
    rows[1]["esa_path"] = write_map(tmp_path / "f.tif", CODES, valid=CODES > 0).name
    code, (line,), _ = check()
    assert code == 0
    assert line.startswith("note 1 a esa_path e.tif: declares no NoData: every one of its pixels votes")


def test_a_file_that_votes_twice(check, rows):
    rows[0]["esa_path"] = rows[0]["mask_path"]
    code, (line,), summary = check()
    assert code == 3
    assert line.startswith(
        "warning 1 a esa_path a_mask.tif: is the file of 'mask_path' already, so that it votes"
    )
    assert summary == "2 rows, 2 label maps each: 1 warning"


def test_an_image_of_two_names(check, rows, tmp_path):
    (tmp_path / "link.tif").symlink_to(tmp_path / "a.tif")
    rows[1]["image_path"] = "link.tif"
    code, (line,), _ = check()
    assert code == 3
    assert line.startswith("warning 2 b image_path link.tif: is the image of row 1 (a) already")


def test_other_bands_than_most(check, rows, tmp_path):
    rows.append(
        rows[0] | {"tile_id": "c", "image_path": write_map(tmp_path / "c.tif", np.stack([CODES] * 5)).name}
    )
    code, (line,), _ = check()
    assert code == 3
    assert line.startswith(
        "warning 3 c image_path c.tif: has another number of bands (5) than most of the images (1)"
    )


def test_images_smaller_than_a_patch(check):
    code, lines, _ = check("--patch-size", 91)
    assert code == 1
    assert [line.partition(",")[0] for line in lines] == [
        "error 1 a image_path a.tif: has 90 x 120 pixels", "error 2 b image_path b.tif: has 90 x 120 pixels",
    ]  # fmt: skip


def test_everything_that_is_wrong_with_a_row_at_once(check, rows, tmp_path):
    rows[0] |= {
        "tile_id": "../x",
        "image_path": write_image(tmp_path / "i.tif", 20, 20, crs=None).name,
        "mask_path": "none.tif",
        "esa_path": write_map(tmp_path / "e.tif", np.stack([CODES] * 2).astype(np.complex64), crs=None).name,
    }
    code, lines, summary = check("--patch-size", 32)
    assert code == 1
    errors = [line.removeprefix("error 1 ../x ") for line in lines if line.startswith("error")]
    expected = [
        "tile_id tile_id '../x' cannot be the name of a file",
        "image_path i.tif: has no coordinate reference system",
        "image_path i.tif: has 20 x 20 pixels, less than a patch",
        "mask_path none.tif: does not exist",
        "esa_path e.tif: has no coordinate reference system",
        "esa_path e.tif: has 2 bands",
        "esa_path e.tif: holds complex64 values",
    ]
    assert len(errors) == len(expected)
    assert all(error.startswith(start) for error, start in zip(errors, expected, strict=True)), errors
    assert summary == "2 rows, 2 label maps each: 7 errors, 1 note"


def test_a_finding_about_a_shared_file_is_printed_once(check, rows, tmp_path):
    write_map(tmp_path / "shared.tif", CODES + np.uint8(1), nodata=255)
    for row in rows:
        row["esa_path"] = "shared.tif"
    code, (line,), summary = check("--num-classes", 4, "--output", tmp_path / "new" / "findings.csv")
    assert code == 3
    assert line.startswith("warning 1 +1 a esa_path shared.tif: holds codes other than 0 to 3")
    assert summary == "2 rows, 2 label maps each: 2 warnings"
    listed = rows_of(tmp_path / "new" / "findings.csv")
    assert list(listed[0]) == ["severity", "row", "tile_id", "column", "file", "cause", "remedy"]
    assert [(row["severity"], row["row"], row["tile_id"]) for row in listed] == [
        ("warning", "1", "a"), ("warning", "2", "b"),
    ]  # fmt: skip


def test_which_columns_count(check, rows, tmp_path):
    for row in rows:
        row["glc_path"] = "none.tif"
        row["note"] = "no path"
    assert check()[2].startswith("2 rows, 3 label maps each: 2 errors")  # all …_path
    code, (line,), summary = check("--lulc-key", "esa_path")
    assert (code, summary) == (0, "2 rows, 2 label maps each: 1 note")
    assert line == (
        "note glc_path sources.csv: the column 'glc_path' is not used; name it (--lulc-key) if it is a label map"
    )
    assert check("--no-mask", "--lulc-key", "esa_path")[2].startswith("2 rows, 1 label map each: 2 notes")
    assert check("--mask-key", "esa_path", "--no-mask", "--lulc-key", "mask_path")[0] == 0
    for row in rows:
        del row["mask_path"], row["glc_path"]
    assert check()[2] == "2 rows, 1 label map each: nothing found"  # a table without a mask
    code, (line,), _ = check("--mask-key", "mask_path")  # which must be there if it is named
    assert code == 1
    assert "no column 'mask_path'" in line


def test_codes_are_looked_for_in_corners_and_middle(check, rows, tmp_path):
    codes = np.zeros((400, 400), np.uint8)
    codes[390:, 390:] = 9
    image = write_image(tmp_path / "i.tif", 400, 400)
    rows[0] |= {
        "image_path": image.name,
        "mask_path": write_map(tmp_path / "m.tif", codes, nodata=255).name,
        "esa_path": "",
    }
    code, (line,), _ = check("--num-classes", 4)
    assert code == 3
    # 100 pixels of five windows of 16 x 16
    assert f"in a sample: 9 ({100 / (5 * 256):.0%}".replace("%", " %)") in line


def test_quiet_and_verbose(check, rows, tmp_path):
    rows[0]["mask_path"] = write_map(tmp_path / "e.tif", CODES).name
    assert check("--quiet") == (0, [], "")
    rows += [rows[1] | {"tile_id": f"t{n}", "esa_path": f"none_{n}.tif"} for n in range(60)]
    code, lines, _ = check()
    assert (code, len(lines), lines[-1]) == (
        1,
        51,
        "and 12 more; --verbose shows all",
    )  # errors, warning, note
    assert len(check("--verbose")[1]) == 62
    code, lines, last = check("--quiet")  # 60 errors and a warning
    assert (code, len(lines), last) == (1, 50, "and 11 more; --verbose shows all")


def test_many_rows_in_processes(check, rows):
    rows[1]["esa_path"] = "none.tif"
    rows += [rows[0] | {"tile_id": f"t{n}", "image_path": f"{'ab'[n % 2]}.tif"} for n in range(70)]
    assert check("--max-workers", 3) == check("--max-workers", 1)


@pytest.mark.parametrize(
    "option", [["--num-classes", "1"], ["--max-workers", "0"], ["--lulc-key", "image_path"]]
)
def test_options_out_of_range(tmp_path, rows, capsys, option):
    table = write_sources(tmp_path / "sources.csv", rows)
    with pytest.raises(SystemExit) as ended:
        main(["check", str(table), *option])
    assert ended.value.code == 1
    assert capsys.readouterr().err.startswith("Error: ")


def test_nothing_is_written(check, rows, tmp_path):
    write_sources(tmp_path / "sources.csv", rows)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.suffix != ".csv"}
    check("--num-classes", 4)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.suffix != ".csv"} == before


def test_a_table_on_a_narrow_terminal_loses_nothing(rows, tmp_path, capsys, monkeypatch):
    rows[0]["tile_id"] = "[red]x"
    rows[0]["esa_path"] = "a_rather_long_name_of_a_file_that_is_not_there.tif"
    table = write_sources(tmp_path / "sources.csv", rows)
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    with pytest.raises(SystemExit):
        main(["check", str(table)])
    colored = capsys.readouterr().out
    shown = re.sub("\x1b\\[[0-9;]*m", "", colored)
    assert shown != colored
    lines = shown.splitlines()[:-1]
    assert max(map(len, lines)) == 80
    assert "[red]x" in lines[1]
    told = "".join(line[lines[0].index("what is wrong") :] for line in lines).replace(" ", "")
    assert "a_rather_long_name_of_a_file_that_is_not_there.tif:doesnotexist;correctthepath" in told


def test_help_says_what_the_exit_codes_mean_and_needs_no_rasterio():
    code = (
        "import sys; from coteach.cli.main import main\n"
        "try: main(['check', '--help'])\n"
        "except SystemExit: pass\n"
        "print([name for name in ('rasterio', 'scipy', 'numpy', 'torch', 'rich') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    said = " ".join(done.stdout.split())
    assert (
        "Exit code: 0 if nothing is wrong (there may be notes), 3 if there are warnings, 1 if there are"
        in said
    )
    assert "coteach check sources.csv --num-classes 4" in done.stdout


def test_a_legend_tells_what_codes_mean(tmp_path, capsys):
    image = write_image(tmp_path / "image.tif", 4, 4)
    esa = write_map(
        tmp_path / "esa.tif", np.array([[10, 20], [20, 95]], np.uint8).repeat(2, 0).repeat(2, 1), nodata=0
    )
    table = write_sources(tmp_path / "s.csv", [{"tile_id": "a", "image_path": image, "esa_path": esa}])
    (tmp_path / "esa.csv").write_text("code,class\n10,0\n20,1\n95,ignore\n")
    words = ["check", str(table), "--num-classes", "2", "--lulc-key", "esa_path"]
    for text, code in (("code,class\n10,0\n20,1\n95,ignore\n", 0), ("code,class\n10,0\n20,1\n", 1)):
        (tmp_path / "esa.csv").write_text(text)
        with pytest.raises(SystemExit) as end:
            main([*words, "--legend", f"esa_path={tmp_path / 'esa.csv'}"])
        assert end.value.code == code
    assert "holds codes that its legend lacks; in a sample: 95 (25 %)" in " ".join(
        capsys.readouterr().out.split()
    )
    with pytest.raises(SystemExit) as end:
        main(["check", str(table), "--legend", f"esa_path={tmp_path / 'esa.csv'}"])
    assert (end.value.code, "--legend: has no meaning" in capsys.readouterr().err) == (1, True)
