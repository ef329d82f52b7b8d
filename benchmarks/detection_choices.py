"""What the benchmarks of detection with few labels let one choose: methods, their options, the views of the images."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from coteach.methods.detection_teacher import DetectionTeacher
from coteach.methods.soft_teacher import SoftTeacher, SoftTeacherConfig
from coteach.methods.unbiased_teacher import UnbiasedTeacher, UnbiasedTeacherConfig

METHODS = ("supervised", "supervised_more", "soft_teacher", "unbiased_teacher", "all_labels")
FIGURES = ("AP", "AP50")


def arguments(parser: argparse.ArgumentParser, *, folder: str, size: int) -> None:
    """The options that both benchmarks have."""
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=METHODS)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument(
        "--size", type=int, default=size, help="shorter side of an image, pixels (%(default)s)"
    )
    parser.add_argument(
        "--burn-in",
        type=int,
        default=300,
        help="supervised batches that all methods begin with (%(default)s)",
    )
    parser.add_argument(
        "--steps", type=int, default=200, help="batches of each method after that (%(default)s)"
    )
    parser.add_argument("--batch", nargs=2, type=int, default=[2, 2], metavar=("LABELLED", "UNLABELLED"))
    parser.add_argument(
        "--weight", type=float, default=1.0, help="of the unlabelled images' losses (%(default)s)"
    )
    parser.add_argument(
        "--thresholds",
        nargs="+",
        type=float,
        default=[0.7],
        help="least score of a trusted box, of all classes or one each (%(default)s)",
    )
    parser.add_argument(
        "--variance", type=float, default=0.02, help="of a box that teaches its place (%(default)s)"
    )
    parser.add_argument("--decay", type=float, default=0.99, help="of the teacher (%(default)s)")
    parser.add_argument("--frame", choices=["corners", "ellipse"], default="corners")
    parser.add_argument("--lr", type=float, default=5e-4)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--folder", type=Path, default=Path(folder))


def largest(size: int) -> int:
    """Shorter side of the images that are kept, for networks that judge at ``size``: of the largest weak view."""
    return round(1.25 * size)


def labelled_view(size: int) -> dict[str, Any]:
    """The weak view of labelled images: of any size around ``size``, with a colour operation."""
    return {"short_side": [round(0.8 * size), largest(size)], "long_side": 2 * size, "color": True}


def unlabelled_view(size: int) -> dict[str, Any]:
    """The weak view that the teacher looks at: of the size that networks judge at. The strong view changes it."""
    return {"short_side": [size, size], "long_side": 2 * size}


def make_method(name: str, options: argparse.Namespace) -> DetectionTeacher:
    """The method, with the options that were asked for."""
    supervised = {"labelled_batch": options.batch[0], "ema_ramp": False}  # begins burnt in: nothing to forget
    if name != "burn_in":  # of which only the student is used
        supervised["ema_decay"] = options.decay
    if name in ("supervised_more", "all_labels"):
        supervised["labelled_batch"] = sum(options.batch)
    if name in ("burn_in", "supervised", "supervised_more", "all_labels"):
        return SoftTeacher(SoftTeacherConfig(**supervised, unsupervised_weight=0.0))
    shared = supervised | {
        "unlabelled_batch": options.batch[1],
        "unsupervised_weight": options.weight,
        "score_initial": min(0.5, *options.thresholds),
        "thresholds": options.thresholds if len(options.thresholds) > 1 else options.thresholds[0],
        "box_frame": options.frame,
    }
    if name == "unbiased_teacher":
        return UnbiasedTeacher(UnbiasedTeacherConfig(**shared))
    return SoftTeacher(SoftTeacherConfig(**shared, variance=options.variance))
