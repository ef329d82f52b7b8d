"""Full disks, disks that cannot be written, and a limit to the size of files."""

from __future__ import annotations

import random
import re
import resource
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from fault_commands import Command, files_of, interrupt, run_told, run_whole
from fault_disks import change_disk, small_disk
from fault_frame import Family, Try
from fault_runs import ablating, training
from fault_settings import building, downloading

ROOM = 64 << 20  # bytes; more than any of the commands needs
BLOCK = 4096  # of a tmpfs

# (command, output folder of an undisturbed run, random share, folder of the try)
Check = Callable[[Command, Path, float, Path], None]


def on_a_disk(check: Check, count: int, seed: int, shared: Path) -> Iterator[Try]:
    """The commands in turn."""
    draw = random.Random(seed)
    with ExitStack() as stack:
        known = []
        for number, setting in enumerate((building, downloading, training, ablating)[:count]):
            own = shared / str(number)
            own.mkdir()
            command = stack.enter_context(contextmanager(setting)(own))
            whole = shared.parent / "undisturbed" / f"out{number}"
            run_whole(command.words(whole))
            known.append((command, whole))
        for number in range(count):
            command, whole = known[number % len(known)]
            share = draw.uniform(0.01, 0.9)
            name = f"{command.words(whole)[0]} at {share:.0%}"
            yield Try(name, partial(check, command, whole, share))


def full(command: Command, whole: Path, share: float, folder: Path) -> None:
    """The disk has room for a part of the outputs; then it is made larger."""
    needed = sum(-(-len(content) // BLOCK) * BLOCK for content in files_of(whole).values())
    if not small_disk(folder, BLOCK * max(8, int(share * needed / BLOCK))):
        limited(command, whole, share, folder)
        return
    out = folder / "out"
    code, told = run_told(command.words(out))
    assert code == 1, (code, told)
    check_told(told, out, r"[\d,]+ bytes are needed")
    check_whole(out)
    change_disk(folder, ROOM)
    run_whole(command.words(out))
    command.check_same(out, whole)


def read_only(command: Command, whole: Path, share: float, folder: Path) -> None:
    """A command is interrupted, the disk becomes read-only, then it is as it was."""
    out = folder / "out"
    if not small_disk(folder, ROOM):
        raise OSError("no disk can be mounted here; run the suite where user namespaces are allowed")
    interrupt(command.words(out), 3 * share, signal.SIGKILL)
    before = files_of(folder)
    change_disk(folder, ROOM, read_only=True)
    code, told = run_told(command.words(out))
    if code != 0:  # it may have been done by then
        assert code == 1, (code, told)
        check_told(told, out, "Read-only file system")
    assert files_of(folder) == before
    change_disk(folder, ROOM)
    run_whole(command.words(out))
    command.check_same(out, whole)


def limited(command: Command, whole: Path, share: float, folder: Path) -> None:
    """No file may have more than a share of the bytes that the largest has, as with a quota."""
    out = folder / "out"
    largest = max(len(content) for content in files_of(whole).values())
    limit = int(share * largest)

    def set_limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))

    code, told = run_told(command.words(out), before=set_limit)
    assert code == 1, (code, told)
    check_told(told, out, "File too large|cannot be written")
    check_whole(out)
    run_whole(command.words(out))
    command.check_same(out, whole)


def check_told(told: str, out: Path, cause: str) -> None:
    """A line says what is wrong and names a path in the folder; there is no traceback."""
    assert "Traceback" not in told, told
    assert [line for line in told.splitlines() if str(out) in line and re.search(cause, line)], told


def check_whole(out: Path) -> None:
    """What has a final name can be read to its end."""
    import rasterio

    from coteach.training.checkpoints import load_checkpoint

    assert not list(out.rglob("*.part"))
    for path in out.rglob("*.tif"):
        with rasterio.open(path) as file:
            file.read()
    for path in out.rglob("*.ckpt"):
        load_checkpoint(path)


FAMILIES = (
    Family(
        "disk full",
        "exit code 1, the path and the bytes needed are told; what is there is whole; with room it goes on to the end",
        partial(on_a_disk, full),
        short=1,
        long=20,
        seconds=120,
    ),
    Family(
        "disk read-only",
        "exit code 1, the path is told, nothing has changed; writable again, it goes on to the end",
        partial(on_a_disk, read_only),
        short=0,
        long=20,
        seconds=120,
    ),
    Family(
        "limit to the size of files",
        "exit code 1, the path is told; what is there is whole; without the limit it goes on to the end",
        partial(on_a_disk, limited),
        short=0,
        long=20,
        seconds=120,
    ),
)
