"""The long form of the suite of faults: ``make faults``, or ``python tests/faults/run_faults.py [FAMILY ...]``.

Every try's outcome is kept as it ends; started again, the suite goes on with what is missing and what has failed.
The table in ``docs/reliability.md`` gets a row for each family that is done.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path

import click

TESTS = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TESTS / "support"))

from fault_frame import Family, attempt, families  # noqa: E402
from fault_table import Row, update_table  # noqa: E402


def run_family(family: Family, count: int, seed: int, state: Path) -> Row:
    """Run the tries that have not been survived yet; the folders of those that fail are kept in the state folder."""
    state.mkdir(parents=True, exist_ok=True)
    slug = f"{family.name.replace(' ', '-').replace('/', '-')}-{seed}-{count}"
    ledger = state / f"{slug}.jsonl"
    lines = ledger.read_text(encoding="utf-8").splitlines() if ledger.exists() else []
    survived = {entry["try"] for entry in map(json.loads, lines) if entry["failure"] is None}
    tried = 0
    with tempfile.TemporaryDirectory(prefix="coteach-faults-") as scratch:
        for number, one in enumerate(family.tries(count, seed, _made(Path(scratch) / "shared"))):
            tried += 1
            if number in survived:
                continue
            folder = Path(scratch) / f"{number}"
            failure = attempt(one, folder, family.seconds)
            with ledger.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"try": number, "name": one.name, "failure": failure}) + "\n")
            if failure is None:
                survived.add(number)
                shutil.rmtree(folder)
            else:
                click.echo(f"  {number} {one.name}: {failure}")
                kept = state / f"{slug}-{number}"
                shutil.rmtree(kept, ignore_errors=True)
                shutil.move(folder, kept)
                shutil.move(f"{folder}.log", kept / "try.log")
    click.echo(f"{family.name}: {tried} tried, {len(survived)} survived")
    return Row(family.name, tried, len(survived), seed, family.survived)


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def main(words: list[str] | None = None) -> None:
    """Run the families that are named, or all.

    Args:
        words: the command line; None takes that of this process.
    """
    known = families()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("families", nargs="*", metavar="FAMILY", help=f"of: {', '.join(known)}")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--count", type=int, help="tries of each family; without it, the family's own long form"
    )
    parser.add_argument(
        "--state", type=Path, default=TESTS.parent / ".faults", help="outcomes, and folders of failures"
    )
    parser.add_argument("--short", action="store_true", help="as few tries as make test does")
    parser.add_argument("--table", type=Path, default=TESTS.parent / "docs" / "reliability.md")
    asked = parser.parse_args(words)
    if unknown := set(asked.families) - set(known):
        parser.error(f"no such family: {', '.join(sorted(unknown))}; there are: {', '.join(known)}")
    failed = 0
    for name in asked.families or known:
        family = known[name]
        if asked.short and not family.short:
            continue
        row = run_family(
            family, asked.count or (family.short if asked.short else family.long), asked.seed, asked.state
        )
        update_table(asked.table, [row])
        failed += row.tried - row.survived
    sys.exit(f"{failed} not survived; see {asked.state}" if failed else 0)


if __name__ == "__main__":
    main()
