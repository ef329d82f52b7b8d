"""The figures of validation: the method's own, the user's beside them, and the one that says which epoch is the best."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from torchmetrics import Metric, MetricCollection

from coteach.errors import ConfigError
from coteach.methods.base import Method
from coteach.schema import nearest
from coteach.training.options import TrainerOptions

_LOSS = "val/loss"


def validation_metrics(method: Method, metrics: Mapping[str, Metric]) -> MetricCollection:
    """Fresh figures of a method, with more of them; each is logged as ``val/<name>``.

    Args:
        method: set up.
        metrics: name -> metric that counts predicted against true classes.

    Raises:
        ConfigError: a name is taken.
    """
    collection = method.make_metrics()
    for name, metric in metrics.items():
        if name in collection or name == "loss":
            raise ConfigError(f"metrics.{name}", "is a figure that there is already", "choose another name")
        collection.add_metrics({name: metric.clone()})
    return collection


def best_mode(options: TrainerOptions, metrics: MetricCollection) -> Literal["min", "max"]:
    """Whether the best of the monitored figure is the smallest or the largest.

    Args:
        options: ``monitor_mode`` decides, if it is given.
        metrics: all figures of validation.

    Raises:
        ConfigError: there is no such figure; the nearest is named.
    """
    sources = {
        f"val/{figure}": metric
        for name, metric in metrics.items()
        for figure in getattr(metric, "figures", (name,))  # average precision gives several at once
    }
    known = {_LOSS, *sources}
    if options.monitored not in known:
        raise ConfigError(
            "trainer.monitor", f"{options.monitored!r} is not measured", nearest(options.monitored, known)
        )
    if options.monitor_mode is not None:
        return options.monitor_mode
    if options.monitored == _LOSS:
        return "min"
    falls = sources[options.monitored].higher_is_better is False
    return "min" if falls else "max"
