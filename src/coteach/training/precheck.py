"""What would go wrong late in a run, found before it starts."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import LBFGS, Optimizer
from torch.optim.lr_scheduler import LRScheduler

from coteach.data.keyed import first_batch, seeded
from coteach.errors import ConfigError, OptionError
from coteach.training.rehearsal import as_written
from coteach.training.run import TrainingRun
from coteach.training.schedules import check_kept, remark_on_rates

# What methods call the epochs over which something rises or is held back.
_WARM = ("e_warm", "num_gradual", "warmup_epochs", "warm_up", "warm_epochs", "agree_epochs")
_PHASES = ("warm_epochs", "agree_epochs")  # those after which something else begins


def refuse_lone_sample(run: TrainingRun, network: nn.Module) -> None:
    """Look for a last batch of one sample that the network cannot be trained on: BatchNorm needs two values.

    Args:
        run: what is to be trained.
        network: one like those of the run; it is put into training mode.

    Raises:
        ConfigError: there will be such a batch.
    """
    loader, total = run.loader, len(run.datasets["train"])
    if loader.batch_size != 1 and (loader.drop_last or total % loader.batch_size != 1):
        return
    with seeded(run.seed):
        inputs = first_batch(run.datasets["train"], seed=run.seed).inputs
        if not isinstance(inputs, Tensor):
            return
        try:
            with torch.no_grad(), as_written():
                network.train()(inputs)
        except ValueError as error:
            if "more than 1 value per channel" not in str(error):
                raise
            if loader.batch_size == 1:
                cause, remedy = "1: BatchNorm cannot be trained on single samples", "give 2 or more"
            else:
                cause = f"{loader.batch_size} leaves one of {total} samples over: BatchNorm cannot be trained on it"
                remedy = "set data_loader.drop_last: true (in Python: loader=LoaderOptions(drop_last=True)), or give another batch_size"
            raise ConfigError("data_loader.batch_size", cause, remedy) from error


def refuse_lbfgs(optimizer: Optimizer) -> None:
    """Refuse an optimizer that asks for the loss again within a step.

    Raises:
        OptionError: it is L-BFGS.
    """
    if isinstance(optimizer, LBFGS):
        cause = "LBFGS computes the loss several times a step; here a step is one batch"
        raise OptionError("optimizer", cause, "use SGD, Adam or AdamW")


def schedule_remarks(run: TrainingRun, schedule: LRScheduler | None) -> list[str]:
    """What is to be said of the schedules of learning rate, method and validation: shorter than the run, or longer.

    Args:
        run: what is to be trained.
        schedule: one like the run's, made for this, or None if it has none.

    Raises:
        ConfigError: the learning rate's ends before the run does, or cannot be kept.
    """
    if schedule is not None:
        check_kept(schedule)
    epochs, rates = run.options.epoch_limit, run.scheduler
    remarks = [_method_remark(run, epochs), _validation_remark(run, epochs)]
    by_epochs = epochs is not None and run.options.max_steps is None  # else it may end before them
    if schedule is not None and rates is not None and rates.interval == "epoch" and by_epochs:
        assert epochs is not None
        remarks.append(remark_on_rates(schedule, epochs))
    return [remark for remark in remarks if remark]


def _validation_remark(run: TrainingRun, epochs: int | None) -> str:
    every = run.options.check_val_every_n_epoch
    if "val" not in run.datasets or epochs is None or every <= epochs:
        return ""
    return f"check_val_every_n_epoch is {every}, epochs are {epochs}, so nothing is validated; lower it"


def _method_remark(run: TrainingRun, epochs: int | None) -> str:
    config: Any = getattr(run.method, "config", None)
    for name in _WARM:
        value = getattr(config, name, None)
        if epochs is None or not isinstance(value, int | float) or value < epochs:
            continue
        if value > epochs:
            return (
                f"{run.method.name}: {name} {value:g} is longer than the run of {epochs} epochs, so its schedule never "
                f"reaches its end; lower {name} or train longer"
            )
        if name in _PHASES:
            return (
                f"{run.method.name}: {name} {value:g} is as long as the run, so what follows on it never begins; "
                f"lower {name} or train longer"
            )
    return ""
