"""Images that a table names, each with its label."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from coteach.data.class_names import codes_by_name
from coteach.data.image_files import ImageFiles
from coteach.data.image_labels import ImageLabels
from coteach.data.image_rows import label_code, label_fault, refuse_names, row_fault, tell_of_rows
from coteach.data.image_set import OnError
from coteach.data.repeated_images import warn_of_repeats
from coteach.errors import TableError
from coteach.tables import Table, read_table


class ImageTableDataset(ImageFiles):
    """Images of a CSV file with the columns ``path`` and ``label``, or others that are named.

    A label is an integer from 0 (also written 1.0), or one of ``class_names``; an empty cell or -1 is no label.

    Args:
        input_csv_path: the table.
        root: folder of relative paths; None looks beside the table, then in the working directory.
        image_size: ``(height, width)`` in pixels or one number for both; None leaves images as they are.
        augmentation_list: albumentations transforms.
        on_error: ``raise``: rows and images that cannot be read stop the work; ``skip``: such rows are left out and
            such images never train, and a warning counts them.
        path_key: column of the path.
        label_key: column of the label.
        weight_key: column of the confidence in the label, in [0, 1]; None means 1 for all.
        clean_label_key: column of the true class where it is known, written as labels are. Nothing learns from it:
            training records which share of the selected labels is right. A cell that is no class stops the work, always.
        class_names: names by code; needed if labels are names.
        num_bands: 1 or 3; None takes that of the first image.

    Attributes:
        rows: the rows that are used, column -> text.

    Raises:
        TableError: the table is missing or lacks a column, has no rows, or has rows that cannot be read; the message
            names their lines.
        OptionError: a class name is there twice, or is no text.

    Example:
        >>> train = ImageTableDataset("train.csv", class_names=["cat", "dog"])  # doctest: +SKIP
        >>> train[0]["mask"]  # doctest: +SKIP
        tensor(1)
    """

    def __init__(
        self,
        input_csv_path: str | os.PathLike[str],
        root: str | os.PathLike[str] | None = None,
        image_size: int | Sequence[int] | None = None,
        augmentation_list: Sequence[Any] | None = None,
        on_error: OnError = "raise",
        *,
        path_key: str = "path",
        label_key: str = "label",
        weight_key: str | None = None,
        clean_label_key: str | None = None,
        class_names: Sequence[str] | None = None,
        num_bands: int | None = None,
    ) -> None:
        bad: dict[int, str] = {}
        table = read_table(input_csv_path, bad)
        label_keys = [label_key] + ([] if clean_label_key is None else [clean_label_key])
        table.require(path_key, *label_keys, *([] if weight_key is None else [weight_key]))
        codes = codes_by_name(() if class_names is None else class_names)
        if not codes:
            refuse_names(table, label_key)
        good = [
            index
            for index, row in enumerate(table.rows)
            if not (fault := row_fault(row, path_key, label_key, weight_key, codes))
            or bad.update({table.lines[index]: fault})
        ]
        tell_of_rows(table, bad, on_error)
        untrue = {
            table.lines[index]: fault
            for index in good
            for key in label_keys[1:]
            if (fault := label_fault(key, table.rows[index][key], codes))
        }
        # never skipped: true classes do not decide which images are learned from
        tell_of_rows(table, untrue, "raise", "correct them; an empty cell means not known")
        if not good:
            cause = "has no rows that can be read" if bad else "has no rows"
            raise TableError(str(table.path), cause, "give a table with at least one image")
        self.rows = [table.rows[index] for index in good]
        self._lines = [table.lines[index] for index in good]
        labels, *clean = (
            np.array([label_code(row[key], codes) for row in self.rows], np.int64) for key in label_keys
        )
        weights = None
        if weight_key is not None:
            weights = np.array([float(row[weight_key]) for row in self.rows], np.float32)
        paths = [_located(table, row[path_key].strip(), root) for row in self.rows]
        warn_of_repeats(table.path, paths, self._lines)
        super().__init__(
            table.path,
            paths,
            ImageLabels(labels, weights, class_names=class_names, clean=clean[0] if clean else None),
            image_size=image_size,
            num_bands=num_bands,
            augmentation_list=augmentation_list,
            on_error=on_error,
        )

    def check_classes(self, num_classes: int) -> None:
        """Refuse labels that are none of the classes.

        Raises:
            InputError: a label is neither one of 0 to ``num_classes - 1`` nor -1; the message names its line.
        """
        self.labels.check(num_classes, lambda index: f"{self._origin}, line {self._lines[index]}")

    def _cited(self, index: int) -> str:
        return f"line {self._lines[index]}: {self.place(index)}"


def _located(table: Table, cell: str, root: str | os.PathLike[str] | None) -> Path:
    return table.located(cell) if root is None else Path(root) / cell
