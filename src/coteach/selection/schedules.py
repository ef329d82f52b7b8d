"""Rates by epoch: how much evidence is admitted, how much of it is forgotten.

Epochs count from 0 and may be fractional. ``e_warm = 0`` means: at the end value from the start.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from coteach.errors import OptionError


def ramp(epoch: float, e_warm: float, start: float, end: float) -> float:
    """Linear from ``start`` at epoch 0 to ``end`` at ``e_warm``, constant afterwards.

    Args:
        epoch: current epoch, >= 0.
        e_warm: epochs until ``end`` is reached, >= 0.
        start: value at epoch 0.
        end: value from ``e_warm`` on.

    Returns:
        The value at ``epoch``, between ``start`` and ``end``.

    Raises:
        OptionError: ``epoch`` or ``e_warm`` is negative.

    Example:
        >>> ramp(10, 20, 0.5, 0.95)
        0.725
    """
    if epoch < 0 or e_warm < 0:
        raise OptionError(
            "schedule", f"epoch {epoch} and e_warm {e_warm} must not be negative", "count from 0"
        )
    if epoch >= e_warm:
        return end
    return start + epoch / e_warm * (end - start)


def is_number(value: Any) -> bool:
    """Whether it is a whole or floating number, of Python or NumPy; true and false are none."""
    return isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)


def check_number(name: str, value: Any, remedy: str = "give a number") -> float:
    """Return ``value`` if it is a number, which Python code, other than a configuration, has nobody check before.

    Args:
        name: the parameter's name, for the message.
        value: to be checked.
        remedy: what else there is to give, for the message.

    Raises:
        OptionError: ``value`` is None, text, true or false, NaN, or anything else that is no number.
    """
    if not is_number(value) or math.isnan(value):
        raise OptionError(name, f"{value!r} is no number", remedy)
    number: float = value
    return number


def check_share(name: str, value: Any, *, below_one: bool = False) -> float:
    """Return ``value`` if it is a share of a whole.

    Args:
        name: the parameter's name, for the message.
        value: to be checked.
        below_one: whether 1 itself is refused.

    Raises:
        OptionError: ``value`` is no number, outside [0, 1], or outside [0, 1) with ``below_one``.
    """
    remedy = "give a share of the items"
    share = check_number(name, value, remedy)
    if not 0 <= share <= 1 or (below_one and share == 1):
        interval = "[0, 1)" if below_one else "[0, 1]"
        raise OptionError(name, f"{value} is outside {interval}", remedy)
    return share


def check_not_negative(name: str, value: Any, remedy: str = "use 0 for none") -> float:
    """Return ``value`` if it is 0 or more.

    Args:
        name: the parameter's name, for the message.
        value: to be checked.
        remedy: what 0 does, for the message.

    Raises:
        OptionError: ``value`` is negative, or no number.
    """
    number = check_number(name, value, remedy)
    if number < 0:
        raise OptionError(name, f"{value} is negative", remedy)
    return number


def check_at_least(name: str, value: Any, least: float) -> float:
    """Return ``value`` if it is ``least`` or more.

    Args:
        name: the parameter's name, for the message.
        value: to be checked.
        least: the lowest that is allowed.

    Raises:
        OptionError: ``value`` is less, or no number.
    """
    remedy = f"give {least:g} or more"
    number = check_number(name, value, remedy)
    if number < least:
        raise OptionError(name, f"{value} is below {least:g}", remedy)
    return number


def check_positive(name: str, value: Any) -> float:
    """Return ``value`` if it is above 0.

    Args:
        name: the parameter's name, for the message.
        value: to be checked.

    Raises:
        OptionError: ``value`` is 0, negative, or no number.
    """
    number = check_number(name, value)
    if number <= 0:
        raise OptionError(name, f"{value} is not positive", "give a number above 0")
    return number
