from __future__ import annotations

import csv
import subprocess
import sys

import pytest
from click.testing import CliRunner

from coteach.cli.main import cli, main


@pytest.fixture
def manifest(tmp_path):
    lines = [f"t{t},i/{t}.tif,{r},{c},8" for t in range(2) for r in range(0, 64, 8) for c in range(0, 64, 8)]
    file = tmp_path / "soft_label_patches.csv"
    file.write_text("tile_id,image_path,row_off,col_off,patch_size\n" + "\n".join(lines) + "\n")
    return file


def test_blocks_from_the_command_line(manifest, tmp_path):
    command = ["generate-training-csv", str(manifest), "--output-dir", str(tmp_path / "s"), "--by", "block"]
    result = CliRunner().invoke(cli, command)
    assert result.exit_code == 0, result.output
    # 2 tiles of 2 x 2 blocks of 32 pixels, 16 patches each: 5.6, 1.2 and 1.2 blocks
    assert f"train      96 rows from 6 blocks: {tmp_path / 's' / 'train.csv'}" in result.output
    assert "val        16 rows from 1 block: " in result.output
    assert "test       16 rows from 1 block: " in result.output
    assert "left out" not in result.output
    with (tmp_path / "s" / "val.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 16
    assert len({row["image_path"] for row in rows}) == 1
    assert rows[0]["image_path"].startswith("../i/")


def test_patches_between_blocks_are_counted_and_overlap_is_warned_of(manifest, tmp_path):
    out = str(tmp_path / "s")
    result = CliRunner().invoke(
        cli,
        ["generate-training-csv", str(manifest), "--output-dir", out, "--by", "block", "--block-size", "20"],
    )
    assert result.exit_code == 0, result.output
    counts = [int(line.split()[1]) for line in result.output.splitlines()[:3]]
    left = int(result.output.splitlines()[3].split()[2])
    assert sum(counts) + left == 128
    assert left > 0
    result = CliRunner().invoke(
        cli, ["generate-training-csv", str(manifest), "--output-dir", out, "--by", "row"]
    )
    assert result.exit_code == 0
    assert "Warning: patches of one tile were drawn apart" in result.stderr


def test_an_error_is_one_line_and_exit_code_one(manifest, tmp_path, capsys):
    with pytest.raises(SystemExit) as exit_:
        main(["generate-training-csv", str(manifest), "--output-dir", str(tmp_path / "s")])
    assert exit_.value.code == 1
    assert capsys.readouterr().err == (
        "Error: --by tile: 2 tiles cannot fill train, val, test; divide the tiles themselves with --by block, "
        "or ask for fewer splits with the ratios\n"
    )
    assert not (tmp_path / "s").exists()


def test_as_a_process_without_the_heavy_packages(manifest, tmp_path):
    """The split needs neither torch nor rasterio: it runs with both forbidden."""
    program = (
        "import sys; sys.modules['torch'] = sys.modules['rasterio'] = None\n"
        "from coteach.cli.main import main; main(sys.argv[1:])"
    )
    command = [
        sys.executable,
        "-c",
        program,
        "generate-training-csv",
        "soft_label_patches.csv",
        "--output-dir",
        "s",
    ]
    done = subprocess.run(
        [*command, "--train-ratio", "0.5", "--val-ratio", "0.5", "--seed", "3"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert [line.split()[:3] for line in done.stdout.splitlines()] == [
        ["train", "64", "rows"],
        ["val", "64", "rows"],
        ["test", "0", "rows"],
    ]
