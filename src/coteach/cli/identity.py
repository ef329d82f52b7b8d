"""What decides the result of a run, as plain data: a folder is gone on with only if it is the same.

See docs/decisions/0005-run-identity.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, is_dataclass
from datetime import UTC, datetime
from hashlib import sha256
from inspect import signature
from pathlib import Path
from typing import Any

from coteach.cli.config import RunConfig
from coteach.cli.data_paths import FILES, IMAGES, MADE, TABLES, Node, files_of
from coteach.data.detection_set import DetectionDataset
from coteach.data.image_set import ImageSet
from coteach.errors import CoteachError
from coteach.methods.base import Method
from coteach.rasters.fingerprint import stamps
from coteach.tables import Table, read_table
from coteach.training.options import TrainerOptions
from coteach.training.streams import LoaderOptions

_NOT_OF_DATASET = {"in_memory", "clean_label_key", "clean_labels_key", *MADE}


def run_identity(
    config: RunConfig,
    *,
    method: Method,
    trainer: TrainerOptions,
    loader: LoaderOptions,
    datasets: Mapping[str, Any],
) -> Node:
    """What decides the result: options with their defaults, and the content of the data.

    Args:
        config: checked.
        method: made of it.
        trainer: made of it.
        loader: made of it.
        datasets: ``train``, and ``val`` and ``unlabelled`` where there are such, made of it.
    """
    unlabelled = config.unlabelled_dataset
    more = {} if unlabelled is None else {"unlabelled_dataset": _data(unlabelled, datasets["unlabelled"])}
    return more | {
        "method": config.method | _options_of(method),
        "model": config.model,
        "optimizer": config.optimizer,
        "scheduler": config.scheduler,
        "num_classes": config.num_classes,
        "seed": config.seed,
        "data_loader": loader.deciding(),
        "trainer": trainer.deciding(),
        "train_dataset": _data(config.train_dataset, datasets["train"]),
        "val_dataset": None if config.val_dataset is None else _data(config.val_dataset, datasets["val"]),
    }


def _options_of(method: Method) -> Node:
    """The method's options, those included that keep their defaults."""
    options = getattr(method, "config", None)
    return asdict(options) if is_dataclass(options) and not isinstance(options, type) else {}


def _without(content: Node, left_out: set[str]) -> Node:
    return {key: value for key, value in content.items() if key not in left_out}


def _data(node: Node, dataset: Any) -> Node:
    """A data set's options; its tables and the rasters it reads by their content, not by where they lie."""
    content = _without(node, _NOT_OF_DATASET)
    if isinstance(dataset, (ImageSet, DetectionDataset)):
        return _without(content, {*TABLES, *IMAGES}) | {"content": dataset.fingerprint()}
    rasters: dict[str, str] = {}
    for key in TABLES:
        if node.get(key) is None:
            continue
        try:
            table = read_table(node[key])
        except CoteachError:  # a data set of another package, which reads something else
            return content
        content[key] = f"content {sha256(table.path.read_bytes()).hexdigest()[:12]}"
        rasters |= _rasters(table, node, dataset)
    named = stamps(files_of(node))
    rasters |= {Path(file).name: _told(stamp) for file, stamp in named.items()}
    return _without(content, set(FILES)) | {"rasters": rasters}


def _rasters(table: Table, node: Node, dataset: Any) -> dict[str, str]:
    """Cell -> size and time of modification, of every file that the data set's columns name.

    Its columns are what its arguments ``*_key`` and ``*_keys`` say.
    """
    columns: set[str | None] = set()
    for name, parameter in signature(type(dataset)).parameters.items():
        value = node.get(name, parameter.default)
        if name.endswith("_key"):
            columns.add(value)
        elif name.endswith("_keys"):
            columns.update(value)
    cells = {row[column] for row in table.rows for column in columns if column and row.get(column)}
    located = {cell: table.located(cell) for cell in cells}
    files = {cell: file for cell, file in located.items() if file.is_file()}
    stamped = stamps(files.values())
    return {cell: _told(stamped[str(files[cell])]) for cell in sorted(files)}


def _told(stamp: list[int] | None) -> str:
    if stamp is None:
        return "no file"
    size, modified = stamp
    return f"{size} bytes of {datetime.fromtimestamp(modified // 10**9, UTC):%Y-%m-%d %H:%M:%S} (+{modified % 10**9} ns)"
