"""Commands killed at random moments and started again, and commands ended by Ctrl-C."""

from __future__ import annotations

import random
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from fault_commands import Command, Ended, files_of, interrupt, run_whole
from fault_frame import Family, Try
from fault_settings import SETTINGS

CTRL_C_SECONDS = 2.0
# together five a command, and few of those whose own processes have to be started
SHORT = {
    "build-soft-labels": 2,
    "build-soft-labels, two threads": 3,
    "download-aef-embeddings": 5,
    "train, two networks": 3,
    "train, mean of weights and table of labels": 2,
    "ablate": 5,
}
LONG = {"train, two loader workers": 10}  # else 20
SECONDS = 300  # of a try; three processes of a computer that has other work may need a minute


def killed(
    setting: Callable[[Path], Iterator[Command]], count: int, seed: int, shared: Path
) -> Iterator[Try]:
    """Tries of one command: killed at a random share of its duration."""
    with contextmanager(setting)(shared) as command:
        whole = _undisturbed(shared, 0)
        seconds = run_whole(command.words(whole))
        draw = random.Random(seed)
        for _ in range(count):
            share = draw.uniform(0.02, 0.98)
            yield Try(f"at {share:.0%}", partial(_kill_and_go_on, command, share * seconds, whole))


def _undisturbed(shared: Path, number: int) -> Path:
    """As deep as the outputs of tries: tables hold relative paths."""
    return shared.parent / "undisturbed" / f"out{number}"


def _kill_and_go_on(command: Command, seconds: float, whole: Path, folder: Path) -> None:
    out, ended = _interrupted(command, seconds, signal.SIGKILL, folder)
    assert ended.code == -signal.SIGKILL
    _go_on(command, out, whole)


def _go_on(command: Command, out: Path, whole: Path) -> None:
    run_whole(command.words(out))
    command.check_same(out, whole)
    assert not list(out.rglob("*.part"))


def _interrupted(
    command: Command, seconds: float, number: signal.Signals, folder: Path
) -> tuple[Path, Ended]:
    """The output folder of a command that was interrupted; earlier, if it turns out to have been done by then."""
    for attempt in range(20):
        out = folder / f"out{attempt}"
        ended = interrupt(command.words(out), seconds * 0.8**attempt, number)
        if ended is not None:
            return out, ended
    raise AssertionError("it could not be interrupted")


def ended_by_ctrl_c(count: int, seed: int, shared: Path) -> Iterator[Try]:
    """All commands in turn."""
    draw = random.Random(seed)
    with ExitStack() as stack:
        known = []
        for number, setting in enumerate(SETTINGS.values()):
            own = shared / str(number)
            own.mkdir()
            command = stack.enter_context(contextmanager(setting)(own))
            whole = _undisturbed(shared, number)
            known.append((command, run_whole(command.words(whole)), whole))
        for number in range(count):
            command, seconds, whole = known[number % len(known)]
            share = draw.uniform(0.05, 0.9)
            words = command.words(Path("out"))[0]
            yield Try(f"{words} at {share:.0%}", partial(_end_and_go_on, command, share * seconds, whole))


def _end_and_go_on(command: Command, seconds: float, whole: Path, folder: Path) -> None:
    out, ended = _interrupted(command, seconds, signal.SIGINT, folder)
    assert ended.seconds < CTRL_C_SECONDS, f"it took {ended.seconds:.1f} s"
    assert ended.code == 1, ended.code
    assert not [name for name in files_of(out) if name.endswith(".part")]
    _go_on(command, out, whole)


FAMILIES = (
    *(
        Family(
            f"killed: {name}",
            "started again, it ends with the bytes of an undisturbed run; no temporary file is left",
            partial(killed, setting),
            short=SHORT.get(name, 0),
            long=LONG.get(name, 20),
            seconds=SECONDS,
        )
        for name, setting in SETTINGS.items()
    ),
    Family(
        "Ctrl-C",
        f"ends within {CTRL_C_SECONDS:g} s, exit code 1; started again, it ends as an undisturbed run",
        ended_by_ctrl_c,
        short=0,
        long=20,
        seconds=SECONDS,
    ),
)
