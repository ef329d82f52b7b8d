"""The short form of the suite of faults, and the frame itself."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from fault_frame import Family, Try, attempt, families, families_of, family_modules
from fault_table import BEGIN, END, Row, rows_in, update_table
from run_faults import run_family


@pytest.fixture(scope="session")
def starter():
    """A process of its own: one that has threads, as a test's may, had better not be forked."""
    command = [sys.executable, str(Path(__file__).with_name("warm_starter.py"))]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield process


@pytest.mark.parametrize("module", family_modules())
def test_families(tmp_path, starter, module):
    page, log = tmp_path / "page.md", tmp_path / "log.txt"
    page.write_text(f"{BEGIN}\n{END}\n")
    names = [family.name for family in families_of(module) if family.short]
    words = [log, *names, "--short", "--state", tmp_path / "state", "--table", page]
    starter.stdin.write(json.dumps([str(word) for word in words]) + "\n")
    starter.stdin.flush()
    assert starter.stdout.readline() == "0\n", log.read_text(errors="replace")
    rows = rows_in(page.read_text())
    assert list(rows) == sorted(names)
    for name, row in rows.items():
        assert row.tried == row.survived == families()[name].short


def fails(folder):
    raise ValueError("a silent\nwrong value")


def crashes(folder):
    os.kill(os.getpid(), signal.SIGSEGV)


def hangs(folder):
    (folder / "begun").touch()
    time.sleep(60)


@pytest.mark.parametrize(
    ("run", "limit", "why"),  # seconds: a machine with other work to do takes more than one for the first
    [
        (fails, 60, "exit code 1: ValueError: a silent wrong value"),
        (crashes, 60, "signal 11: "),
        (hangs, 1, "hung: not done after 1 s"),
        (lambda folder: (folder / "x").write_text("y"), 60, None),
    ],
)
def test_what_is_not_survived(tmp_path, run, limit, why):
    found = attempt(Try("one", run), tmp_path / "try", limit)
    assert found is None if why is None else found.startswith(why)


def test_the_long_form_goes_on_where_it_was(tmp_path):
    mark = tmp_path / "mended"

    def second(folder):
        assert mark.exists(), "not yet"

    def counted(name, run):
        def run_and_count(folder):
            with (tmp_path / "ran").open("a") as file:
                file.write(name)
            run(folder)

        return Try(name, run_and_count)

    def tries(count, seed, shared):
        yield counted("a", lambda folder: None)
        yield counted("b", second)

    family = Family("two", "it lives", tries, short=2, long=2)
    assert run_family(family, 2, 5, tmp_path / "state") == Row("two", 2, 1, 5, "it lives")
    assert (tmp_path / "state" / "two-5-2-1" / "try.log").exists()
    mark.touch()
    assert run_family(family, 2, 5, tmp_path / "state").survived == 2
    assert (tmp_path / "ran").read_text() == "abb"
    ledger = (tmp_path / "state" / "two-5-2.jsonl").read_text().splitlines()
    assert [json.loads(line)["failure"] is None for line in ledger] == [True, False, True]


def test_rows_of_other_families_stay(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(f"before\n{BEGIN}\n| a |\n|---|\n{END}\nafter\n")
    update_table(page, [Row("b", 3, 2, 1, "x")])
    update_table(page, [Row("a", 1, 1, 1, "y"), Row("b", 4, 4, 2, "x")])
    assert rows_in(page.read_text()) == {"a": Row("a", 1, 1, 1, "y"), "b": Row("b", 4, 4, 2, "x")}
    assert page.read_text().startswith("before\n")
    assert page.read_text().endswith("after\n")


def test_the_page_speaks_of_families_that_exist():
    page = (Path(__file__).parents[2] / "docs" / "reliability.md").read_text(encoding="utf-8")
    known = families()
    for name, row in rows_in(page).items():
        assert row.meaning == known[name].survived
        assert row.tried >= known[name].short
