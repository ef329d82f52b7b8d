"""Lightning without its remarks about hardware and plans."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

_LOGGERS = ("lightning.pytorch", "lightning.pytorch.utilities.rank_zero", "lightning.fabric")
_KNOWN = (
    ".*does not have many workers.*",  # the number of workers is the user's choice
    ".*number of training batches.*smaller than the logging interval.*",
    ".*Checkpoint directory.*exists and is not empty.*",  # resuming is what the folder is for
    ".*Experiment logs directory.*exists and is not empty.*",
    ".*Total length of `list` across ranks is zero.*",  # no validation set
    ".*`training_step` returned `None`.*",  # manual optimisation
    ".*was called before the ``update`` method.*",  # a process whose share of the validation set is empty
    ".*module\\(s\\) in eval mode at the start of training.*",  # a teacher, which always is
    ".*LeafSpec.*is deprecated.*",  # Lightning's own use of torch
)


@contextmanager
def quiet_lightning() -> Iterator[None]:
    """Hide remarks and the warnings that are known to mean nothing here, while a run is on; others still show."""
    levels = {name: logging.getLogger(name).level for name in _LOGGERS}
    for name in _LOGGERS:
        logging.getLogger(name).setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            for known in _KNOWN:
                warnings.filterwarnings("ignore", known)
            yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
