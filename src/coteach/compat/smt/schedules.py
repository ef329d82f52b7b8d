"""Learning-rate schedules of an old configuration."""

from __future__ import annotations

from math import ceil
from typing import Any

from coteach.compat.smt.callbacks import figure_name
from coteach.compat.smt.ledger import Ledger, Section
from coteach.errors import CoteachError
from coteach.tables import read_table


def translate_scheduler(
    section: Section, *, trainer: dict[str, Any], dataset: dict[str, Any], loader: dict[str, Any]
) -> dict[str, Any] | None:
    """``scheduler_list``, or ``scheduler``, -> ``scheduler``.

    Args:
        section: the whole file.
        trainer: translated; gets ``monitor``.
        dataset: the translated training set, whose length OneCycleLR may need.
        loader: translated.
    """
    nodes = section.listed("scheduler_list")
    single = section.take("scheduler")
    if single is not None:
        section.ledger.note("scheduler", "taken as the one entry of scheduler_list, by epoch")
        nodes = [*nodes, {"scheduler": single}]
    if len(nodes) > 1:
        section.ledger.refuse("scheduler_list", f"{len(nodes)} schedules; one is possible")
    if not nodes:
        return None
    entry = Section(section.ledger, "scheduler_list[0]", nodes[0])
    node = dict(entry.section("scheduler").rest)
    node["interval"] = entry.take("interval", "epoch")
    entry.expect("frequency", (1,), "schedules go on by one")
    if str(node.get("_target_", "")).endswith("ReduceLROnPlateau"):
        trainer.setdefault("monitor", figure_name(str(entry.take("monitor", "val/loss"))))
    entry.ignore("has no effect on this schedule", "monitor", "name", "strict", "reduce_on_plateau")
    entry.close()
    if str(node.get("_target_", "")).endswith("OneCycleLR"):
        _count_steps(node, trainer, dataset, loader, section.ledger)
    return node


def _count_steps(
    node: dict[str, Any],
    trainer: dict[str, Any],
    dataset: dict[str, Any],
    loader: dict[str, Any],
    ledger: Ledger,
) -> None:
    """OneCycleLR without ``steps_per_epoch``: counted from the table of the training set."""
    if node.get("steps_per_epoch") is not None or node.get("total_steps") is not None:
        return
    place = "scheduler_list[0].scheduler.steps_per_epoch"
    if "input_csv_path" not in dataset:
        ledger.refuse(place, "missing, and it cannot be counted for this data set; give it")
        return
    try:
        rows = len(read_table(dataset["input_csv_path"]).rows)
    except CoteachError as error:
        ledger.refuse(place, f"missing, and it cannot be counted: {error.cause}")
        return
    devices = trainer.get("devices", 1)
    share = ceil(rows / (devices if isinstance(devices, int) and devices > 0 else 1))
    batches = share / loader.get("batch_size", 1)
    whole = int(batches) if loader.get("drop_last") else ceil(batches)
    node["steps_per_epoch"] = max(1, ceil(whole / trainer.get("accumulate_grad_batches", 1)))
    node.setdefault("epochs", trainer.get("max_epochs"))
    ledger.note(place, f"{node['steps_per_epoch']}, counted for {rows} rows")
