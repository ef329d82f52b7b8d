"""Pictures (PNG, JPEG, TIFF and whatever else Pillow reads) -> arrays."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float32

from coteach.data.image_labels import ImageLabels
from coteach.data.image_set import ImageSet, OnError, digest, other_extent
from coteach.data.picture_file import extent_of, fault_of
from coteach.data.sample import scale_divisor
from coteach.errors import CoteachWarning, InputError, MissingExtraError, OptionError
from coteach.rasters.fingerprint import stamps

if TYPE_CHECKING:
    from PIL.Image import Image

ENDINGS = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp", ".gif", ".ppm", ".pgm")
_DEEP = ("I;16", "I;16B", "I;16L", "I", "F")  # Pillow's modes of one band of 16 bits or of floats
_GREY = ("1", "L", "LA", *_DEEP)
_SHOWN = 5  # files that a message names
_LOOKED_AT = 64  # files whose size in pixels is compared beforehand
_MOST_VALUES = 2**28  # of one image: 1 GiB of floats, 9459 x 9459 pixels of three bands


class ImageFiles(ImageSet):
    """Images in files of their own, each with its label.

    Args:
        origin: the folder or table that names them, for messages.
        paths: one an image.
        labels: one an image.
        image_size: ``(height, width)`` in pixels, or one number for both, to which every image is resized
            (bilinear, its shape is not kept; at most 2^28 values in three bands); None leaves them as they are, and they must all be alike.
        num_bands: 1 (grey) or 3 (RGB); images of the other kind are converted. None takes that of the first image.
        augmentation_list: see :class:`ImageSet`.
        on_error: see :class:`ImageSet`.

    Attributes:
        paths: as given.
        image_size: height and width, or None.
    """

    def __init__(
        self,
        origin: Path,
        paths: Sequence[Path],
        labels: ImageLabels,
        *,
        image_size: int | Sequence[int] | None,
        num_bands: int | None,
        augmentation_list: Sequence[Any] | None,
        on_error: OnError,
    ) -> None:
        if num_bands not in (None, 1, 3):
            raise OptionError("num_bands", f"{num_bands} is not 1 or 3", "give 1 for grey, 3 for colours")
        self._origin = origin
        self.paths = list(paths)
        self.image_size = size_of(image_size)
        self._bands = num_bands
        super().__init__(labels, augmentation_list, on_error=on_error)
        self._bands = self.num_bands

    def read(self, index: int) -> Float32[np.ndarray, "bands h w"]:
        """The image in [0, 1] by its dtype: 8 bits / 255, 16 bits / 65535, floats as they are."""
        return read_picture(self.paths[index], self.image_size, self._bands)

    def place(self, index: int) -> str:
        """Its file."""
        return str(self.paths[index])

    def _cited(self, index: int) -> str:
        """How a message of :meth:`check_files`, which names the origin, names an image."""
        return self.place(index)

    def check_files(self) -> None:
        """Look for files that are missing, empty or not to be opened, and for several sizes in pixels.

        Each file's entry is looked at, which takes some ten microseconds; and the sizes of a few of them.

        Raises:
            InputError: see :class:`ImageSet`; or images that are not resized differ in size.
        """
        faults = {
            index: fault
            for index, path in enumerate(self.paths)
            if index not in self.skipped and (fault := fault_of(path))
        }
        if faults:
            self._tell(faults)
        if self.image_size is None and self._augment is None:
            self._compare_extents()

    def _tell(self, faults: dict[int, str]) -> None:
        shown = "; ".join(f"{self._cited(index)} {faults[index]}" for index in list(faults)[:_SHOWN])
        more = f"; and {len(faults) - _SHOWN} more" if len(faults) > _SHOWN else ""
        cause = f"{len(faults)} of {len(self)} images cannot be read ({shown}{more})"
        remedy = "correct the paths, or replace or remove the files"
        if self.on_error == "raise":
            raise InputError(str(self._origin), cause, f"{remedy}, or set on_error: skip")
        self.skipped |= faults.keys()
        if len(self.skipped) == len(self):
            raise InputError(str(self._origin), cause, remedy)
        warnings.warn(f"{self._origin}: {cause}; they are skipped", CoteachWarning, stacklevel=3)

    def _compare_extents(self) -> None:
        """Compare some images, from all over the set, as far as their headers tell; the others are seen in training."""
        expected = None
        for index in range(0, len(self), -(-len(self) // _LOOKED_AT)):
            extent = extent_of(self.paths[index])
            if extent is None:  # told of when it is read
                continue
            expected = expected or extent
            if extent != expected:
                raise other_extent(self.place(index), extent, expected)

    def _item(self, index: int, *args: Any, **options: Any) -> Any:
        return super()._item(index, *args, **options) | {"path": str(self.paths[index])}

    def fingerprint(self) -> str:
        """Of the files' names, sizes and times, and the labels."""
        stamped = stamps(self.paths)
        told = "\n".join(f"{path.name} {stamped[str(path)]}" for path in self.paths)
        weights = b"" if self.labels.weights is None else self.labels.weights.tobytes()
        return digest(told.encode(), self.labels.values.tobytes(), weights)


