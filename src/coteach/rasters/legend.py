"""Names and colours of classes, as rasters carry them: tags, colour tables and GDAL's category names."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from xml.sax.saxutils import escape

from rasterio.io import DatasetReader

from coteach.errors import CoteachError
from coteach.legend import Color, parse_color
from coteach.rasters.dataset import opened

_NAMES, _COLORS = "CLASS_NAMES", "CLASS_COLORS"


def read_legend(path: Path, num_classes: int) -> tuple[tuple[str, ...] | None, tuple[Color, ...] | None]:
    """What a raster says of its classes: in the tags ``CLASS_NAMES`` and ``CLASS_COLORS``, or in its colour table.

    Args:
        path: the raster.
        num_classes: ``C``.

    Returns:
        ``C`` names and ``C`` colours; None for what it does not say, or does not tell apart.

    Raises:
        RasterError: the file cannot be read.
    """
    with opened(path) as dataset:
        tags = dataset.tags()
        names = _listed(tags.get(_NAMES), num_classes)
        colors = _parsed(_listed(tags.get(_COLORS), num_classes)) or _in_table(dataset, num_classes)
    return names, colors


def find_legend(
    paths: Iterable[Path], num_classes: int
) -> tuple[tuple[str, ...] | None, tuple[Color, ...] | None]:
    """The names of the first raster that has some, and the colours of the first that has some.

    A raster that cannot be read is passed over: who needs its values will say what is wrong with it.

    Args:
        paths: rasters of the same classes.
        num_classes: ``C``.
    """
    names, colors = None, None
    for path in paths:
        try:
            own_names, own_colors = read_legend(path, num_classes)
        except CoteachError:
            continue
        names, colors = names or own_names, colors or own_colors
        if names and colors:
            break
    return names, colors


def legend_tags(names: Sequence[str] | None, colors: Sequence[Color] | None) -> dict[str, str]:
    """The tags that :func:`read_legend` reads: JSON lists, colours as ``#rrggbb``."""
    tags = {}
    if names is not None:
        tags[_NAMES] = json.dumps(list(names), ensure_ascii=False)
    if colors is not None:
        tags[_COLORS] = json.dumps(["#{:02x}{:02x}{:02x}".format(*color) for color in colors])
    return tags


def color_table(colors: Sequence[Color], entries: int = 256) -> Mapping[int, tuple[int, int, int, int]]:
    """A whole colour table: opaque classes, the rest transparent black."""
    opaque = {code: (*color, 255) for code, color in enumerate(colors)}
    return {code: opaque.get(code, (0, 0, 0, 0)) for code in range(entries)}


def category_names(names: Sequence[str]) -> str:
    """The text of a sidecar ``{raster}.aux.xml`` from which GDAL, and so QGIS, takes the names of a band's codes."""
    listed = "".join(f"      <Category>{escape(name)}</Category>\n" for name in names)
    return (
        '<PAMDataset>\n  <PAMRasterBand band="1">\n    <CategoryNames>\n'
        f"{listed}    </CategoryNames>\n  </PAMRasterBand>\n</PAMDataset>\n"
    )


def _listed(text: str | None, num_classes: int) -> tuple[str, ...] | None:
    """A JSON list of ``num_classes`` different texts; None for anything else."""
    try:
        values = json.loads(text or "null")
    except ValueError:
        return None
    fits = (
        isinstance(values, list)
        and len(values) == len({str(value) for value in values}) == num_classes
        and all(isinstance(value, str) for value in values)
    )
    return tuple(values) if fits else None


def _parsed(texts: Sequence[str] | None) -> tuple[Color, ...] | None:
    try:
        return None if texts is None else tuple(parse_color(text, _COLORS) for text in texts)
    except CoteachError:
        return None


def _in_table(dataset: DatasetReader, num_classes: int) -> tuple[Color, ...] | None:
    """The colour table's first entries, unless two of them are alike."""
    try:
        table = dataset.colormap(1)
    except ValueError:  # there is none
        return None
    colors = tuple(table[code][:3] for code in range(num_classes) if code in table)
    return colors if len(set(colors)) == num_classes else None
