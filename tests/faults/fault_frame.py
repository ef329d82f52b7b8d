"""What the suite of faults is made of: families of tries, each run in a process of its own with a time limit.

A family is declared in a module ``family_*.py`` of this folder, in its tuple ``FAMILIES``. The short form
(``test_faults.py``, part of ``make test``) and the long form (``run_faults.py``, ``make faults``) run the same tries.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path


@dataclass(frozen=True)
class Try:
    """One fault.

    Args:
        name: says which one it is, without the seed.
        run: gets an empty folder; raises if the fault was not survived.
    """

    name: str
    run: Callable[[Path], object]


@dataclass(frozen=True)
class Family:
    """Faults of one kind: a row of the table.

    Args:
        name: of the row, lower case.
        survived: what surviving means, a few words for the table.
        tries: (count, seed, shared) -> that many tries; the same for the same numbers. ``shared`` is a folder for
            what they have in common, made before the first of them.
        short, long: how many tries the two forms make; 0 leaves it out of the short one.
        seconds: time limit of a try.
    """

    name: str
    survived: str
    tries: Callable[[int, int, Path], Iterator[Try]]
    short: int
    long: int
    seconds: float = 30.0


def family_modules() -> list[str]:
    """Names of the modules of this folder that declare families."""
    return sorted(path.stem for path in Path(__file__).parent.glob("family_*.py"))


def families_of(module: str) -> tuple[Family, ...]:
    """What a module declares."""
    declared: tuple[Family, ...] = import_module(module).FAMILIES
    return declared


def families() -> dict[str, Family]:
    """All that are declared, by name."""
    return {family.name: family for module in family_modules() for family in families_of(module)}


def attempt(one: Try, folder: Path, seconds: float) -> str | None:
    """Run a try in a forked process, so that a crash or a hang ends nothing but the try.

    Args:
        one: the try.
        folder: made for it; what it prints goes to ``folder.log``.
        seconds: after which it has hung; all processes it started are killed then.

    Returns:
        None if it survived, else why not, in one line.
    """
    folder.mkdir(parents=True)
    log = folder.with_name(folder.name + ".log")
    child = multiprocessing.get_context("fork").Process(target=_run_logged, args=(one, folder, log))
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", DeprecationWarning
        )  # newer Pythons on forks of processes with threads
        child.start()
    assert child.pid is not None
    child.join(seconds)
    hung = child.is_alive()
    with suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)  # the child leads a group; those it forgot go too
    if hung:
        child.kill()  # of a busy machine it may not lead its group yet
        child.join()
        return f"hung: not done after {seconds:g} s"
    if child.exitcode == 0:
        return None
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    ended = f"signal {-child.exitcode}" if child.exitcode < 0 else f"exit code {child.exitcode}"
    return f"{ended}: {lines[-1][:500] if lines else 'nothing printed'}"


def _run_logged(one: Try, folder: Path, log: Path) -> None:
    os.setsid()
    with log.open("wb") as file:
        for stream in (1, 2):
            os.dup2(file.fileno(), stream)
    sys.stdout, sys.stderr = os.fdopen(1, "w", closefd=False), os.fdopen(2, "w", closefd=False)
    warnings.simplefilter("default")  # what a user has: warnings are printed, not raised
    try:
        one.run(folder)
    except BaseException as error:  # noqa: BLE001 -- a command's SystemExit(0) is no end of the try either
        traceback.print_exc()
        print(f"{type(error).__name__}: {error}".replace("\n", " "), file=sys.stderr)  # noqa: T201 -- the log's last line
        raise SystemExit(1) from None
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
