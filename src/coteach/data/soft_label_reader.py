"""The rasters behind a table of soft labels: found, checked against each other, read row by row."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from coteach.data.embedding_input import ImageScale
from coteach.data.sample_reader import Label, SampleReader
from coteach.errors import RasterError
from coteach.rasters.grid import Window
from coteach.rasters.read import read_soft_label
from coteach.tables import Table


class _Files(NamedTuple):
    image: Path
    p_soft: Path
    w_conf: Path | None = None


class SoftLabelReader(SampleReader):
    """Reads the image, P_soft and W_conf of a table's rows.

    Args:
        table: at least one row.
        keys: its columns with the paths of the image, P_soft and, optionally, W_conf.
        windows: for each row the part of its files to read; None is all of them.
        image_scale: what images are divided by, or ``"embeddings"``; None goes by their dtype.
        in_memory: keep every sample that was read.

    Attributes:
        num_bands: bands of the images.
        num_classes: bands of P_soft.

    Raises:
        TableError: a column or a path is missing.
        RasterError: a file is missing or cannot be read.
    """

    def __init__(
        self,
        table: Table,
        keys: Sequence[str],
        windows: Sequence[Window | None],
        image_scale: ImageScale,
        *,
        in_memory: bool = False,
    ) -> None:
        self._files = _find_files(table, keys)
        images = [files.image for files in self._files]
        super().__init__(table, range(len(images)), images, windows, image_scale, in_memory=in_memory)
        self.num_classes = self._layout(self._files[0].p_soft).bands

    def _label(self, index: int) -> Label:
        _, p_soft, w_conf = self._files[index]
        return Label(*read_soft_label(p_soft, w_conf, self._windows[index]), p_soft, w_conf)

    def _check_fit(self, index: int) -> None:
        super()._check_fit(index)
        files = self._files[index]
        self._check_bands(files.p_soft, self.num_classes)
        image = self._layout(files.image)
        for path in (files.p_soft, files.w_conf):  # W_conf has one band or two, which its reader tells apart
            if path is None:
                continue
            layout = self._layout(path)
            if (layout.height, layout.width) != (image.height, image.width):
                size = f"{image.height} x {image.width}"
                cause = f"has {layout.height} x {layout.width} pixels, {files.image} has {size}"
                remedy = "give rasters on the image's grid (coteach build-soft-labels)"
                raise RasterError(str(path), cause, remedy)


def _find_files(table: Table, keys: Sequence[str]) -> list[_Files]:
    """The files of every row; all of them exist."""
    table.require(*keys)
    found: dict[str, Path] = {}
    files = []
    for index in range(len(table.rows)):
        for key in keys:
            cell = table.text(index, key)
            if cell not in found:
                found[cell] = table.located(cell)
                if not found[cell].is_file():
                    cause = f"{key} {found[cell]} does not exist"
                    raise RasterError(table.where(index), cause, "correct the path or drop the row")
        files.append(_Files(*(found[table.text(index, key)] for key in keys)))
    return files
