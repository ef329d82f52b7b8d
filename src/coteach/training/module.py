"""The one LightningModule that trains any Method.

Optimisation is manual, because a method may have several networks: their graphs are disjoint, so one backward
of the summed losses serves all of them (and DDP), then each optimizer steps. Lightning refuses accumulation and
clipping in this mode; both are done here.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import lightning as L
import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.utils.data import DataLoader
from torchmetrics import MetricCollection

from coteach.data.keyed import stable_seed
from coteach.methods.base import Method, Step
from coteach.methods.label_method import LabelMethod
from coteach.training.checkpoints import FORMAT, without_numpy
from coteach.training.early_stop import has_stopped
from coteach.training.epoch_data import EpochData
from coteach.training.epoch_log import log_epoch
from coteach.training.epoch_means import EpochMeans
from coteach.training.loss_guard import LossGuard
from coteach.training.options import SchedulerOptions, TrainerOptions
from coteach.training.rate_schedules import RateSchedules, own_options
from coteach.training.running_statistics import share_statistics
from coteach.training.schedules import advance_schedules
from coteach.training.stepper import Stepper
from coteach.training.streams import LoaderOptions, StreamLoader, first_samples, move_batch, own_samples
from coteach.training.watches import watch_of
from coteach.types import Batch, LossTerms

OptimizerFactory = Callable[[Iterable[Tensor]], Optimizer]


class MethodModule(L.LightningModule):
    """Runs a method under a Lightning ``Trainer``.

    Args:
        method: set up, with its networks.
        metrics: figures of validation.
        datasets: source name -> data set; ``train`` is required, ``val`` is what validation runs on.
        make_optimizer: parameters -> optimizer; called once a trained network.
        scheduler: the learning-rate schedule, made once an optimizer; None keeps the rate constant.
        loader: how samples are loaded.
        options: precision, accumulation, clipping, length.
        task: what checkpoints say of the data: ``num_bands``, ``num_items``, ``num_classes``.
        seed: seed of the run.
        seconds: for how long earlier sessions have trained, up to the checkpoint that is gone on from.
        bad_batch_file: written where a loss is no number, see ``LossGuard``.
    """

    def __init__(
        self,
        *,
        method: Method,
        metrics: MetricCollection,
        datasets: Mapping[str, Any],
        make_optimizer: OptimizerFactory,
        scheduler: SchedulerOptions | None,
        loader: LoaderOptions,
        options: TrainerOptions,
        task: Mapping[str, int | None],
        seed: int,
        seconds: float = 0.0,
        bad_batch_file: Path | None = None,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.method = method
        self.data = EpochData(method, datasets, loader, seed)
        self.make_optimizer = make_optimizer
        self.rates = RateSchedules(scheduler)
        self.options = options
        self.task = task
        self.seed = seed
        self._started = time.perf_counter() - seconds
        self.batches_seen = 0
        self.updates = 0
        self._epochs_done = 0  # up to the checkpoint that is gone on from
        self.shown: dict[str, float] = {}  # by a progress bar, beside figures of validation
        self._means = EpochMeans()
        self._validation = EpochMeans()
        self.stepper = Stepper(options)
        self.guard = LossGuard(bad_batch_file)
        self.val_metrics = metrics
        self.watch = watch_of(method)

    @property
    def seconds(self) -> float:
        """Wall time of training so far, over all sessions."""
        return time.perf_counter() - self._started

    # -- data -------------------------------------------------------------------------------------------------

    def train_dataloader(self) -> StreamLoader:
        """This epoch's streams. At the end of an epoch Lightning, resuming, asks for that one: it gets the next."""
        epoch = max(self.current_epoch, self._epochs_done)
        return self.data.training(
            epoch, self._to_device, rank=self.global_rank, world_size=self.trainer.world_size
        )

    def val_dataloader(self) -> DataLoader[Any] | list[Any]:
        """The validation set in order, without augmentation of its own."""
        loader = self.data.validation(rank=self.global_rank, world_size=self.trainer.world_size)
        return [] if loader is None else loader

    def on_before_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:  # noqa: ARG002
        """Labels are looked at where they lie on the host: later it would have to wait for the device."""
        if isinstance(batch, Mapping) and self.trainer.world_size == 1:
            # several processes decide by the gradients, which are the same in all of them
            self.stepper.look_ahead(batch, self.method, self.current_epoch)
        return batch

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        """Batches are frozen containers, which Lightning's own mover refuses."""
        if isinstance(batch, Mapping):
            return {
                name: self.transfer_batch_to_device(one, device, dataloader_idx)
                for name, one in batch.items()
            }
        return self._to_device(batch)

    def _to_device(self, batch: Batch) -> Batch:
        return move_batch(
            batch, lambda value: super(MethodModule, self).transfer_batch_to_device(value, self.device, 0)
        )

    # -- optimisation -----------------------------------------------------------------------------------------

    def configure_optimizers(self) -> Any:
        """One optimizer and one scheduler a trained network."""
        optimizers = self._new_optimizers()
        return optimizers, self.rates.made_for(optimizers)

    def _new_optimizers(self) -> list[Optimizer]:
        made = [self.make_optimizer(network.parameters()) for network in self._trained_networks()]
        for optimizer in made:
            own_options(optimizer)
        return made

    def training_step(self, batches: dict[str, Batch], batch_idx: int) -> None:
        """One batch of every stream: losses, one backward, and a step of every optimizer when it is due."""
        step = Step(
            epoch=self.current_epoch, index=self.batches_seen, update=self.updates, seed=self._step_seed
        )
        with self.stepper.autocast(self.device):
            terms = self.method.losses(batches, step)
            loss = terms.total()
        self.guard.note(terms, batches, epoch=self.current_epoch, index=self.batches_seen)
        if self._is_last(batch_idx):
            self.guard.look()
        if not self.guard.waiting:  # the device has been waited for just now
            self.shown = {"train/loss_step": float(loss.detach())}
        self.watch.learned(terms.logs, self._add_up)
        self.manual_backward(self.stepper.scaler.scale(loss / self.options.accumulate_grad_batches))
        # also within a group of batches: a checkpoint there has one process's statistics
        share_statistics(
            [self.method.networks[name] for name in self.method.counting],
            self._add_up,
            self.trainer.world_size,
        )
        due = (batch_idx + 1) % self.options.accumulate_grad_batches == 0 or self._is_last(batch_idx)
        if due and self._step_optimizers():
            self.method.after_step(step)
            self.updates += 1
        self.batches_seen += 1
        if self.options.max_steps is not None and self.batches_seen >= self.options.max_steps:
            self.trainer.should_stop = True
        self._log_training(terms, loss.detach(), len(next(iter(batches.values())).ids))

    def _log_training(self, terms: LossTerms, loss: Tensor, size: int) -> None:
        together = self.trainer.world_size > 1
        self.log("train/loss_step", loss, batch_size=size, sync_dist=together)
        own = {f"{name}/{term}": value for name, d in terms.networks.items() for term, value in d.items()}
        shared = {f"shared/{term}": value for term, value in terms.shared.items()}
        losses = {"loss_epoch": loss} | own | shared
        for figures, weight in ((losses, size if terms.items is None else terms.items), (terms.logs, size)):
            self._means.add({f"train/{name}": value for name, value in figures.items()}, weight)

    @property
    def _step_seed(self) -> int:
        """Keys dropout: each process has its own, the first one that of a run with one process."""
        return stable_seed(self.seed, "rank", self.global_rank) if self.global_rank else self.seed

    def _is_last(self, batch_idx: int) -> bool:
        assert self.data.streams is not None
        return batch_idx + 1 == len(self.data.streams)

    def _trained_networks(self) -> list[torch.nn.Module]:
        return [self.method.networks[name] for name in self.method.trained]

    def _step_optimizers(self) -> bool:
        """Whether a network has learned something; schedules count batches, learned or not."""
        learned = self.stepper.step(self._listed(self.optimizers()), self._trained_networks())
        self._step_schedulers("step")
        return learned

    def _step_schedulers(self, interval: str) -> None:
        if self.rates.interval == interval:
            every = self.options.check_val_every_n_epoch
            advance_schedules(
                self._listed(self.lr_schedulers()),
                self.trainer.callback_metrics,
                self.options.monitored,
                validated=interval == "step" or (self.current_epoch + 1) % every == 0,
            )

    @staticmethod
    def _listed(value: Any) -> list[Any]:
        return value if isinstance(value, list) else [value]

    def on_train_epoch_end(self) -> None:
        """Schedules that count epochs, and the means over the epoch."""
        self._step_schedulers("epoch")
        log_epoch(self, self._means.result(self._add_up), step=self.batches_seen - 1)
        self._means.restart()

    # -- validation -------------------------------------------------------------------------------------------

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """The method's own loss and figures; what pads this process's share to that of the others does not count."""
        loader = self.trainer.val_dataloaders
        assert isinstance(loader, DataLoader)
        own = own_samples(loader, batch_idx, len(batch.ids))
        if own == 0:
            self._validation.add({"loss": torch.zeros((), device=self.device)}, 0)
            return
        batch = first_samples(batch, own)
        with self.stepper.autocast(self.device):
            prediction = self.watch.predicted(self.method, batch, batch_idx)
            self.watch.look(batch, batch_idx, prediction)
        self.method.update_metrics(self.val_metrics, prediction, batch)
        loss = self.method.validation_loss(prediction, batch)
        self._validation.add({"loss": loss}, self.method.validation_weight(batch))

    def on_validation_epoch_end(self) -> None:
        """One figure an epoch."""
        found = self.val_metrics.compute() | self.watch.conclude(self._add_up)
        # where no item has a label, as balanced accuracy is
        unknown = torch.tensor(torch.nan, device=self.device)
        found |= {"loss": unknown} | self._validation.result(self._add_up)
        self._validation.restart()
        figures = {f"val/{name}": value for name, value in found.items()}
        self.log_dict(figures, prog_bar=True, sync_dist=self.trainer.world_size > 1)
        self.val_metrics.reset()

    def _add_up(self, value: Tensor) -> Tensor:
        total = self.trainer.strategy.reduce(value, reduce_op="sum")
        assert isinstance(total, Tensor)
        return total

    # -- checkpoints ------------------------------------------------------------------------------------------

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """What Lightning does not know of, and numbers of Python only."""
        for key in ("optimizer_states", "lr_schedulers"):
            checkpoint[key] = without_numpy(checkpoint[key])
        self.guard.look_at_weights({name: self.method.networks[name] for name in self.method.trained})
        within = not self.trainer.is_last_batch
        checkpoint["coteach"] = {
            "format": FORMAT,
            "epochs": self.current_epoch + (not within),
            "batches_seen": self.batches_seen,
            "updates": self.updates,
            "seconds": self.seconds,
            "stopped_early": has_stopped(self.trainer),
            "rates": self.rates.state_dict(),
            "stepper": self.stepper.state_dict(self.method.named_parameters()),
            "task": dict(self.task),
            "data": self.data.state_dict(within=within),
            "means": self._means.sums(self._add_up),
            "watch": self.watch.state_dict(),
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Go on where the run was."""
        own = checkpoint["coteach"]
        self._epochs_done = own["epochs"]
        self.rates.load_state_dict(own.get("rates"))
        self.batches_seen = own["batches_seen"]
        # a checkpoint of before they were counted: about so many
        self.updates = own.get("updates", self.batches_seen // self.options.accumulate_grad_batches)
        self.stepper.load_state_dict(own["stepper"])
        self.data.load_state_dict(own["data"])
        means = own["means"]
        if self.global_rank > 0:  # the first one has what all had; yet all add up the same figures
            means = {name: torch.zeros_like(pair) for name, pair in means.items()}
        self._means.restart(means)
        self.watch.load_state_dict(own["watch"])

    def on_train_start(self) -> None:
        """Put back the gradients of a group of batches that was interrupted, and take up a changed schedule."""
        if self.rates.interval is not None:
            self.rates.take_up(self._listed(self.lr_schedulers()), self._new_optimizers, self.current_epoch)
        # Detectors wait for an accelerator anyway, and fail in their own ways on boxes that are no numbers.
        if self.device.type != "cpu" and isinstance(self.method, LabelMethod):
            self.guard.every = self.options.log_every_n_steps
        self.stepper.put_back(self.method.named_parameters())
