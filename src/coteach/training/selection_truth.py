"""How many of the labels that a method chooses to learn from are right, where the right ones are known."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Int8
from lightning.pytorch.callbacks import Callback
from torch import Tensor

from coteach.errors import InputError
from coteach.methods.label_method import LabelMethod
from coteach.selection.whole_batch import max_over_processes
from coteach.training.epoch_log import log_epoch

_UNSEEN, _REFUSED, _CHOSEN = -1, 0, 1


class SelectionTruth(Callback):
    """Logs ``train/label_precision/<network>`` and ``train/label_recall/<network>`` for each epoch.

    Of the labels that a network met in the epoch, and whose truth is known: precision is the share of right ones among
    those it chose, recall the share of chosen ones among those that are right (Han et al. 2018, section 4). A figure
    whose denominator is 0 is left out. Nothing of it reaches the training.

    Args:
        method: that is trained; one that does not choose logs nothing.
        right: ``(N,)`` int8: 1 where the label of an item is right, 0 where it is wrong, -1 where that is not known.
        num_items: ``N`` of the training set.

    Raises:
        InputError: ``right`` is of another length.
    """

    def __init__(self, method: LabelMethod, right: Int8[Tensor, " n"], num_items: int) -> None:
        if len(right) != num_items:
            cause = f"of the training set are {len(right)} for {num_items} items"
            raise InputError("right_labels", cause, "give one number an item, -1 where it is not known")
        self.method = method
        self.right = right
        self._state: dict[str, Tensor] = {}  # network -> (N,) int8, what became of each label in this epoch

    def see(self, network: str, ids: Tensor, chosen: Tensor) -> None:
        """Note a choice; maps of pixels are passed over.

        Args:
            network: whose choice it is.
            ids: ``(B,)`` the items, in [0, N).
            chosen: ``(B,)`` bool.
        """
        if chosen.ndim != 1:
            return
        state = self._state.get(network)
        if state is None:
            state = torch.full_like(self.right, _UNSEEN, device=chosen.device)
        state = state.to(chosen.device)
        state[ids] = chosen.to(state.dtype)
        self._state[network] = state

    def on_fit_start(self, trainer: Any, pl_module: Any) -> None:  # noqa: ARG002 -- Lightning's signature
        """Start to listen; what a checkpoint held is brought to where the processes exchange it."""
        self._state = {network: state.to(pl_module.device) for network, state in self._state.items()}
        self.method.choice_listener = self.see

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:  # noqa: ARG002
        """Log the figures, of all processes together, and begin anew."""
        figures: dict[str, Tensor] = {}
        for network, state in self._state.items():
            together = max_over_processes(state)
            figures |= _figures(network, together, self.right.to(together.device))
        log_epoch(pl_module, figures, step=pl_module.batches_seen - 1)
        self._state = {}

    def teardown(self, trainer: Any, pl_module: Any, stage: str) -> None:  # noqa: ARG002
        """Listen no more."""
        self.method.choice_listener = None

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint within an epoch holds: of all processes together, for the first one alone writes it."""
        return {network: max_over_processes(state) for network, state in self._state.items()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on where the run was."""
        self._state = {network: state.clone() for network, state in state_dict.items()}


def _figures(network: str, state: Int8[Tensor, " n"], right: Int8[Tensor, " n"]) -> dict[str, Tensor]:
    """Precision and recall of what one network chose."""
    chosen, good = state == _CHOSEN, right == 1
    hits = (chosen & good).sum()
    of = {"precision": (chosen & (right >= 0)).sum(), "recall": ((state >= _REFUSED) & good).sum()}
    return {
        f"train/label_{name}/{network}": hits.float() / count for name, count in of.items() if int(count) > 0
    }
