"""Blood cells with few labelled images: Soft Teacher and Unbiased Teacher against supervised training and against all labels.

    coteach data blood-cells --from FOLDER            # once
    python benchmarks/blood_cells.py --percent 10 20 --seeds 0 1 2 --folder runs/blood_cells      # resumable

The labelled images of a seed are a draw of `coteach split-coco`; the other training images lose their boxes. The options are chosen on the
87 validation images; the 72 test images are only looked at.
"""

from __future__ import annotations

import argparse
from functools import partial

from coteach.data.coco_split import split_coco
from coteach.data.detection_files import CocoDetectionDataset
from coteach.data.samples import prepare_sample
from detection_runs import Setting, arguments, print_table, run_setting
from lite_detector import lite_detector, lite_weights

_ALL = "100"
_SIDES = (
    0.085,
    0.21,
    0.39,
    0.6,
)  # anchors: platelets, red cells, white cells, clumps; in shorter sides of the image


def main() -> None:
    """Train what is not there yet, print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--percent", nargs="+", default=["10", "20"], help="labelled images (%(default)s)")
    arguments(parser, folder="runs/blood_cells", size=240)
    options = parser.parse_args()
    wanted = [
        (percent, method)
        for percent in options.percent
        for method in options.methods
        if method != "all_labels"
    ]
    if "all_labels" in options.methods:
        wanted.append((_ALL, "all_labels"))
    print_table(
        [
            run_setting(setting_of(percent, method, seed, options), options)
            for seed in options.seeds  # outermost: what is there when it is stopped can be compared
            for percent, method in wanted
        ]
    )


def setting_of(percent: str, method: str, seed: int, options: argparse.Namespace) -> Setting:
    """The images and boxes of one run."""
    ready = prepare_sample("blood-cells")
    images = ready.folder  # file names begin with images/
    files = ready.files["train.json"], None
    if percent != _ALL:
        (split,) = split_coco(
            ready.files["train.json"], options.folder / "splits", percents=[percent], folds=[seed]
        )
        files = split.labelled[0], split.unlabelled[0]
    size = options.size
    weak = {"short_side": [round(0.8 * size), round(1.25 * size)], "long_side": 2 * size}
    labelled = CocoDetectionDataset(files[0], images, weak=weak | {"color": True})
    return Setting(
        name=percent,
        method=method,
        seed=seed,
        labelled=labelled,
        unlabelled=files[1] and CocoDetectionDataset(files[1], images, labelled=False, weak=weak),
        judged={part: CocoDetectionDataset(ready.files[f"{part}.json"], images) for part in ("val", "test")},
        network=partial(
            lite_detector,
            labelled.num_classes,
            (size, 2 * size),
            sides=tuple(round(side * size) for side in _SIDES),
            weights=lite_weights(),
        ),
    )


if __name__ == "__main__":
    main()
