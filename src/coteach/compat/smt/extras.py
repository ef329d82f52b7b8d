"""What an old configuration may have or not: metrics, classes, and keys that say what is done anyway."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from coteach.compat.smt.ledger import Section


def translate_extras(root: Section) -> dict[str, Any]:
    """``metrics``, ``class_names`` and ``class_colors``; None or empty where the file has none.

    Args:
        root: the whole file.
    """
    root.expect("mode", ("train",), "coteach train trains; see coteach predict and coteach evaluate")
    root.expect("image_key", ("image",), "the data sets give the image as 'image'")
    root.expect("mask_key", ("mask",), "the data sets give the label as 'mask'")
    root.expect("zero_init_extra_input_channels", (False,), "the network is taken as its class makes it")
    root.ignore("pl_trainer.accelerator says where to train", "device")
    root.take("backbone")  # values that other keys refer to
    classes = root.section("class_definitions")
    names, colors = classes.take("names"), classes.take("colors")
    classes.close()
    return {
        "metrics": _metrics(root),
        "class_names": names,
        "class_colors": None if colors is None else [_color(color) for color in colors],
    }


def _color(color: Any) -> str:
    """``#rrggbb`` of that, or of three numbers from 0 to 255."""
    return f"#{bytes(color).hex()}" if isinstance(color, list) else str(color)


def _metrics(root: Section) -> dict[str, Any]:
    """Figures by the name of their class, as that package logs them; a second one of a class gets a number."""
    metrics: dict[str, Any] = {}
    for index, node in enumerate(root.listed("metrics")):
        place = f"metrics[{index}]"
        if not isinstance(node, Mapping):
            root.ledger.refuse(place, f"is {node!r}, not a metric")
            continue
        base = str(node.get("_target_", "metric")).rpartition(".")[2]
        taken = sum(name.rstrip("0123456789") == base for name in metrics)
        metrics[f"{base}{taken + 1}" if taken else base] = dict(node)
        if node.get("ignore_index") is not None:
            root.ledger.note(f"{place}.ignore_index", "-1, which is what items without a label have here")
            metrics[f"{base}{taken + 1}" if taken else base]["ignore_index"] = -1
    return metrics
