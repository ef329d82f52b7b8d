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
from detection_choices import arguments, labelled_view, largest, unlabelled_view
from detection_runs import Setting, run_setting
from detection_table import print_table
from lite_detector import lite_detector
from lite_network import lite_weights
from reduced_images import reduced

ALL = "100"
PARTS = ("train", "val", "test")
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
    arguments(parser, folder="runs/blood_cells", size=128)
    options = parser.parse_args()
    wanted = [
        (percent, method)
        for percent in options.percent
        for method in options.methods
        if method != "all_labels"
    ]
    if "all_labels" in options.methods:
        wanted.append((ALL, "all_labels"))
    print_table(
        [
            run_setting(setting_of(percent, method, seed, options), options)
            for seed in options.seeds  # outermost: what is there when it is stopped can be compared
            for percent, method in wanted
        ]
    )


def setting_of(percent: str, method: str, seed: int, options: argparse.Namespace) -> Setting:
    """The images and boxes of one run."""
    ready, size = prepare_sample("blood-cells"), options.size
    images = options.folder / f"reduced_{size}"
    files = {
        part: reduced(ready.files[f"{part}.json"], ready.folder, images, largest(size)) for part in PARTS
    }
    labelled, unlabelled = files["train"], None
    if percent != ALL:
        (split,) = split_coco(files["train"], options.folder / "splits", percents=[percent], folds=[seed])
        labelled, unlabelled = split.labelled[0], split.unlabelled[0]
    seen = CocoDetectionDataset(labelled, images, weak=labelled_view(size))
    return Setting(
        name=percent,
        method=method,
        seed=seed,
        labelled=seen,
        unlabelled=None
        if unlabelled is None
        else CocoDetectionDataset(unlabelled, images, labelled=False, weak=unlabelled_view(size)),
        judged={part: CocoDetectionDataset(files[part], images) for part in ("val", "test")},
        network=partial(
            lite_detector,
            seen.num_classes,
            (size, 2 * size),
            sides=tuple(round(side * size) for side in _SIDES),
            weights=lite_weights(),
        ),
    )


if __name__ == "__main__":
    main()
