"""Which images to find boxes in: those of a COCO file, or images, folders and tables as for maps."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from coteach.data.coco import read_coco
from coteach.data.detection_boxes import AnnotatedImage, Annotations
from coteach.data.image_files import ENDINGS
from coteach.data.scene_files import find_scenes
from coteach.errors import OptionError

_COCO = ".json"


def find_box_images(
    sources: Sequence[Path], image_dir: Path | None = None, image_key: str = "image_path"
) -> Annotations:
    """The images that are meant; whether they can be read is seen later.

    Args:
        sources: one COCO file, or what :func:`~coteach.data.scene_files.find_scenes` takes.
        image_dir: folder of a COCO file's images; None is the folder that the file lies in.
        image_key: column of tables.

    Returns:
        At least one image. Of a COCO file all that it says, ids too; its boxes are not looked at here. Else images
        without boxes and without classes: the id of each is its file name, or what the column ``tile_id`` says.

    Raises:
        OptionError: a COCO file comes with other sources or has no image, there is an ``image_dir`` without a COCO file,
            or as ``find_scenes``.
        InputError: the file is not COCO's, or a table is bad.
    """
    tables = [source for source in sources if source.suffix.lower() == _COCO]
    if tables:
        if len(sources) > 1:
            raise OptionError(str(tables[0]), "comes with other images", "give a COCO file alone")
        found = read_coco(tables[0], image_dir or tables[0].parent)
        if not found.images:
            raise OptionError(str(tables[0]), "has no images", "give at least one")
        return found
    if image_dir is not None:
        raise OptionError("--image-dir", "is for a COCO file", "leave it out, or give one")
    return Annotations(Path(), tuple(_loose(sources, image_key)), (), ())


def _loose(sources: Sequence[Path], image_key: str) -> list[AnnotatedImage]:
    images: dict[str, AnnotatedImage] = {}
    no_boxes, no_labels = np.zeros((0, 4), np.float32), np.zeros(0, np.int64)
    for scene in find_scenes(sources, image_key, ENDINGS):
        image_id = scene.path.name if scene.scene_id == scene.path.stem else scene.scene_id
        image = AnnotatedImage(image_id, scene.path, None, no_boxes, no_labels, no_boxes)
        if images.setdefault(image_id, image) is not image:
            raise OptionError(
                str(scene.path), f"has the id {image_id!r} of another image", "give another tile_id"
            )
    return list(images.values())
