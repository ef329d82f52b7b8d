"""Which arguments of data sets are paths: made absolute for another working directory, and told by their content."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

Node = dict[str, Any]

TABLES = ("input_csv_path", "sources_csv", "windows_csv")
FILES = ("mbtiles_path", "mask_dir", "mask_paths", "lulc_paths")
IMAGES = (
    "root",
    "images",
    "labels",
    "weights",
    "clean_labels",
    "annotations",
    "image_dir",
)  # of images with labels or boxes
MADE = ("cache_dir", "window_index_cache")  # by the data set itself: where it keeps what it has worked out


def absolute(node: Node) -> Node:
    """A data set's node with paths that mean the same from any working directory."""
    return _changed(node, (*TABLES, *FILES, *IMAGES, *MADE), lambda path: str(path.resolve()))


def _changed(node: Node, keys: Sequence[str], change: Callable[[Path], str]) -> Node:
    changed = dict(node)
    for key in keys:
        value = node.get(key)
        if isinstance(value, str):
            changed[key] = change(Path(value))
        elif isinstance(value, list):
            changed[key] = [change(Path(entry)) for entry in value]
    return changed


def missing_of(node: Node) -> Iterator[tuple[str, Path]]:
    """Arguments, each with the path in it, where nothing lies."""
    for key in (*TABLES, *FILES, *IMAGES):
        value = node.get(key)
        for entry in value if isinstance(value, list) else [value]:
            if isinstance(entry, str) and not Path(entry).exists():
                yield key, Path(entry)


def files_of(node: Node) -> Iterator[Path]:
    """The rasters that a node names by themselves, those of a folder too."""
    for key in FILES:
        value = node.get(key)
        for entry in [value] if isinstance(value, str) else value or ():
            path = Path(entry)
            yield from sorted(file for file in path.iterdir() if file.is_file()) if path.is_dir() else [path]
