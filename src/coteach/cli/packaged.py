"""Example configurations that come with the package, by name."""

from __future__ import annotations

from pathlib import Path

from coteach import conf

_FOLDER = Path(conf.__file__).parent


def packaged_configs() -> dict[str, Path]:
    """Name -> file, in alphabetical order."""
    return {file.stem: file for file in sorted(_FOLDER.glob("*.yaml"))}


def find_config(path: Path) -> Path:
    """The configuration that is meant: a file of the user, else an example that is called so.

    Args:
        path: what the user gave, such as ``conf.yaml`` or ``co_teaching_full``.

    Returns:
        The example's file where there is no file ``path`` and it is the name of an example; else ``path``.
    """
    return path if path.is_file() else packaged_configs().get(str(path), path)


def summary(file: Path) -> str:
    """What a configuration says of itself: the first line of it, a comment."""
    with file.open(encoding="utf-8") as lines:
        return lines.readline().lstrip("# ").rstrip()