def size_of(given: int | Sequence[int] | None) -> tuple[int, int] | None:
    """Height and width of an ``image_size`` as data sets take it; None stays None.

    Raises:
        OptionError: it is no size, or far too large a one.
    """
    if given is None:
        return None
    sides: list[Any] = [given, given] if isinstance(given, int) else list(given)
    if len(sides) != 2 or not all(type(side) is int and side > 0 for side in sides):
        raise OptionError(
            "image_size", f"{given} is no size", "give [height, width] in pixels, or one number"
        )
    if 3 * sides[0] * sides[1] > _MOST_VALUES:
        cause = f"{sides[0]:,} x {sides[1]:,} pixels are more than {_MOST_VALUES:,} values in three bands"
        raise OptionError(
            "image_size", cause, "give the size in pixels that the network is to see, such as 224"
        )
    return sides[0], sides[1]


def read_picture(
    path: Path, size: tuple[int, int] | None = None, num_bands: int | None = None
) -> Float32[np.ndarray, "bands h w"]:
    """Read a picture.

    Args:
        path: the file.
        size: height and width to which it is resized, bilinear; None leaves it as it is.
        num_bands: 1 or 3; None decides by the picture: 1 for grey, else 3. Transparency is left out.

    Returns:
        ``(bands, H, W)`` float32: 8 bits / 255, 16 bits / 65535, floats as they are.

    Raises:
        InputError: there is no such file, it is damaged or no picture, or holds NaN.
        MissingExtraError: Pillow is not installed.
    """
    try:
        import PIL.Image
    except ModuleNotFoundError as error:
        remedy = "pip install 'coteach[training]'"
        raise MissingExtraError(str(path), "Pillow is not installed", remedy) from error
    try:
        with PIL.Image.open(path) as picture:
            if size is not None:
                picture.draft(None, (size[1], size[0]))  # a large JPEG is decoded at a fraction of its size
            array = _array(picture, size, num_bands)
    except FileNotFoundError:
        raise InputError(str(path), "does not exist", "correct the path, or set on_error: skip") from None
    except (OSError, ValueError, SyntaxError, EOFError, PIL.Image.DecompressionBombError) as error:
        cause = f"cannot be read ({' '.join(str(error).split())})"
        raise InputError(str(path), cause, "replace or remove it, or set on_error: skip") from error
    if not np.isfinite(array).all():
        raise InputError(str(path), "holds NaN or infinity", "replace or remove it, or set on_error: skip")
    return array


def _array(
    picture: Image, size: tuple[int, int] | None, num_bands: int | None
) -> Float32[np.ndarray, "bands h w"]:
    wanted = num_bands or (1 if picture.mode in _GREY else 3)
    divisor = 255.0
    if picture.mode in _DEEP:
        divisor = scale_divisor("float32" if picture.mode == "F" else "uint16", None, Path())
        picture = picture.convert("F")
    else:
        picture = picture.convert("L" if wanted == 1 else "RGB")
    if size is not None and picture.size != (size[1], size[0]):
        from PIL.Image import Resampling

        picture = picture.resize((size[1], size[0]), Resampling.BILINEAR)
    array = np.atleast_3d(np.asarray(picture)).transpose(2, 0, 1)
    if len(array) < wanted:
        array = np.repeat(array, wanted, 0)
    return np.ascontiguousarray(array, np.float32) / np.float32(divisor)
