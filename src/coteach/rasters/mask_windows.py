"""Which windows of which masks are worth a look: found once, kept in a file, found again when something changed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from coteach.rasters.fingerprint import read_record, write_record
from coteach.rasters.mask_survey import MaskSurvey
from coteach.rasters.window_plan import MaskWindows, WindowPlan


def find_windows(plan: WindowPlan, cache: Path | None) -> list[MaskWindows]:
    """The windows that hold a class of the mask and lie, at least partly, on the image.

    Those at a mask's lower and right edge are shifted inward. Masks that have no such window are left out, and named
    in a warning when they are looked at.

    Args:
        plan: what decides them.
        cache: a JSON file that keeps them; written whole or not at all. It is used while the plan and all files (of
            VRTs their parts, too) are what they were. None keeps nothing.

    Returns:
        The windows of each mask that has some, in the order of the plan.

    Raises:
        RasterError: a file is missing, damaged or no label map; a mask is smaller than a window; one of the other maps
            reaches no mask; or there is no window at all.
        OSError: the cache cannot be written.
    """
    recipe = plan.recipe()
    kept = None if cache is None else read_record(cache, recipe, [])
    if kept is not None:
        return [_from_json(one) for one in kept]
    found = MaskSurvey(plan).run()
    if cache is not None:
        write_record(cache, recipe, [], [_to_json(one) for one in found])
    return found


def _to_json(found: MaskWindows) -> dict[str, Any]:
    return {
        "mask": found.mask,
        "others": found.others,
        "offsets": found.offsets,
        "entropy_range": found.entropy_range,
    }


def _from_json(kept: Mapping[str, Any]) -> MaskWindows:
    low_and_high = kept["entropy_range"]
    return MaskWindows(
        mask=kept["mask"],
        others=tuple(kept["others"]),
        offsets=tuple((row, col) for row, col in kept["offsets"]),
        entropy_range=None if low_and_high is None else (low_and_high[0], low_and_high[1]),
    )
