"""The runs of an ablation: their configurations, trained and measured one after the other."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from coteach.cli.ablate_labels import REFERENCE
from coteach.cli.config import RunConfig, load_config
from coteach.cli.data_paths import Node
from coteach.cli.packaged import packaged_configs
from coteach.cli.targets import TargetResolver
from coteach.cli.variant_runs import Countdown, Result, run_variant, slug
from coteach.cli.variants import Variant
from coteach.errors import ConfigError, CoteachError
from coteach.methods.discovery import discover_methods
from coteach.schema import checked, nearest
from coteach.training.options import TrainerOptions

_BASE = "ablation"
# of a data set in the configuration; all else follows from the variant
_KEPT = ("image_scale", "in_memory", "augmentation_list")


@dataclass(frozen=True)
class Failure:
    """What could not be trained or measured.

    Args:
        variant: its name.
        seed: None if it failed before training.
        error: why.
    """

    variant: str
    seed: int | None
    error: str

    def __str__(self) -> str:
        return f"{self.variant}{'' if self.seed is None else f', seed {self.seed}'}: {self.error}"


def base_config(
    path: Path | None, overrides: Sequence[str], *, num_classes: int, num_bands: int, epochs: int | None
) -> RunConfig:
    """What all variants share: network, optimizer, length.

    Args:
        path: a configuration as for ``coteach train``; None takes the packaged one.
        overrides: ``key=value``; they go before all else.
        num_classes: C.
        num_bands: of the images; the packaged configuration's network gets them.
        epochs: length of every run; None leaves it to the configuration.

    Raises:
        ConfigError: it is no good configuration, or has an option that no variant's method has.
    """
    given = [f"num_classes={num_classes}"]
    if path is None:
        given.append(f"model.in_channels={num_bands}")
    if epochs is not None:
        given.append(f"trainer.max_epochs={epochs}")
    base = load_config(path or packaged_configs()[_BASE], [*given, *overrides])
    options = {key for method in discover_methods().values() for key in _options_of(method.config_type)}
    for key in base.method:
        if key not in options | {"name"}:
            raise ConfigError(f"method.{key}", "is an option of no method", nearest(key, options, "method."))
    return base


def _options_of(schema: type[Any]) -> set[str]:
    return {field.name for field in fields(schema)}


def epochs_of(config: RunConfig) -> int:
    """How many epochs a run takes at most; where only ``max_steps`` says, 1."""
    options = checked(TrainerOptions, config.trainer, "trainer.", "configuration")
    return options.epoch_limit or 1


def variant_config(
    variant: Variant,
    base: RunConfig,
    splits: Mapping[str, Path],
    folder: Path,
    seed: int,
    *,
    windowed: bool,
) -> RunConfig:
    """The configuration of a run.

    Args:
        variant: decides the method and the labels.
        base: decides the rest.
        splits: split -> table.
        folder: the run goes to ``folder/<variant>_<seed>``.
        seed: of the run.
        windowed: the tables list patches, not tiles.
    """
    nodes = {name: _dataset(variant, base, name, table, windowed=windowed) for name, table in splits.items()}
    return replace(
        base,
        method=_method(variant, base),
        train_dataset=nodes["train"],
        val_dataset=nodes.get("val"),
        test_dataset=nodes["test"],
        output_dir=str(folder / f"{slug(variant.name)}_{seed}"),
        seed=seed,
    )


def _method(variant: Variant, base: RunConfig) -> Node:
    """The variant's method; options of the base that it has and the variant leaves open are the base's."""
    known = _options_of(discover_methods()[variant.method["name"]].config_type)
    shared = {key: value for key, value in base.method.items() if key in known}
    if "e_warm" in known:
        shared = {"e_warm": epochs_of(base) / 3} | shared
    return shared | dict(variant.method)


def _dataset(variant: Variant, base: RunConfig, split: str, table: Path, *, windowed: bool) -> Node:
    own = {"train": base.train_dataset, "val": base.val_dataset, "test": base.test_dataset}[split]
    kept = {key: value for key, value in (own or base.train_dataset).items() if key in _KEPT}
    if own is None:
        kept.pop("augmentation_list", None)
    node: Node = {
        "_target_": f"coteach.SoftLabel{'Windowed' if windowed else ''}Dataset",
        "input_csv_path": str(table.resolve()),
        **kept,
    }
    return node | ({"w_conf_key": "w_conf_path"} if variant.weighted else {})


def run_all(
    configs: Sequence[tuple[Variant, RunConfig]],
    resolver: TargetResolver,
    *,
    checkpoint: str,
    done: Callable[[Result], None],
    failed: Callable[[Failure], None],
    advance: Callable[[int], None],
) -> tuple[list[Result], list[Failure]]:
    """Train and measure; what fails is told, and the rest goes on. Finished runs are measured only.

    Args:
        configs: variant and configuration of each run.
        resolver: what targets are allowed.
        checkpoint: which one is measured, ``last`` or ``best``.
        done: is told each result.
        failed: is told each failure.
        advance: is told how many more epochs are done.
    """
    results, failures = [], []
    for variant, config in configs:
        left = Countdown(epochs_of(config), advance)
        assert config.test_dataset is not None
        # the target of a hard label is the same node; weights do not matter to what is measured
        node = {key: value for key, value in config.test_dataset.items() if key != "w_conf_key"}
        try:
            result = run_variant(
                config,
                variant.name,
                {"test": node},
                resolver=resolver,
                reference_key=REFERENCE,
                checkpoint=checkpoint,
                after_epoch=left.count,
            )
        except (CoteachError, OSError, RuntimeError) as error:  # torch raises RuntimeErrors of all kinds
            failures.append(Failure(variant.name, config.seed, str(error)))
            failed(failures[-1])
        else:
            results.append(result)
            done(result)
        left.finish()
    return results, failures
