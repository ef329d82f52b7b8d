"""Tree crowns from the air: one scene has boxes, the next one only images. A second look at what `blood_cells.py` measures.

    python benchmarks/tree_crowns.py --seeds 0 1 2 --folder runs/tree_crowns      # resumable

The 12 tiles of `yell-541` are labelled. Of the 42 tiles of `yell-528`, every second one is an unlabelled image; the others are for
validation and test, by turns. Tiles do not overlap; a crown on an edge may show in two of them.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from coteach.data.detection_files import CocoDetectionDataset
from coteach.data.samples import prepare_sample
from coteach.files import write_json
from detection_choices import arguments, labelled_view, largest, unlabelled_view
from detection_runs import Setting, run_setting
from detection_table import print_table
from lite_detector import lite_detector
from lite_network import lite_weights
from reduced_images import reduced

_SIDES = (0.06, 0.1, 0.16, 0.25)  # anchors, in shorter sides of a tile
_PARTS: Mapping[str, Callable[[int], bool]] = {
    "unlabelled": lambda place: place % 2 == 0,
    "val": lambda place: place % 4 == 1,
    "test": lambda place: place % 4 == 3,
}


def main() -> None:
    """Train what is not there yet, print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    arguments(parser, folder="runs/tree_crowns", size=200)
    options = parser.parse_args()
    ready, images = prepare_sample("tree-crowns"), options.folder / f"reduced_{options.size}"
    scenes = [
        reduced(ready.files[f"yell-{name}.json"], ready.folder, images, largest(options.size))
        for name in ("528", "541")
    ]
    files = parts_of(*scenes, options.folder / "parts")
    rows = [
        run_setting(setting_of(files, images, method, seed, options), options)
        for seed in options.seeds
        for method in options.methods
    ]
    print_table(rows)


def parts_of(other: Path, labelled: Path, folder: Path) -> dict[str, Path]:
    """COCO files of the parts of one scene, of the labelled scene, and of that and the unlabelled part together."""
    content, first = (json.loads(file.read_text(encoding="utf-8")) for file in (other, labelled))
    parts = {name: some_of(content, chosen) for name, chosen in _PARTS.items()}
    shift = max(entry["id"] for entry in first["images"]) + 1
    more = parts["unlabelled"]
    together = {
        **first,
        "images": first["images"] + [{**one, "id": one["id"] + shift} for one in more["images"]],
        "annotations": first["annotations"]
        + [
            {**one, "id": f"b{one['id']}", "image_id": one["image_id"] + shift} for one in more["annotations"]
        ],
    }
    written = {}
    for name, part in {"labelled": first, "all": together, **parts}.items():
        written[name] = folder / f"{name}.json"
        folder.mkdir(parents=True, exist_ok=True)
        write_json(written[name], part)
    return written


def some_of(content: Mapping[str, Any], chosen: Callable[[int], bool]) -> dict[str, Any]:
    """Some images of a COCO file, by their place in the order of ids, and their boxes."""
    images = sorted(content["images"], key=lambda entry: entry["id"])
    kept = [entry for place, entry in enumerate(images) if chosen(place)]
    ids = {entry["id"] for entry in kept}
    return {
        **content,
        "images": kept,
        "annotations": [one for one in content["annotations"] if one["image_id"] in ids],
    }


def setting_of(
    files: Mapping[str, Path], images: Path, method: str, seed: int, options: argparse.Namespace
) -> Setting:
    """The images and boxes of one run."""
    size = options.size
    everything = method == "all_labels"
    return Setting(
        name="all" if everything else "scene",
        method=method,
        seed=seed,
        labelled=CocoDetectionDataset(
            files["all" if everything else "labelled"], images, weak=labelled_view(size)
        ),
        unlabelled=None
        if everything
        else CocoDetectionDataset(files["unlabelled"], images, labelled=False, weak=unlabelled_view(size)),
        judged={part: CocoDetectionDataset(files[part], images) for part in ("val", "test")},
        network=partial(
            lite_detector,
            1,
            (size, 2 * size),
            sides=tuple(round(side * size) for side in _SIDES),
            weights=lite_weights(),
        ),
    )


if __name__ == "__main__":
    main()
