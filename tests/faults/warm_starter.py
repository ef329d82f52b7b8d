"""Runs families in forks of a process that has imported what they need: one start for all of the short form.

It reads requests from its standard input, a JSON list a line: the file that gets what the fork prints, then the command
line of ``run_faults.py``. Of each it prints the exit code. It has no threads of its own, so it may be forked.
"""

from __future__ import annotations

import json
import os
import sys
from functools import partial

from fault_commands import end_with
from fault_imports import BUILDING, TRAINING, import_all
from run_faults import main


def _serve() -> None:
    import_all(*BUILDING, *TRAINING)
    for line in sys.stdin:
        log, *words = json.loads(line)
        pid = os.fork()
        if pid == 0:
            end_with(partial(_run, words), os.open(log, os.O_CREAT | os.O_WRONLY))
        _, status = os.waitpid(pid, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)  # noqa: T201 -- the answer


def _run(words: list[str]) -> None:
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)  # the next requests are for the starter
    main(words)


if __name__ == "__main__":
    _serve()
