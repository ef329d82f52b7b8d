"""Bad tables and rasters, as users meet them: through the command line, one case a fault."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from label_rasters import NORTH_UP, rows_of, write_image, write_map, write_sources
from rasterio import Affine

from coteach.cli.main import main
from coteach.errors import OptionError, TableError

CODES = np.random.default_rng(0).integers(0, 3, (40, 40)).astype(np.uint8)
PLACED = {"nodata": 255}


def good_rows(folder):
    """Two tiles, ``good`` and ``bad``, with nothing wrong yet."""
    return [
        {
            "tile_id": name,
            "image_path": write_image(folder / f"{name}_image.tif", 40, 40).name,
            "mask_path": write_map(folder / f"{name}_mask.tif", CODES, **PLACED).name,
            "esa_path": write_map(folder / f"{name}_esa.tif", CODES, **PLACED).name,
        }
        for name in ("good", "bad")
    ]


def cut(file, keep):
    file.write_bytes(file.read_bytes()[:keep])
    return file


class Case(NamedTuple):
    """What is done to the files and to the row ``bad``, and what is then said."""

    change: object  # folder -> cells of the row to change
    says: str  # thing, cause
    remedy: str
    build_says: str = ""  # where it differs


# what is wrong with one row: the other one is still built
ROWS = {
    # the second row has the id of the first
    "duplicate tile_id": Case(
        lambda folder: {"tile_id": "good"},
        "2 good tile_id tile_id 'good' is that of row 1 already",
        "give every tile an id of its own",
    ),
    # one file system takes them for the same
    "duplicate tile_id but for case": Case(
        lambda folder: {"tile_id": "GOOD"},
        "2 GOOD tile_id tile_id 'GOOD' is that of row 1 already",
        "give every tile an id of its own",
    ),
    # would be written elsewhere
    "absolute tile_id": Case(
        lambda folder: {"tile_id": f"{folder}/elsewhere"},
        "tile_id tile_id '{folder}/elsewhere' cannot be the name of a file",
        "give letters, digits",
    ),
    # would be written beside the output folder
    "climbing tile_id": Case(
        lambda folder: {"tile_id": "../up"},
        "2 ../up tile_id tile_id '../up' cannot be the name of a file",
        "give letters, digits",
    ),
    "empty tile_id": Case(lambda folder: {"tile_id": " "}, "2 tile_id tile_id is empty", "fill the cell or drop"),
    "no image": Case(
        lambda folder: {"image_path": ""}, "2 bad image_path image_path is empty", "fill the cell or drop"
    ),
    "no source": Case(
        lambda folder: {"mask_path": "", "esa_path": ""},
        "2 bad all of its sources (mask_path, esa_path) are empty",
        "fill one of them",
    ),
    "missing image": Case(
        lambda folder: {"image_path": "none.tif"},
        "2 bad image_path {folder}/none.tif: does not exist",
        "correct the path",
    ),
    "missing source": Case(
        lambda folder: {"esa_path": "none.tif"},
        "2 bad esa_path {folder}/none.tif: does not exist",
        "correct the path",
    ),
    # longer than a file's name may be
    "impossible path": Case(
        lambda folder: {"esa_path": "x" * 300},
        f"2 bad esa_path {{folder}}/{'x' * 300}: cannot be read (File name too long)",
        "give a raster",
    ),
    "image of zero bytes": Case(
        lambda folder: {"image_path": cut(folder / "bad_image.tif", 0).name},
        "2 bad image_path {folder}/bad_image.tif: is empty (0 bytes)",
        "copy or download it again",
    ),
    "source of zero bytes": Case(
        lambda folder: {"esa_path": cut(folder / "bad_esa.tif", 0).name},
        "2 bad esa_path {folder}/bad_esa.tif: is empty (0 bytes)",
        "copy or download it again",
    ),
    # the header is whole, the last pixels are not there
    "truncated image": Case(
        lambda folder: {"image_path": cut(folder / "bad_image.tif", -100).name},
        "2 bad image_path {folder}/bad_image.tif: cannot be read (",
        "give a raster that is whole",
    ),
    "truncated source": Case(
        lambda folder: {"esa_path": cut(folder / "bad_esa.tif", -100).name},
        "2 bad esa_path {folder}/bad_esa.tif: cannot be read (",
        "give a raster that is whole",
    ),
    # the header itself is cut
    "source of a few bytes": Case(
        lambda folder: {"esa_path": cut(folder / "bad_esa.tif", 20).name},
        "2 bad esa_path {folder}/bad_esa.tif: cannot be read (",
        "give a raster that is whole",
    ),
    "no raster": Case(
        lambda folder: {"esa_path": "sources.csv"},
        "2 bad esa_path {folder}/sources.csv: cannot be read (",
        "give a raster that is whole, and of a format",
    ),
    "image without CRS": Case(
        lambda folder: {"image_path": write_image(folder / "lost.tif", 40, 40, crs=None)},
        "2 bad image_path {folder}/lost.tif: has no coordinate reference system (CRS)",
        "assign the one it was made in",
    ),
    "source without CRS": Case(
        lambda folder: {"esa_path": write_map(folder / "lost.tif", CODES, crs=None)},
        "2 bad esa_path {folder}/lost.tif: has no coordinate reference system (CRS)",
        "assign the one it was made in",
    ),
    "pixels without area": Case(
        lambda folder: {"esa_path": write_map(folder / "flat.tif", CODES, transform=Affine(10, 10, 5e5, 10, 10, 4e6))},
        "2 bad esa_path {folder}/flat.tif: has pixels without area (geotransform 10, 10, 500000, 10, 10, 4e+06)",
        "assign the geotransform",
    ),
    # far away, in the same CRS
    "no overlap": Case(
        lambda folder: {"esa_path": write_map(folder / "away.tif", CODES, transform=NORTH_UP @ NORTH_UP)},
        "2 bad esa_path {folder}/away.tif: does not overlap the image",
        "give a raster that covers the image",
    ),
    # the neighbour: it begins where the image ends
    "next to it": Case(
        lambda folder: {
            "esa_path": write_map(
                folder / "next.tif", CODES, transform=NORTH_UP @ Affine.translation(40, 0), **PLACED
            )
        },
        "2 bad esa_path {folder}/next.tif: does not overlap the image",
        "give a raster that covers the image",
    ),
    # a CRS that has no place for the image
    "a plan without a place on earth": Case(
        lambda folder: {
            "esa_path": write_map(folder / "plan.tif", CODES, crs='LOCAL_CS["site",UNIT["metre",1]]', **PLACED)
        },
        "2 bad esa_path {folder}/plan.tif: cannot be laid over the image: its CRS",
        "give a raster that covers the image, or reproject it",
    ),
    # probabilities, say; the build reads them after the check
    "a float raster as labels": Case(
        lambda folder: {"esa_path": write_map(folder / "half.tif", CODES + np.float32(0.5), **PLACED)},
        "2 bad esa_path {folder}/half.tif: holds ",
        "which is no class code; give a raster of whole numbers",
        "Failed: bad: source 'esa_path' ({folder}/half.tif) holds ",
    ),
    "complex numbers": Case(
        lambda folder: {"esa_path": write_map(folder / "wave.tif", CODES.astype(np.complex64), **PLACED)},
        "2 bad esa_path {folder}/wave.tif: holds complex64 values",
        "give a raster of whole numbers",
    ),
    "a picture as labels": Case(
        lambda folder: {"esa_path": write_map(folder / "rgb.tif", np.stack([CODES] * 3))},
        "2 bad esa_path {folder}/rgb.tif: has 3 bands, a label map has one",
        "give the band of class codes",
    ),
    # declared NoData in every pixel
    "image all NoData": Case(
        lambda folder: {"image_path": write_map(folder / "void.tif", np.zeros((40, 40), np.uint8), nodata=0)},
        "2 bad image_path {folder}/void.tif: has no pixel with data",
        "give an image that is not all NoData, or drop the row",
    ),
    # no pixel has data in both bands
    "image of halves": Case(
        lambda folder: {
            "image_path": write_map(
                folder / "halves.tif",
                np.stack([np.tri(40, dtype=np.float32), 1 - np.tri(40, dtype=np.float32)]),
                nodata=0,
            )
        },
        "2 bad image_path {folder}/halves.tif: has no pixel with data in all of its bands",
        "give an image that is not all NoData, or drop the row",
    ),
}  # fmt: skip


def run(capsys, *arguments):
    """Exit code, and the lines of both streams without padding, those of a table among them."""
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    said = capsys.readouterr()
    assert "Traceback" not in said.out + said.err
    lines = [" ".join(line.split()) for line in (said.out + said.err).splitlines()]
    return ended.value.code, lines


def build(capsys, table, out, *more):
    keys = ["--num-classes", 3, "--lulc-key", "esa_path", "--max-workers", 1]
    return run(capsys, "build-soft-labels", table, "--output-dir", out, *keys, *more)


def files_in(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("name", ROWS)
def test_a_bad_row(tmp_path, capsys, name):
    case = ROWS[name]
    rows = good_rows(tmp_path)
    rows[1] |= case.change(tmp_path)
    table = write_sources(tmp_path / "sources.csv", rows)
    says = case.says.format(folder=tmp_path)

    code, lines = run(capsys, "check", table, "--num-classes", 3)
    assert code == 1
    found = [line for line in lines if line.startswith("error") and says in line]
    assert len(found) == 1
    assert case.remedy in found[0]
    assert " 1 good " not in " ".join(lines)  # nothing is wrong with the other one

    code, lines = build(capsys, table, tmp_path / "out")
    assert code == 1
    told = (case.build_says or says).format(folder=tmp_path)
    (found,) = [line for line in lines if told in line]  # once
    assert case.remedy in found
    assert lines[-1].startswith(
        f"Error: {table}: 1 of 2 tiles failed; correct what {tmp_path}/out/failures.csv"
    )
    assert len(rows_of(tmp_path / "out" / "failures.csv")) == 1
    assert files_in(tmp_path / "out") == {
        "soft_label_manifest.csv", "failures.csv", "p_soft/good.tif", "w_conf/good.tif", "fingerprints/good.json",
        "summary.html", "summary_tiles.csv", "quicklooks/good.png", "fingerprints/quicklooks/good.json",
    }  # fmt: skip
    assert [row["tile_id"] for row in rows_of(tmp_path / "out" / "soft_label_manifest.csv")] == ["good"]
    assert not (tmp_path / "up.tif").exists()
    assert not (tmp_path / "elsewhere.tif").exists()


HEADER = "tile_id,image_path,mask_path,esa_path\n"
# what is wrong with the table as a whole: nothing is written; content -> cause and remedy
TABLES = {
    "no file": (None, "does not exist; give the path of a CSV file"),
    "zero bytes": ("", "is empty; give a CSV file with a header and at least one row"),
    "header only": (HEADER, "has no rows; add a row for each tile"),
    "a column twice": ("image_path,esa_path,esa_path\ni,e,e\n", "has the column 'esa_path' twice; rename one of them"),
    # as a forgotten quote makes it
    "ragged": (HEADER + "a,i.tif,m.tif\n", "has 3 cells where the header has 4 columns; quote cells"),
    "no text": (b"II*\x00\xff\xfe\x00", "cannot be read ("),
    "misspelt image": (
        HEADER.replace("image_path", "imgae_path") + "a,i,m,e\n",
        "no column 'image_path' (is it 'imgae_path'?); its columns are tile_id, imgae_path, mask_path, esa_path; add",
    ),
    "misspelt source": (
        HEADER.replace("esa_path", "eas_path") + "a,i,m,e\n",
        "no column 'esa_path' (is it 'eas_path'?); its columns are",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", TABLES)
def test_a_bad_table(tmp_path, capsys, name):
    content, says = TABLES[name]
    table = tmp_path / "sources.csv"
    if content is not None:
        table.write_bytes(content.encode() if isinstance(content, str) else content)

    code, lines = run(capsys, "check", table, "--lulc-key", "esa_path")
    assert code == 1
    (found,) = [line for line in lines if line.startswith("error") and says in line]
    assert str(table) in found

    code, lines = build(capsys, table, tmp_path / "out")
    assert code == 1
    (line,) = lines
    assert line.startswith(f"Error: {table}")
    assert says in line
    assert not (tmp_path / "out").exists()


def test_all_misspelt_columns_at_once(tmp_path, capsys):
    table = write_sources(tmp_path / "sources.csv", good_rows(tmp_path))
    keys = ["--image-key", "imag_path", "--mask-key", "msk_path", "--lulc-key", "esa_pth"]
    code, lines = run(capsys, "check", table, *keys)
    assert code == 1
    errors = [line for line in lines if line.startswith("error")]
    assert [line.partition(" (is it ")[2].partition("?")[0] for line in errors] == [
        "'image_path'", "'mask_path'", "'esa_path'",
    ]  # fmt: skip
    code, (line,) = build(capsys, table, tmp_path / "out", *keys)
    assert code == 1
    assert (
        "no column 'imag_path' (is it 'image_path'?), no column 'msk_path' (is it 'mask_path'?), no " in line
    )


def test_the_rest_is_checked_although_a_column_is_missing(tmp_path, capsys):
    rows = good_rows(tmp_path)
    rows[0]["image_path"] = "none.tif"
    table = write_sources(tmp_path / "sources.csv", rows)
    code, lines = run(capsys, "check", table, "--lulc-key", "esa_path", "--lulc-key", "esri_path")
    assert code == 1
    errors = [line for line in lines if line.startswith("error")]
    assert "esri_path" in errors[0]
    assert "none.tif: does not exist" in errors[1]


@pytest.mark.parametrize("place", ["below a file", "too long a name"])
def test_an_output_folder_that_cannot_be_written(tmp_path, capsys, place):
    table = write_sources(tmp_path / "sources.csv", good_rows(tmp_path))
    before = files_in(tmp_path)
    out = table / "out" if place == "below a file" else tmp_path / ("x" * 300)
    code, (line,) = build(capsys, table, out)
    assert code == 1
    assert line.startswith(f"Error: output_dir {out}: cannot be written (")
    assert line.endswith("; choose a folder that can be written")
    code, lines = run(capsys, "check", table, "--output", out / "findings.csv")
    assert code == 1
    assert lines[-1].startswith(f"Error: --output {out}/findings.csv: cannot be written (")
    assert lines[-1].endswith("; choose a file in a folder that can be written")
    assert files_in(tmp_path) == before


def test_codes_that_are_no_class(tmp_path, capsys):
    """The tiles are built, and the command says that it was not all as it should be."""
    rows = good_rows(tmp_path)
    rows[1]["esa_path"] = write_map(tmp_path / "more.tif", CODES + np.uint8(1), **PLACED)
    table = write_sources(tmp_path / "sources.csv", rows)
    share = np.mean(CODES == 2)
    listed = f"2 bad esa_path {tmp_path}/more.tif: holds codes other than 0 to 2, which do not vote; in a sample: 3 "
    code, lines = run(capsys, "check", table, "--num-classes", 3)
    assert code == 3
    (found,) = [line for line in lines if line.startswith("warning")]
    assert listed + f"({share:.0%}".replace("%", " %)") in found
    assert "name them with --ignore-code" in found
    code, lines = build(capsys, table, tmp_path / "out")
    assert code == 1
    assert lines[-1] == (
        f"Error: {table}: esa_path holds codes other than 0 to 2, which did not vote: 3 ({np.sum(CODES == 2)} pixels); "
        "recode them, or name those that mean no vote with --ignore-code; all tiles are built"
    )
    assert len(rows_of(tmp_path / "out" / "soft_label_manifest.csv")) == 2
    assert run(capsys, "check", table, "--num-classes", 3, "--ignore-code", 3)[0] == 0
    assert build(capsys, table, tmp_path / "out", "--ignore-code", 3)[0] == 0


def test_a_map_of_other_codes_altogether(tmp_path, capsys):
    """WorldCover has 10, 20, …: it was forgotten to recode it."""
    rows = good_rows(tmp_path)
    rows[1]["esa_path"] = write_map(tmp_path / "esa.tif", (CODES + 1) * 10, **PLACED)
    table = write_sources(tmp_path / "sources.csv", rows)
    code, lines = run(capsys, "check", table, "--num-classes", 3)
    assert code == 1
    (found,) = [line for line in lines if line.startswith("error")]
    assert f"2 bad esa_path {tmp_path}/esa.tif: holds no class, 0 to 2, in a sample, but " in found
    assert found.endswith("; recode it to 0 to 2")
    assert build(capsys, table, tmp_path / "out")[0] == 1


def test_debug_shows_the_traceback(tmp_path):
    """The error leaves the command, and Python prints it with its traceback."""
    table = str(tmp_path / "none.csv")
    with pytest.raises(TableError, match=r"none\.csv: does not exist"):
        main(["build-soft-labels", table, "--output-dir", str(tmp_path), "--num-classes", "3", "--debug"])
    with pytest.raises(OptionError, match="patch_size: 0 is no size"):
        main(["check", table, "--patch-size", "0", "--debug"])


def test_findings_and_failures_agree(tmp_path, capsys):
    """All cases at once: what the check calls an error fails, and nothing else does."""
    rows = good_rows(tmp_path)[:1]
    for number, case in enumerate(ROWS.values()):
        folder = tmp_path / str(number)
        folder.mkdir()
        row = good_rows(folder)[1] | {"tile_id": f"t{number}"}
        changed = case.change(folder)
        rows.append({
            key: f"{number}/{cell}" if key.endswith("_path") and cell and not Path(cell).is_absolute() else cell
            for key, cell in (row | changed).items()
        })  # fmt: skip
    table = write_sources(tmp_path / "sources.csv", rows)
    code, _ = run(capsys, "check", table, "--num-classes", 3, "--output", tmp_path / "findings.csv")
    assert code == 1
    findings = rows_of(tmp_path / "findings.csv")
    errors = {row["tile_id"] for row in findings if row["severity"] == "error"}
    assert build(capsys, table, tmp_path / "out")[0] == 1
    failed = [row["tile_id"] for row in rows_of(tmp_path / "out" / "failures.csv")]
    assert errors == set(failed)
    assert len(failed) == len(ROWS)
