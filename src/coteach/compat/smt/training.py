"""``pl_trainer`` -> ``trainer``."""

from __future__ import annotations

from math import ceil
from typing import Any

from coteach.compat.smt.ledger import Section

_PRECISIONS: dict[Any, str] = {
    **dict.fromkeys((32, "32", "32-true"), "32-true"),
    **dict.fromkeys((16, "16", "16-mixed"), "16-mixed"),
    **dict.fromkeys(("bf16", "bf16-mixed"), "bf16-mixed"),
}
_SAME = (
    "accumulate_grad_batches",
    "gradient_clip_val",
    "accelerator",
    "devices",
    "strategy",
    "sync_batchnorm",
    "log_every_n_steps",
    "check_val_every_n_epoch",
    "deterministic",
)
_WITHOUT_EFFECT = (
    "benchmark",
    "enable_checkpointing",
    "enable_model_summary",
    "enable_progress_bar",
    "logger",
    "num_sanity_val_steps",
    "use_distributed_sampler",
)
# Keys that would make it another run, and the value that does not.
_USUAL = {
    "fast_dev_run": False,
    "limit_train_batches": 1.0,
    "limit_val_batches": 1.0,
    "overfit_batches": 0.0,
    "val_check_interval": 1.0,
}
_EPOCHS = 1000  # Lightning's own limit


def translate_trainer(section: Section, epochs: Any, networks: int) -> dict[str, Any]:
    """``pl_trainer`` -> ``trainer``.

    Args:
        section: ``pl_trainer``; ``default_root_dir`` has been taken.
        epochs: ``hyperparameters.num_epochs`` or ``epochs``, for files without ``max_epochs``.
        networks: how many are trained, each with an optimizer.
    """
    trainer = {key: section.take(key) for key in _SAME}
    trainer["max_epochs"] = _max_epochs(section, epochs)
    trainer["max_steps"] = _max_steps(section, trainer["accumulate_grad_batches"] or 1, networks)
    precision = section.take("precision", 32)
    if precision not in _PRECISIONS:
        section.ledger.refuse(
            section.path("precision"), f"{precision!r}: it is one of 32, 16 and bf16, mixed"
        )
    trainer["precision"] = _PRECISIONS.get(precision)
    _gpus(section, trainer)
    section.expect("gradient_clip_algorithm", ("norm",), "gradients are clipped by norm")
    section.expect("num_nodes", (1,), "one computer")
    for key, usual in _USUAL.items():
        section.expect(key, (usual,), f"{usual} is what is done")
    section.ignore("has no counterpart and no influence on the result", *_WITHOUT_EFFECT)
    section.close()
    return {key: value for key, value in trainer.items() if value is not None}


def _max_epochs(section: Section, epochs: Any) -> int | None:
    given = section.take("max_epochs")
    if given == -1:
        return None if "max_steps" in section else _EPOCHS
    if given is not None or "max_steps" in section:
        return None if given is None else int(given)
    if epochs is not None:
        section.ledger.note(section.path("max_epochs"), f"missing; {epochs}, the epochs of hyperparameters")
        return int(epochs)
    section.ledger.note(section.path("max_epochs"), f"missing; {_EPOCHS}, as Lightning trains")
    return _EPOCHS


def _max_steps(section: Section, accumulate: int, networks: int) -> int | None:
    """Batches, where Lightning counts the steps of all optimizers."""
    steps = section.take("max_steps", -1)
    if steps == -1:
        return None
    batches: int = ceil(steps * accumulate / networks)
    if batches != steps:
        section.ledger.note(
            section.path("max_steps"), f"{steps} steps of the optimizers are {batches} batches"
        )
    return batches


def _gpus(section: Section, trainer: dict[str, Any]) -> None:
    """``gpus``, from before Lightning 2: how many, -1 for all."""
    gpus = section.take("gpus")
    if gpus is None:
        return
    if not isinstance(gpus, int) or isinstance(gpus, bool):
        section.ledger.refuse(section.path("gpus"), f"{gpus!r}: give accelerator and devices")
        return
    trainer["accelerator"] = "gpu" if gpus else "cpu"
    trainer["devices"] = gpus or 1
