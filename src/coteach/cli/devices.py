"""Where networks run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from coteach.errors import OptionError

if TYPE_CHECKING:
    import torch


def prepared_device(name: str) -> torch.device:
    """The device that ``--device`` of the running command names; on a CPU the command keeps the memory that it frees until it ends.

    Raises:
        OptionError: it is not there.
    """
    import torch

    from coteach.data.worker_memory import freed_memory_kept

    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        cause = f"{name!r} cannot be used ({str(error).splitlines()[0]})"
        raise OptionError("--device", cause, "use auto, cpu, or cuda where there is a GPU") from error
    click.get_current_context().with_resource(freed_memory_kept(wanted=device.type == "cpu"))
    return device
