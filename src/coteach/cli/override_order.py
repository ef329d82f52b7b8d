"""The order in which overrides of a configuration are carried out."""

from __future__ import annotations

from collections.abc import Sequence


def deletions_last(overrides: Sequence[str]) -> list[str]:
    """Overrides with each ``~key`` behind the assignments, but for later ones of the same key.

    Hydra looks at what it deletes: an interpolation there may need what is assigned.

    Args:
        overrides: in Hydra's grammar.

    Example:
        >>> deletions_last(["~a", "~b", "+b=1", "c=2"])
        ['~b', '+b=1', 'c=2', '~a']
    """
    keys = [one.lstrip("~+").partition("=")[0] for one in overrides]

    def waits(index: int) -> bool:
        return overrides[index].startswith("~") and not any(
            f"{later}.".startswith(f"{keys[index]}.") or f"{keys[index]}.".startswith(f"{later}.")
            for later in keys[index + 1 :]
        )

    return [overrides[index] for index in sorted(range(len(keys)), key=waits)]
