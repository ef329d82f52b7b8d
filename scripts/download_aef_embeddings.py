"""The same as ``coteach download-aef-embeddings``: all arguments are handed on."""

from __future__ import annotations

import sys

from coteach.cli.main import main

if __name__ == "__main__":
    main(["download-aef-embeddings", *sys.argv[1:]])
