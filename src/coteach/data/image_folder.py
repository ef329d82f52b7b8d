"""A folder a class."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from coteach.data.class_names import codes_by_name
from coteach.data.image_files import ENDINGS, ImageFiles
from coteach.data.image_labels import ImageLabels
from coteach.data.image_set import OnError
from coteach.errors import InputError


class ImageFolderDataset(ImageFiles):
    """Images of ``root/<class>/``, at any depth below; classes and files are sorted by their names.

    Files with other endings than those of pictures, and whatever begins with a dot, are left alone.

    Args:
        root: the folder.
        image_size: ``(height, width)`` in pixels or one number for both; None leaves images as they are.
        augmentation_list: albumentations transforms.
        on_error: ``raise``: an image that cannot be read stops the work; ``skip``: it never trains, and a warning
            counts it.
        class_names: the classes and their order; None takes the folders' names, sorted. A class may then
            lack its folder (in a small validation set), but a folder of another name is an error.
        num_bands: 1 or 3; None takes that of the first image.

    Attributes:
        paths: the images' files; the position of one is its id.
        class_names: as said above.

    Raises:
        InputError: the folder is missing, or holds no class folders, or a class folder is empty.
        OptionError: a class name is there twice, or is no text.

    Example:
        >>> train = ImageFolderDataset("flowers/train", image_size=64)  # doctest: +SKIP
        >>> train[0]["image"].shape, train.class_names  # doctest: +SKIP
        (torch.Size([3, 64, 64]), ['daisy', 'rose'])
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        image_size: int | Sequence[int] | None = None,
        augmentation_list: Sequence[Any] | None = None,
        on_error: OnError = "raise",
        *,
        class_names: Sequence[str] | None = None,
        num_bands: int | None = None,
    ) -> None:
        self.root = Path(root)
        names = _class_folders(self.root, class_names)
        paths: list[Path] = []
        codes: list[int] = []
        for code, name in enumerate(names):
            found = pictures_in(self.root / name)
            if not found and (self.root / name).is_dir():
                remedy = f"add images ({', '.join(ENDINGS[:4])}, ...), or remove the class"
                raise InputError(str(self.root / name), "is an empty class folder", remedy)
            paths += found
            codes += [code] * len(found)
        super().__init__(
            self.root,
            paths,
            ImageLabels(np.array(codes, np.int64), class_names=names),
            image_size=image_size,
            num_bands=num_bands,
            augmentation_list=augmentation_list,
            on_error=on_error,
        )


def _class_folders(root: Path, wanted: Sequence[str] | None) -> list[str]:
    if not root.is_dir():
        raise InputError(str(root), "is no folder", "give the folder that holds one folder a class")
    found = sorted(
        entry.name for entry in root.iterdir() if entry.is_dir() and not entry.name.startswith(".")
    )
    if not found:
        raise InputError(str(root), "holds no class folders", "put the images of each class into a folder")
    if wanted is None:
        return found
    codes_by_name(wanted)  # refuses them
    if other := sorted(set(found) - set(wanted)):
        raise InputError(str(root / other[0]), "is none of the class_names", "add it, or remove the folder")
    return list(wanted)


def pictures_in(folder: Path) -> list[Path]:
    """The pictures in a folder, at any depth below, sorted by name; what begins with a dot is left alone."""
    return sorted(
        file
        for file in folder.rglob("*")
        if file.suffix.lower() in ENDINGS
        and not file.is_dir()
        and not any(part.startswith(".") for part in file.relative_to(folder).parts)
    )
