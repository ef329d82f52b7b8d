"""``run.json``: what a run is, how far it came, and whether it is the one that is asked for."""

from __future__ import annotations

import json
import platform
import re
import sys
from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from coteach.errors import TrainingError
from coteach.files import write_json

FILE = "run.json"
_PACKAGES = ("coteach", "torch", "lightning", "segmentation-models-pytorch", "albumentations", "rasterio")
_NAMED = 3  # differences, at most, in a message
_CONTENT = ".content"  # of a data set
_DIGEST = re.compile("[0-9a-f]{16}")
_NOTHING = object()
_LONG = 60  # characters of a value in a message


def read_state(folder: Path) -> dict[str, Any]:
    """What a run has noted of itself; empty if there is nothing.

    Raises:
        TrainingError: the file is damaged.
    """
    path = folder / FILE
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except ValueError as error:
        remedy = "delete the run's folder, or restore the file"
        raise TrainingError(str(path), f"is damaged ({error})", remedy) from error
    if not isinstance(content, dict):
        raise TrainingError(str(path), "is damaged", "delete the run's folder, or restore the file")
    return content


def write_state(folder: Path, facts: Mapping[str, Any]) -> None:
    """Note what a run is, with the command and the versions that made it."""
    made_by = {
        "command": " ".join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        "python": platform.python_version(),
        "packages": dict(_versions()),
    }
    write_json(folder / FILE, {**facts, **made_by})


def _versions() -> Iterator[tuple[str, str]]:
    for name in _PACKAGES:
        try:
            yield name, version(name)
        except PackageNotFoundError:
            continue


def refuse_another(folder: Path, state: Mapping[str, Any], identity: Mapping[str, Any]) -> None:
    """Refuse to go on with a run that was given other options or data.

    Args:
        folder: of the run, which has a checkpoint.
        state: what ``read_state`` gave.
        identity: what is asked for.

    Raises:
        TrainingError: they differ; the first keys are named with both values.
    """
    remedy = "choose another output_dir or delete it"
    if "identity" not in state:
        raise TrainingError(str(folder), "holds checkpoints, but nothing that says of which run", remedy)
    found = list(differences(state["identity"], json.loads(json.dumps(identity, default=str))))
    if found:
        rest = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
        cause = f"holds a run of another configuration: {', '.join(found[:_NAMED])}{rest}"
        raise TrainingError(str(folder), cause, remedy)


def differences(kept: Any, asked: Any, place: str = "") -> Iterator[str]:
    """Where plain data differ, in words, with both values.

    Args:
        kept: what was.
        asked: what is.
        place: of both, such as ``optimizer.lr``.

    Example:
        >>> list(differences({"lr": 0.1, "betas": [0.9, 0.99]}, {"lr": 0.2, "betas": [0.9, 0.99]}))
        ['lr was 0.1, is 0.2']
    """
    if isinstance(kept, Mapping) and isinstance(asked, Mapping):
        for key in dict.fromkeys([*kept, *asked]):
            inner = f"{place}.{key}" if place else str(key)
            yield from differences(kept.get(key, _NOTHING), asked.get(key, _NOTHING), inner)
    elif kept == asked:
        return
    elif all(
        isinstance(one, str) and _DIGEST.fullmatch(one) for one in (kept, asked)
    ):  # tell nobody anything
        yield f"the images or labels of {place.removesuffix(_CONTENT)} are not those the run began with"
    else:
        was, now = (None if one is _NOTHING else json.dumps(one) for one in (kept, asked))
        yield f"{place} was {_shown(was, now)}, is {_shown(now, was)}"


def _shown(text: str | None, other: str | None) -> str:
    """At most some sixty characters, those among them by which it differs from the other one."""
    if text is None:
        return "not set"
    if len(text) <= _LONG:
        return text
    alike = next((i for i, pair in enumerate(zip(text, other or "", strict=False)) if len(set(pair)) > 1), 0)
    start = max(alike - _LONG // 2, 0)
    end = start + _LONG
    return f"{'...' if start else ''}{text[start:end]}{'...' if end < len(text) else ''}"
