"""Whether an estimate of the noise can be trusted: by how many labels are held out, and by how well the networks tell the classes.

Both bounds were measured (docs/methods.md, *Forget rate*). What is said is a ``CoteachWarning``; nothing else changes.
"""

from __future__ import annotations

import warnings

from coteach.errors import CoteachWarning
from coteach.labels.noise_model import NoiseModel

_LEAST = 20  # labels; fewer say nothing
_FEW = 120  # labels; fewer were off by 5 to 9 points, as much by their own chance as by what is made of them
_AGREED = 0.6  # with the labels taken for right, beyond chance; below were networks that are right on less than half


def enough(count: int) -> bool:
    """Whether so many labels held out say anything of the noise; if not, a warning that none is estimated."""
    if count < _LEAST:
        _warn(
            f"{count} labels are held out, and the noise is estimated from {_LEAST} or more; no label is refused; "
            "give the rate as a number"
        )
    return count >= _LEAST


def warn_of_doubt(model: NoiseModel, count: int, warm_up: str) -> None:
    """Say that few labels, or networks that know little, made the estimate.

    Args:
        model: the estimate.
        count: labels that it was made of.
        warm_up: the option by which networks learn longer before labels are refused.
    """
    found = f"{model.overall:.0%} of the labels are taken for wrong"
    if count < _FEW:
        _warn(
            f"{found}, estimated from {count} labels held out; with fewer than {_FEW} it is easily wrong by 5 to 10 "
            "points; if the rate is known, give it as a number"
        )
    if model.agreed < _AGREED:
        _warn(
            f"{found} by networks that hardly tell the classes apart: they agree with {model.agreed:.0%} of the others, beyond "
            f"chance, and with less than {_AGREED:.0%} the estimate may be far off; give a longer {warm_up}, or the rate as a number"
        )


def _warn(text: str) -> None:
    warnings.warn(f"forget_end: auto: {text}", CoteachWarning, stacklevel=4)
