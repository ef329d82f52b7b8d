from __future__ import annotations

import hashlib
import io
import shutil
import tarfile
from pathlib import Path

import pytest

from coteach.data.archives import unpack
from coteach.errors import DataUnavailableError

DATA = b"an odd number of bytes!"
SHA256 = hashlib.sha256(DATA).hexdigest()


def tarball(mode: str, name: str) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode=mode) as tar:
        folder = tarfile.TarInfo("./folder")
        folder.type = tarfile.DIRTYPE
        tar.addfile(folder)
        info = tarfile.TarInfo(name)
        info.size = len(DATA)
        tar.addfile(info, io.BytesIO(DATA))
    return stream.getvalue()


def deb(path: Path) -> Path:
    """A Debian package as deb(5) describes it: an ar archive of three parts, each padded to an even length."""
    parts = {
        "debian-binary": b"2.0\n",
        "control.tar.xz": b"odd",
        "data.tar.xz": tarball("w:xz", "./usr/share/a.bin"),
    }
    with path.open("wb") as stream:
        stream.write(b"!<arch>\n")
        for name, content in parts.items():
            stream.write(f"{name:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(content):<10}`\n".encode())
            stream.write(content + b"\n" * (len(content) % 2))
    return path


def tgz(path: Path) -> Path:
    path.write_bytes(tarball("w:gz", "package/a.bin"))
    return path


@pytest.mark.parametrize(
    ("make", "name", "member"),
    [(deb, "data_1.0_all.deb", "./usr/share/a.bin"), (tgz, "data-1.0.tgz", "package/a.bin")],
)
def test_a_member_is_taken_out_flat_and_checked(tmp_path, make, name, member):
    archive = make(tmp_path / name)
    unpack(archive, {member: SHA256}, tmp_path)
    assert (tmp_path / "a.bin").read_bytes() == DATA
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["a.bin", name]
    with pytest.raises(DataUnavailableError, match=f"{member} has SHA-256 {SHA256}, expected 0000"):
        unpack(archive, {member: "0" * 64}, tmp_path)
    for absent in ("other.bin", "./folder"):
        with pytest.raises(DataUnavailableError, match=f"holds no {absent}; delete the archive"):
            unpack(archive, {absent: SHA256}, tmp_path)


@pytest.mark.skipif(shutil.which("ar") is None, reason="asks ar(1) for its view of the same file")
def test_the_stand_in_is_an_archive_to_ar_too(tmp_path):
    import subprocess

    listed = subprocess.run(
        ["ar", "t", deb(tmp_path / "x.deb")], capture_output=True, text=True, check=True
    ).stdout
    assert listed.split() == ["debian-binary", "control.tar.xz", "data.tar.xz"]


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"!<arch>\n"])
def test_what_is_no_debian_package_is_said(tmp_path, content):
    (tmp_path / "x.deb").write_bytes(content)
    with pytest.raises(DataUnavailableError, match="is no Debian package; delete"):
        unpack(tmp_path / "x.deb", {"a": SHA256}, tmp_path)
