"""Write the maps of a scene while it is predicted: rows come in, whole blocks go to the files.

There are two files, as a GeoTIFF has a colour table only if it has one band:

- ``{id}_class.tif``: class codes, uint8 (uint16 of more than 255 classes), the largest number for NoData; colour
  table, class names as the tag ``CLASS_NAMES`` and, for GDAL and QGIS, in ``{id}_class.tif.aux.xml``.
- ``{id}_confidence.tif``: float32 in [0, 1], NaN for NoData. Band 1 ``confidence`` is the probability of the class,
  band 2 ``disagreement``, if asked for, the distance between the networks' distributions.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float32, Int64, Shaped
from rasterio.io import DatasetWriter

from coteach.files import write_text
from coteach.legend import Legend
from coteach.rasters.grid import Grid, Window
from coteach.rasters.legend import category_names, color_table, legend_tags
from coteach.rasters.write import BLOCK, RasterLayout, raster_writer


@dataclass(frozen=True, slots=True)
class SceneFiles:
    """Where the maps of a scene are.

    Args:
        folder: of the maps.
        scene_id: names them.
    """

    folder: Path
    scene_id: str

    @property
    def classes(self) -> Path:
        """The class map."""
        return self.folder / f"{self.scene_id}_class.tif"

    @property
    def names(self) -> Path:
        """The class names for GDAL."""
        return self.folder / f"{self.scene_id}_class.tif.aux.xml"

    @property
    def confidence(self) -> Path:
        """Confidence and disagreement."""
        return self.folder / f"{self.scene_id}_confidence.tif"

    @property
    def maps(self) -> tuple[Path, Path]:
        """Both rasters. The names' file is not ours alone: who views the map may keep statistics there."""
        return self.classes, self.confidence


class SceneWriter:
    """Takes finished rows; made by :func:`scene_writer`."""

    def __init__(self, classes: WholeBlocks, confidence: WholeBlocks, nodata: int) -> None:
        self._classes = classes
        self._confidence = confidence
        self._nodata = nodata

    def write(
        self,
        window: Window,
        classes: Int64[np.ndarray, "h w"],
        confidence: Float32[np.ndarray, "h w"],
        disagreement: Float32[np.ndarray, "h w"] | None,
        valid: Bool[np.ndarray, "h w"],
    ) -> None:
        """Write rows, those of one band of columns from top to bottom.

        Args:
            window: where they lie.
            classes: codes.
            confidence: NaN where not ``valid``.
            disagreement: as ``confidence``; for a file with that band.
            valid: where the image has data.
        """
        codes = np.where(valid, classes, self._nodata)
        figures = [confidence] if disagreement is None else [confidence, disagreement]
        self._classes.add(window, codes[None].astype(np.uint8 if self._nodata < 256 else np.uint16))
        self._confidence.add(window, np.stack(figures))


@contextmanager
def scene_writer(
    files: SceneFiles, grid: Grid, legend: Legend, *, disagreement: bool
) -> Iterator[SceneWriter]:
    """The maps of a scene, to be written part by part; they get their names when the block ends without an error.

    Args:
        files: where to.
        grid: of the scene.
        legend: names and colours of the classes.
        disagreement: whether there is a second band beside confidence.

    Raises:
        RasterError: a file cannot be written.
    """
    wide = len(legend.names) > 255
    nodata = 65535 if wide else 255
    descriptions = ["confidence", "disagreement"][: 1 + disagreement]
    with (
        raster_writer(
            files.classes,
            RasterLayout(grid, 1, "uint16" if wide else "uint8", nodata),
            tags=legend_tags(legend.names, None),
            descriptions=["class"],
            colors=color_table(legend.colors, nodata + 1),
        ) as classes,
        raster_writer(
            files.confidence,
            RasterLayout(grid, len(descriptions), "float32", float("nan")),
            descriptions=descriptions,
        ) as confidence,
    ):
        yield SceneWriter(WholeBlocks(classes), WholeBlocks(confidence), nodata)
        write_text(files.names, category_names(legend.names))


class WholeBlocks:
    """Keeps rows back until their blocks are complete: one written twice would leave a hole in a compressed file.

    Args:
        dataset: the file.
    """

    def __init__(self, dataset: DatasetWriter) -> None:
        self._dataset = dataset
        self._waiting: Shaped[np.ndarray, "bands rows cols"] | None = None

    def add(self, window: Window, values: Shaped[np.ndarray, "bands h w"]) -> None:
        """Write rows; those of one band of columns come from top to bottom."""
        end = window.row_off + window.height
        if self._waiting is not None:
            values = np.concatenate([self._waiting, values], axis=1)
        top = end - values.shape[1]
        last = end if end == self._dataset.height else max(end // BLOCK * BLOCK, top)
        if last > top:
            rows = Window(top, window.col_off, last - top, window.width)
            self._dataset.write(values[:, : last - top], window=rows.for_gdal())
        self._waiting = values[:, last - top :].copy() if last < end else None
