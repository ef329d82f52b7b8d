"""Images that a table names more than once."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from pathlib import Path

from coteach.errors import CoteachWarning


def warn_of_repeats(origin: Path, paths: Sequence[Path], lines: Sequence[int]) -> None:
    """Warn of rows whose image an earlier row names: random parts of the table would share it.

    Args:
        origin: the table.
        paths: of the images, one a row.
        lines: where the rows are, each another.
    """
    first: dict[str, int] = {}
    again = [
        (line, earlier, path)
        for path, line in zip(paths, lines, strict=True)
        if (earlier := first.setdefault(os.path.normpath(path), line)) != line
    ]
    if again:
        line, earlier, path = again[0]
        warnings.warn(
            f"{origin}: {len(again)} of {len(paths)} rows name an image that is named before, first {path.name} in lines "
            f"{earlier} and {line}; where the rows are divided at random, as into folds, networks are judged by images "
            "that they learned; keep one row an image",
            CoteachWarning,
            stacklevel=4,
        )
