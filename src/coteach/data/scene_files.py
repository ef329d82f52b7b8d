"""Which scenes to predict: rasters, folders of rasters, or tables that name rasters."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from coteach.errors import OptionError, TableError
from coteach.rasters.sources import check_tile_id
from coteach.tables import read_table

SUFFIXES = (".tif", ".tiff", ".vrt", ".img", ".jp2", ".png", ".jpg", ".jpeg")


class SceneFile(NamedTuple):
    """A scene.

    Args:
        scene_id: names its maps; unique, whatever the case of letters.
        path: the image.
    """

    scene_id: str
    path: Path


def find_scenes(
    sources: Sequence[Path], image_key: str = "image_path", endings: Sequence[str] = SUFFIXES
) -> list[SceneFile]:
    """The scenes that are meant; whether the images can be read is seen later.

    Args:
        sources: a raster; a folder, for all rasters in it, sorted by name; or a ``.csv``, for the images of its rows.
        image_key: column with the image's path. The column ``tile_id``, if there is one, names the maps.
        endings: of the files that are taken from folders.

    Returns:
        At least one scene; in the order of ``sources``.

    Raises:
        OptionError: a source does not exist, a folder holds no raster, or two scenes have the same id.
        TableError: a table is missing a column, a path or all rows, or an id cannot be the name of a file.
    """
    found: dict[str, SceneFile] = {}
    for source in sources:
        for scene in _scenes_of(source, image_key, endings):
            earlier = found.setdefault(scene.scene_id.casefold(), scene)
            if earlier is not scene:
                cause = f"{earlier.path} and {scene.path} have the same id, {scene.scene_id!r}"
                raise OptionError("SCENES", cause, "give ids of their own in a CSV with the column tile_id")
    return list(found.values())


def _scenes_of(source: Path, image_key: str, endings: Sequence[str]) -> Iterator[SceneFile]:
    if source.is_dir():
        files = sorted(file for file in source.iterdir() if file.suffix.lower() in endings)
        if not files:
            remedy = "give a folder of images, or the images"
            raise OptionError(str(source), f"holds no raster ({' '.join(endings)})", remedy)
        yield from map(_scene_of_file, files)
    elif source.suffix.lower() == ".csv":
        yield from _scenes_of_table(source, image_key)
    elif source.is_file():
        yield _scene_of_file(source)
    else:
        raise OptionError(str(source), "does not exist", "give a raster, a folder of rasters or a CSV")


def _scene_of_file(file: Path) -> SceneFile:
    check_tile_id(file.stem, str(file))
    return SceneFile(file.stem, file)


def _scenes_of_table(source: Path, image_key: str) -> Iterator[SceneFile]:
    table = read_table(source)
    table.require(image_key)
    if not table.rows:
        raise TableError(str(source), "has no rows", "add a row for each scene")
    for index in range(len(table.rows)):
        image = table.located(table.text(index, image_key))
        scene_id = table.text(index, "tile_id") if "tile_id" in table.columns else image.stem
        check_tile_id(scene_id, table.where(index))
        yield SceneFile(scene_id, image)
