"""Commands of the command line that are interrupted: what they are asked for, and what of their outputs must be the same.

A command runs in a fork of this process, which has imported all it needs: what is interrupted is its work.
"""

from __future__ import annotations

import io
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from PIL import Image


@dataclass(frozen=True)
class Command:
    """A command line with an output folder.

    Args:
        words: output folder -> the command line.
        check_same: (folder, folder of an undisturbed run) -> raises if what they hold is not the same.
    """

    words: Callable[[Path], list[str]]
    check_same: Callable[[Path, Path], None]


@contextmanager
def started(
    words: list[str], *, output: int | None = None, before: Callable[[], None] | None = None
) -> Iterator[int]:
    """The process of a command that runs; killed at the end if it still does.

    Args:
        words: the command line.
        output: where it prints; None means where this process does.
        before: called in its process first.
    """
    pid = os.fork()
    if pid == 0:
        _run(words, output, before or (lambda: None))
    try:
        yield pid
    finally:
        if exit_code_of(pid, wait=False) is None:
            os.kill(pid, signal.SIGKILL)
            exit_code_of(pid)


_ended: dict[int, int] = {}


def exit_code_of(pid: int, *, wait: bool = True) -> int | None:
    """Exit code, or minus the signal, of a process from ``started``; None while it runs."""
    if pid not in _ended:
        found, status = os.waitpid(pid, 0 if wait else os.WNOHANG)
        if found == 0:
            return None
        _ended[pid] = os.waitstatus_to_exitcode(status)
    return _ended[pid]


def run_whole(words: list[str], *, expected: int = 0) -> float:
    """Run a command to its end.

    Returns:
        Its duration in seconds.
    """
    begun = time.monotonic()
    with started(words) as pid:
        code = exit_code_of(pid)
    assert code == expected, f"exit code {code} of {' '.join(words)}"
    return time.monotonic() - begun


def run_told(words: list[str], *, before: Callable[[], None] | None = None) -> tuple[int, str]:
    """Run a command to its end, after something else in its process.

    Returns:
        Its exit code, and all that it has printed.
    """
    here, there = os.pipe()
    with started(words, output=there, before=before) as pid:
        os.close(there)
        with os.fdopen(here, "rb") as stream:
            told = stream.read().decode(errors="replace")
        code = exit_code_of(pid)
    assert code is not None
    return code, told


@dataclass(frozen=True)
class Ended:
    """How an interrupted command ended: exit code, and seconds after the signal."""

    code: int
    seconds: float


def interrupt(words: list[str], seconds: float, number: signal.Signals) -> Ended | None:
    """Run a command and send it a signal after a while; None if it was done before."""
    with started(words) as pid:
        until = time.monotonic() + seconds
        while time.monotonic() < until and exit_code_of(pid, wait=False) is None:
            time.sleep(0.002)
        if exit_code_of(pid, wait=False) is not None:
            return None
        os.kill(pid, number)
        sent = time.monotonic()
        code = exit_code_of(pid)
        assert code is not None
        if code == 0:  # done in that moment
            return None
        return Ended(code, time.monotonic() - sent)


def _run(words: list[str], output: int | None, before: Callable[[], None]) -> NoReturn:
    """The fork's part."""
    from coteach.cli.main import main

    def call() -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        before()
        main(words)

    end_with(call, output)


def end_with(call: Callable[[], None], output: int | None) -> NoReturn:
    """End a fork with the exit code of what it is for; 70 if that raises.

    Args:
        call: what it is for.
        output: a file where it prints; None means where it prints already.
    """
    code = 70
    try:
        for stream in () if output is None else (1, 2):
            os.dup2(output, stream)
        call()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)  # noqa: T201 -- as Python does
    except BaseException:  # noqa: BLE001 -- Python would print it and end with 1
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def files_of(folder: Path) -> dict[str, bytes]:
    """Path within the folder -> content, of all files, hidden ones too."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def check_same_files(parts: Path, whole: Path) -> None:
    """The same names with the same bytes; of the records, which hold times, the names; of pictures, the pixels."""
    first, second = files_of(parts), files_of(whole)
    assert sorted(first) == sorted(second), sorted(set(first) ^ set(second))
    for name, content in first.items():
        if name.endswith(".png"):  # notes what it was made from, with its time
            assert _pixels(content) == _pixels(second[name]), name
        elif not name.startswith("fingerprints/"):
            assert content == second[name], name


def _pixels(png: bytes) -> bytes:
    return Image.open(io.BytesIO(png)).convert("RGBA").tobytes()
