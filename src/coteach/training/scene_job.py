"""Predict many scenes into a folder: those that are up to date are left alone, one that fails does not stop the rest."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from coteach.data.scene import SceneImage
from coteach.data.scene_files import SceneFile
from coteach.errors import CoteachError, RasterError
from coteach.files import remove_leftovers
from coteach.legend import Legend
from coteach.methods.base import Method
from coteach.rasters.dataset import files_behind
from coteach.rasters.failures import FAILURES, write_failures
from coteach.rasters.fingerprint import read_record, stamps, write_record
from coteach.rasters.pool import Progress
from coteach.rasters.scene_writer import SceneFiles, scene_writer
from coteach.rasters.write import writable
from coteach.tables import path_from, write_table
from coteach.training.scenes import SceneOptions, compared_networks, count_windows, predict_scene

PREDICTIONS = "predictions.csv"
_RECORDS = "fingerprints"
_COLUMNS = ("tile_id", "image_path", "class_path", "confidence_path")
_PREDICTED, _EMPTY = "predicted", "no data"  # what is noted of the maps of a scene
Id = TypeVar("Id", bound=int | str)


@dataclass(frozen=True, kw_only=True)
class SceneJob:
    """What to predict scenes with.

    Args:
        method: trained.
        legend: names and colours of its classes.
        output_dir: gets the maps and tables.
        options: windows.
        image_scale: see :class:`~coteach.data.scene.SceneImage`.
        augmentation_list: of the training data; only a ``Normalize`` that always applies counts.
        made_by: plain data that tells one model and its preprocessing from another.
    """

    method: Method
    legend: Legend
    output_dir: Path
    options: SceneOptions
    image_scale: float | str | None = None
    augmentation_list: Sequence[Any] | None = None
    made_by: Mapping[str, Any]

    @property
    def num_classes(self) -> int:
        """``C``."""
        return len(self.legend.names)


@dataclass(frozen=True, slots=True)
class SceneReport:
    """What became of the scenes.

    Args:
        table: of the maps that are there.
        made: ids of the scenes predicted now.
        up_to_date: ids of those whose maps were there already.
        failures: id and error of those that failed.
        nowhere: ids of those predicted now that do not say where on earth they lie.
        empty: ids of those that have data nowhere, so that their maps have none either.
    """

    table: Path
    made: tuple[str, ...]
    up_to_date: tuple[str, ...]
    failures: tuple[tuple[str, str], ...]
    nowhere: tuple[str, ...]
    empty: tuple[str, ...]


class _Task(NamedTuple):
    """A scene that can be read, and has to be predicted."""

    scene: SceneFile
    image: SceneImage
    made_of: dict[str, Any]


def predict_scenes(
    scenes: Sequence[SceneFile], job: SceneJob, progress: Progress, tell: Callable[[str], None]
) -> SceneReport:
    """Predict scenes; see :func:`~coteach.training.scenes.predict_scene` for how.

    Args:
        scenes: at least one, with different ids.
        job: with what, and where to.
        progress: called with the number of windows and a label, a context manager that gives what to call after each.
        tell: called with a line about each scene that is done.

    Returns:
        What was done; ``predictions.csv`` lists the maps, ``failures.csv`` what failed.

    Raises:
        OptionError: the folder cannot be written, or disagreement is asked of a method with one network.
    """
    compared_networks(job.method, job.options)  # refused before anything is written
    with writable(job.output_dir):
        _prepare(job.output_dir)
    failures: dict[str, str] = {}
    tasks, kept, made = [], [], []
    contents: dict[str, str] = {}  # scene -> what was noted of its maps
    for scene in scenes:
        with noted(scene.scene_id, scene.path, failures):
            task = _look_at(scene, job)
            if isinstance(task, str):
                kept.append(scene.scene_id)
                contents[scene.scene_id] = task
            else:
                tasks.append(task)
    windows = sum(count_windows(job.method, task.image, job.num_classes, job.options) for task in tasks)
    with progress(windows, "windows") as advance:
        for task in tasks:
            with noted(task.scene.scene_id, task.scene.path, failures):
                contents[task.scene.scene_id] = _predict(task, job, advance)
                made.append(task.scene.scene_id)
            tell(f"{task.scene.scene_id}: {failures.get(task.scene.scene_id, 'predicted')}")
    with writable(job.output_dir):
        table = _write_tables(scenes, job.output_dir, failures)
    ids = {task.scene.scene_id for task in tasks if not task.image.grid.crs}
    nowhere = tuple(scene for scene in made if scene in ids)
    empty = tuple(scene for scene, content in contents.items() if content == _EMPTY)
    return SceneReport(table, tuple(made), tuple(kept), tuple(failures.items()), nowhere, empty)


def _prepare(folder: Path) -> None:
    """Make the folders, and clear away what a killed run left half-written."""
    for made in (folder, folder / _RECORDS):
        made.mkdir(parents=True, exist_ok=True)
        remove_leftovers(made)


@contextmanager
def noted(
    scene_id: Id, path: Path, failures: dict[Id, str], *, smaller: str = "try a smaller --window"
) -> Iterator[None]:
    """Note what is wrong with a scene; the next one follows.

    Args:
        scene_id: of the scene, a name or a number.
        path: its image.
        failures: gets id -> error.
        smaller: what helps where memory is short.
    """
    try:
        yield
    except CoteachError as error:
        failures[scene_id] = str(error)
    except MemoryError:
        failures[scene_id] = str(RasterError(str(path), "does not fit into memory", smaller))
    except OSError as error:
        remedy = "free space there, or choose a folder that can be written"
        failures[scene_id] = str(RasterError(str(path), f"cannot be kept ({error})", remedy))


def _look_at(scene: SceneFile, job: SceneJob) -> _Task | str:
    """What is to be done for a scene; if its maps are up to date, what was noted of them."""
    options = {key: value for key, value in asdict(job.options).items() if key != "batch_size"}
    made_of = {
        "by": job.made_by,
        "options": options,
        "legend": [job.legend.names, job.legend.hex_colors()],
        "files": stamps(file.absolute() for file in files_behind(scene.path)),
    }
    files = SceneFiles(job.output_dir, scene.scene_id)
    if (content := read_record(_record(files), made_of, files.maps)) is not None:
        return str(content)
    image = SceneImage(scene.path, image_scale=job.image_scale, augmentation_list=job.augmentation_list)
    return _Task(scene, image, made_of)


def _predict(task: _Task, job: SceneJob, advance: Callable[..., None]) -> str:
    """Write the maps of a scene; what is noted of them."""
    files = SceneFiles(job.output_dir, task.scene.scene_id)
    parts = predict_scene(job.method, task.image, job.num_classes, job.options, advance=advance)
    with scene_writer(files, task.image.grid, job.legend, disagreement=job.options.disagreement) as writer:
        content = _EMPTY
        for part in parts:
            writer.write(part.window, part.classes, part.confidence, part.disagreement, part.valid)
            content = _PREDICTED if part.valid.any() else content
    write_record(_record(files), task.made_of, files.maps, result=content)
    return content


def _record(files: SceneFiles) -> Path:
    return files.folder / _RECORDS / f"{files.scene_id}_class.json"


def _write_tables(scenes: Sequence[SceneFile], folder: Path, failures: Mapping[str, str]) -> Path:
    rows = []
    for scene in scenes:
        if scene.scene_id not in failures:
            files = SceneFiles(folder, scene.scene_id)
            paths = (path_from(folder, path) for path in (scene.path, *files.maps))
            rows.append(dict(zip(_COLUMNS, (scene.scene_id, *paths), strict=True)))
    table = folder / PREDICTIONS
    write_table(table, _COLUMNS, rows)
    write_failures(folder / FAILURES, list(failures.items()))
    return table
