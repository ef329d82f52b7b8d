"""Where networks run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from coteach.errors import OptionError

if TYPE_CHECKING:
    import torch


def device_named(name: str) -> torch.device:
    """What ``--device`` names.

    Raises:
        OptionError: it is not there.
    """
    import torch

    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        cause = f"{name!r} cannot be used ({str(error).splitlines()[0]})"
        raise OptionError("--device", cause, "use auto, cpu, or cuda where there is a GPU") from error
    return device
