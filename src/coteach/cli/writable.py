"""Places that cannot be written, found before the work whose result they are to hold."""

from __future__ import annotations

from pathlib import Path

from coteach.errors import OptionError
from coteach.files import partial_path


def check_writable_folder(folder: Path, option: str) -> None:
    """Refuse a folder that cannot be made or written. Nothing is made.

    Args:
        folder: where files are to be written later.
        option: how the user says where.

    Raises:
        OptionError: it is refused.
    """
    try:
        while not folder.exists():
            folder = folder.parent
        probe = partial_path(folder / "probe")
        probe.touch(exist_ok=False)
        probe.unlink()
    except OSError as error:
        cause = f"{folder} cannot be written ({error.strerror or error})"
        raise OptionError(option, cause, "choose a place that can be written") from error


def check_writable_file(file: Path, option: str) -> None:
    """Refuse a file that cannot be written; its folder need not be there. Nothing is made.

    Args:
        file: what is to be written later.
        option: how the user says where.

    Raises:
        OptionError: it is refused.
    """
    if file.is_dir():
        raise OptionError(f"{option} {file}", "is a folder", "give the name of a file")
    check_writable_folder(file.parent, f"{option} {file}")
