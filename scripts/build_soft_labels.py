"""The same as ``coteach build-soft-labels``: all arguments are handed on."""

from __future__ import annotations

import sys

from coteach.cli.main import main

if __name__ == "__main__":
    main(["build-soft-labels", *sys.argv[1:]])
