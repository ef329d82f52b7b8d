"""Rates by epoch: how much evidence is admitted, how much of it is forgotten.

Epochs count from 0 and may be fractional. ``e_warm = 0`` means: at the end value from the start.
"""

from __future__ import annotations

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


def check_share(name: str, value: float, *, below_one: bool = False) -> float:
    """Return ``value`` if it is a share of a whole.

    Args:
        name: the parameter's name, for the message.
        value: to be checked.
        below_one: whether 1 itself is refused.

    Raises:
        OptionError: ``value`` is outside [0, 1], or outside [0, 1) with ``below_one``.
    """
    if not 0 <= value <= 1 or (below_one and value == 1):
        interval = "[0, 1)" if below_one else "[0, 1]"
        raise OptionError(name, f"{value} is outside {interval}", "give a share of the items")
    return value


def check_not_negative(name: str, value: float, remedy: str = "use 0 for none") -> float:
    """Return ``value`` if it is 0 or more.

    Args:
        name: the parameter's name, for the message.
        value: to be checked.
        remedy: what 0 does, for the message.

    Raises:
        OptionError: ``value`` is negative.
    """
    if value < 0:
        raise OptionError(name, f"{value} is negative", remedy)
    return value
