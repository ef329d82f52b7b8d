"""Callbacks and loggers of an old configuration: what they ask for is done by options of this package."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from coteach.compat.smt.ledger import Ledger, Section

_LIGHTNING = ("pytorch_lightning.", "lightning.pytorch.", "lightning.")


def _lightning_name(target: str) -> str:
    """``ModelCheckpoint`` of ``pytorch_lightning.callbacks.ModelCheckpoint``; another package's name whole."""
    return target.rpartition(".")[2] if target.startswith(_LIGHTNING) else target


def figure_name(name: str) -> str:
    """A figure of validation as it is called here."""
    return {"loss/val": "val/loss", "val_loss": "val/loss"}.get(name, name)


def translate_callbacks(nodes: list[Any], trainer: dict[str, Any], ledger: Ledger) -> None:
    """``callbacks``: what they ask for goes into ``trainer``.

    Args:
        nodes: the callbacks.
        trainer: gets ``monitor``, ``monitor_mode`` and the options of early stopping.
        ledger: where notes and problems go.
    """
    for index, node in enumerate(nodes):
        section = Section(ledger, f"callbacks[{index}]", node)
        target = str(section.take("_target_", "missing"))
        name = _lightning_name(target)
        if name in ("ModelCheckpoint", "EarlyStopping"):
            _watch(section, trainer)
        if name == "ModelCheckpoint":
            ledger.note(section.place, "best.ckpt and last.ckpt are kept in output_dir/checkpoints")
            section.rest = {}
        elif name == "EarlyStopping":
            trainer["early_stop_patience"] = section.take("patience", 3)
            trainer["early_stop_min_delta"] = abs(section.take("min_delta", 0.0))
            section.ignore(
                "has no counterpart", "verbose", "strict", "check_finite", "check_on_train_epoch_end"
            )
            section.close()
        elif name in ("LearningRateMonitor", "RichProgressBar", "TQDMProgressBar", "ModelSummary"):
            ledger.note(section.place, f"{name} has no counterpart and no influence on the result")
        else:
            ledger.refuse_target(section.place, target)


def _watch(section: Section, trainer: dict[str, Any]) -> None:
    """One figure decides which epoch is the best and when to stop."""
    monitor = section.take("monitor")
    mode = section.take("mode", "min")
    if monitor is None:
        return
    wanted = {"monitor": figure_name(str(monitor)), "monitor_mode": mode}
    others = {key: trainer[key] for key in wanted if trainer.get(key, wanted[key]) != wanted[key]}
    if others:
        section.ledger.refuse(
            section.path("monitor"), f"{monitor} ({mode}): one figure decides, and another one does already"
        )
    trainer |= wanted


def translate_loggers(nodes: list[Any], root_dir: Any, name: str, ledger: Ledger) -> tuple[str, list[Any]]:
    """The folder of the run, and the loggers beside those for CSV and TensorBoard, which every run has.

    The folder is where such a logger wrote, else ``pl_trainer.default_root_dir``, else ``runs``.

    Args:
        nodes: ``logger``.
        root_dir: ``pl_trainer.default_root_dir``, or None.
        name: of the file, for the folder's last part where no logger names one.
        ledger: where notes and problems go.
    """
    folder = Path(str(root_dir or "runs")) / name
    others = []
    for index, node in enumerate(nodes):
        if isinstance(node, bool):
            continue
        section = Section(ledger, f"logger[{index}]" if len(nodes) > 1 else "logger", node)
        target = str(section.take("_target_", "missing"))
        if _lightning_name(target) in ("TensorBoardLogger", "CSVLogger"):
            folder = Path(str(section.take("save_dir", folder.parent))) / str(section.take("name", name))
            folder /= str(section.take("version", ""))
            section.ignore("TensorBoard and CSV logs are written as they are", *sorted(section.rest))
        elif target.startswith(_LIGHTNING):
            others.append(
                {"_target_": f"lightning.pytorch.loggers.{_lightning_name(target)}", **section.rest}
            )
        else:
            ledger.refuse_target(section.place, target)
    return str(folder), others
