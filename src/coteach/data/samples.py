"""Sample data: fetched once, checked, prepared, kept in a cache folder."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import NamedTuple

from coteach.data.archives import unpack
from coteach.data.fetch import checksum, fetch, scratch_folder
from coteach.data.sample_sets import SAMPLES, SampleSet
from coteach.errors import DataUnavailableError, MissingExtraError, OptionError

_RECORD = "checksums.json"


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
    source: Path | None = None,
    progress: Callable[[None, str], AbstractContextManager[object]] | None = None,
) -> SampleFolder:
    """Make a sample data set available: fetch, check and prepare it, unless it is there and whole.

    Args:
        name: a key of :data:`SAMPLES`.
        cache_dir: keeps downloads, and the prepared set by default; :func:`default_cache_dir` if None.
        output_dir: folder for the prepared files; ``cache_dir / name`` if None.
        force: prepare it again although it is there, and over files of the same names that are not coteach's.
        source: folder with the data, for a set that has no package.
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
    _check_source(name, sample, source)
    news = "--force was given" if force else _why_not(sample, folder)
    if not news:
        return SampleFolder(folder, files, "")
    if output_dir is not None and not force:
        _check_foreign(sample, folder)
    _check_extras(name, sample)
    waiting = nullcontext() if progress is None else progress(None, f"fetching {name}")
    try:
        with waiting:
            _prepare(sample, _origin(name, sample, source, cache), folder)
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


def prepare_fashion_mnist(cache_dir: Path | None = None) -> Path:
    """Folder with Fashion-MNIST's four idx files (gzipped), made available as :func:`prepare_sample` does."""
    return prepare_sample("fashion-mnist", cache_dir=cache_dir).folder


def prepare_cifar10(cache_dir: Path | None = None) -> Path:
    """Folder with CIFAR-10's ``train.npz`` and ``test.npz``, of ``images`` (N, 32, 32, 3) and ``labels``, all uint8."""
    return prepare_sample("cifar10", cache_dir=cache_dir).folder


def prepare_cifar10n(cache_dir: Path | None = None) -> Path:
    """``labels.npz`` with CIFAR-10N's labels: ``clean, aggre, random1, random2, random3, worse``, uint8 (50000,)."""
    return prepare_sample("cifar10n", cache_dir=cache_dir).files["labels.npz"]


def _origin(name: str, sample: SampleSet, source: Path | None, cache: Path) -> Path:
    """The package's archive, fetched if need be, or the folder that the user has brought or installed."""
    if sample.installed is not None:
        return _installed(name, sample, *sample.installed)
    if sample.package is not None:
        return fetch(sample.package, cache / "downloads", thing=name, again=f"coteach data {name}")
    if source is None:
        remedy = f"get {sample.public} and run `coteach data {name} --from FOLDER`"
        raise DataUnavailableError(name, "is in no package", remedy)
    return source


def _installed(name: str, sample: SampleSet, module: str, distribution: str) -> Path:
    """The folder of a module, which is not imported."""
    found = importlib.util.find_spec(module)
    if found is None or found.origin is None:
        remedy = f"pip install {distribution}, then run `coteach data {name}` again"
        raise DataUnavailableError(name, f"comes with {distribution}, which is not installed", remedy)
    folder = Path(found.origin).parent
    for member, expected in sample.members.items():
        if not (folder / member).is_file() or checksum(folder / member) != expected:
            cause = f"{folder / member} is missing or another file than was known"
            raise DataUnavailableError(name, cause, f"install another version of {distribution}")
    return folder


def _prepare(sample: SampleSet, origin: Path, folder: Path) -> None:
    """Prepare the files aside, then put them in place, their record first.

    Killed in between, the record no longer fits the files: the next run sees that and starts over.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with scratch_folder(folder) as scratch:
        members, made = scratch / "members", scratch / "made"
        members.mkdir()
        made.mkdir()
        if sample.package is not None:
            unpack(origin, sample.members, members)
        sample.prepare(origin if sample.package is None else members, made)
        found = (file.relative_to(made).as_posix() for file in sorted(made.rglob("*")) if file.is_file())
        written = [*sample.files, *(file for file in found if file not in sample.files)]
        record = {"recipe": sample.recipe, "files": {file: checksum(made / file) for file in written}}
        (made / _RECORD).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
        for file in (_RECORD, *written):
            (folder / file).parent.mkdir(exist_ok=True)
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
    for file in (*sample.files, *sorted(set(sums) - set(sample.files))):
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


def _check_source(name: str, sample: SampleSet, source: Path | None) -> None:
    if source is None:
        return
    if sample.package is not None:
        raise OptionError(f"--from {source}", f"{name} is fetched, not given", "leave it out")
    if sample.installed is not None:
        cause = f"{name} comes with {sample.installed[1]}"
        raise OptionError(f"--from {source}", cause, "leave it out")
    if not source.is_dir():
        raise OptionError(f"--from {source}", "is no folder", f"give that of {sample.public}")


def _check_extras(name: str, sample: SampleSet) -> None:
    for module, extra in sample.needs.items():
        if importlib.util.find_spec(module) is None:
            raise MissingExtraError(name, f"{module} is not installed", f"pip install 'coteach[{extra}]'")
