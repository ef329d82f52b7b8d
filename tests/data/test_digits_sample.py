"""The handwritten digits of an installed scikit-learn: read, never imported; and what is said where it is missing."""

from __future__ import annotations

import gzip
import sys
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner

from coteach.cli.main import cli, main
from coteach.data import samples
from coteach.data.fetch import checksum
from coteach.data.sample_sets import SAMPLES

FILE = "datasets/data/digits.csv.gz"


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("COTEACH_DATA_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def sklearn(tmp_path, monkeypatch):
    """A module of that name with a table like theirs, which must not be imported."""
    folder = tmp_path / "site" / "sklearn"
    (folder / "datasets" / "data").mkdir(parents=True)
    (folder / "__init__.py").write_text("raise ImportError('not to be imported')")
    rows = np.random.default_rng(0).integers(0, 17, (1797, 65))
    rows[:, 64] = np.arange(1797) % 10
    with gzip.open(folder / FILE, "wt") as stream:
        np.savetxt(stream, rows, fmt="%d", delimiter=",")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    monkeypatch.delitem(sys.modules, "sklearn", raising=False)
    known = replace(SAMPLES["digits"], members={FILE: checksum(folder / FILE)})
    monkeypatch.setattr(samples, "SAMPLES", {**SAMPLES, "digits": known})
    return folder, rows


def test_the_digits_become_arrays(cache, sklearn):
    _, rows = sklearn
    first, again = (CliRunner().invoke(cli, ["data", "digits"]) for _ in range(2))
    assert first.exit_code == 0, first.output
    assert "digits: already there" in again.output
    with np.load(cache / "digits" / "train.npz") as train, np.load(cache / "digits" / "test.npz") as test:
        images = np.concatenate([train["images"], test["images"]])
        labels = np.concatenate([train["labels"], test["labels"]])
        assert (len(train["images"]), len(test["images"])) == (1437, 360)
    assert images.dtype == labels.dtype == np.uint8
    np.testing.assert_allclose(images.reshape(1797, 64) / 255, rows[:, :64] / 16, atol=0.5 / 255 + 1e-9)
    assert labels.tolist() == rows[:, 64].tolist()
    assert "Alpaydin" in (cache / "digits" / "SOURCE.txt").read_text()


def test_another_file_of_that_name_is_refused(cache, sklearn, capsys):
    folder, _ = sklearn
    (folder / FILE).write_bytes(b"something else")
    with pytest.raises(SystemExit) as left:
        main(["data", "digits"])
    assert left.value.code == 1
    assert "another file than was known" in capsys.readouterr().err
    assert not list(cache.rglob("*.npz"))


def test_without_scikit_learn_one_line_says_what_to_do(cache, monkeypatch, capsys):
    monkeypatch.setattr(samples.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(SystemExit) as left:
        main(["data", "digits"])
    assert left.value.code == 1
    error = capsys.readouterr().err
    assert error.startswith("Error: digits: comes with scikit-learn, which is not installed; pip install")
    assert not cache.exists()


@pytest.mark.usefixtures("cache")
def test_a_folder_is_not_asked_for(tmp_path, capsys):
    with pytest.raises(SystemExit):
        main(["data", "digits", "--from", str(tmp_path)])
    assert "digits comes with scikit-learn" in capsys.readouterr().err
