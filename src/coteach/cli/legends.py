"""What the classes of a run are called and how they are drawn."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from coteach.cli.config import RunConfig
from coteach.errors import CoteachError
from coteach.legend import Legend, parse_color
from coteach.rasters.legend import find_legend
from coteach.tables import read_table


def legend_of(config: RunConfig, rasters: Iterable[Path] = ()) -> Legend:
    """Names and colours from the configuration, else from a raster that has its own, else from the palette.

    Args:
        config: of the run.
        rasters: asked in this order; those that cannot be read are passed over.
    """
    names, colors = config.class_names, config.class_colors
    own_names, own_colors = None, None
    if names is None or colors is None:
        own_names, own_colors = find_legend(rasters, config.num_classes)
    given = None if colors is None else [parse_color(color, "class_colors") for color in colors]
    return Legend.of(config.num_classes, names or own_names, given or own_colors)


def trained_on(config: RunConfig) -> list[Path]:
    """The first P_soft that the run was trained on; it knows the names and colours that its sources had.

    Empty if the table is gone, or is of another kind: a legend is worth no failure.
    """
    node = config.train_dataset
    try:
        table = read_table(str(node.get("input_csv_path", "")))
        return [table.located(table.text(0, str(node.get("p_soft_key", "p_soft_path"))))]
    except (CoteachError, LookupError):
        return []
