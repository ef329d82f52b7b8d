"""A configuration of pytorch-segmentation-models-trainer 1.4 -> one of this package, as plain data.

What keys mean is taken from that package's documentation and its example configurations.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from coteach.compat.smt.callbacks import translate_callbacks, translate_loggers
from coteach.compat.smt.datasets import PACKAGE, note_loader, translate_dataset, translate_loader
from coteach.compat.smt.extras import translate_extras
from coteach.compat.smt.ledger import Ledger, Section, feature
from coteach.compat.smt.schedules import translate_scheduler
from coteach.compat.smt.training import translate_trainer
from coteach.errors import ConfigError

_METHODS = {
    "model_loader.co_teaching_model.CoTeachingModel": "co_teaching",
    "model_loader.soft_label_model.SoftLabelModel": "soft_label",
}
_LOSSES = {
    "custom_losses.co_teaching_loss.CoTeachingLoss": "co_teaching",
    "custom_losses.soft_label_loss.SoftLabelWeightedCELoss": "soft_label",
}
_NETWORKS = {"co_teaching": 2, "soft_label": 1}
_CURRICULUM = ("e_warm", "p_start", "p_end")
_NO_SEED = 42


@dataclass(frozen=True, kw_only=True)
class Translation:
    """A configuration of this package.

    Args:
        content: plain data.
        notes: what became of keys that have no effect here, or another one.
    """

    content: dict[str, Any]
    notes: tuple[str, ...]


def register_resolvers() -> None:
    """Teach OmegaConf ``${div:a,b}``, the whole part of a / b, which that package adds to Hydra's."""
    from omegaconf import OmegaConf

    if not OmegaConf.has_resolver("div"):
        OmegaConf.register_new_resolver("div", lambda a, b: int(a // b))


def is_legacy(content: Mapping[str, Any]) -> bool:
    """Whether a configuration is one of that package: it names a class of it."""
    return any(target.startswith(f"{PACKAGE}.") for _, target in _targets(content, ""))


def translate(
    content: Mapping[str, Any],
    origin: str,
    name: str = "run",
    *,
    method: str | None = None,
    training: bool = True,
) -> Translation:
    """Translate a configuration.

    Args:
        content: plain data, interpolations resolved.
        origin: the file, for messages.
        name: of the run's folder, where the file names none.
        method: ``co_teaching`` or ``soft_label``, whatever ``_target_`` is missing or says; None goes by it.
        training: False needs no data sets, loss and optimizer, for a network that only predicts.

    Raises:
        ConfigError: something is not supported or unknown; all of it is listed.
    """
    ledger = Ledger()
    root = Section(ledger, "", content)
    native = _translate(root, name, method, training=training)
    root.close()
    for place, target in _targets(native, ""):
        if target.startswith(f"{PACKAGE}."):
            ledger.refuse_target(place, target)
    if ledger.problems:
        number = len(ledger.problems)
        listed = "".join(f"\n  {problem}" for problem in ledger.problems)
        raise ConfigError(
            origin,
            f"{number} {'key' if number == 1 else 'keys'} cannot be had here",
            f"take them out or change them (docs/migrating_smt.md says what there is):{listed}",
        )
    return Translation(content=native, notes=tuple(ledger.notes))


def _translate(root: Section, name: str, method: str | None, *, training: bool) -> dict[str, Any]:
    method = method or _method(root)
    root.ignore("the class of the run has been chosen", "_target_", "pl_model")
    hyper = root.section("hyperparameters")
    options, num_classes = _loss(root, method, required=training)
    model = root.take("model", {})
    native: dict[str, Any] = {
        "method": {"name": method} | options | root.take("method", {}),
        "num_classes": num_classes or _classes_of(model, root.ledger),
        "model": model,
        "optimizer": root.take("optimizer", {}),
    }
    _datasets(root, native, hyper, required=training)
    pl_trainer = root.section("pl_trainer")
    logs, root_dir = root.listed("logger"), pl_trainer.take("default_root_dir")
    epochs = hyper.take("num_epochs", hyper.take("epochs"))
    trainer = translate_trainer(pl_trainer, epochs, _NETWORKS.get(method, 1))
    if root.take("deterministic_cudnn", default=False):
        trainer["deterministic"] = True
    translate_callbacks(root.listed("callbacks"), trainer, root.ledger)
    scheduler = translate_scheduler(
        root, trainer=trainer, dataset=native.get("train_dataset", {}), loader=native["data_loader"]
    )
    _hyperparameters(hyper)
    folder, loggers = translate_loggers(logs, root_dir, name, root.ledger)
    native |= {"trainer": trainer, "output_dir": root.take("output_dir", folder), "seed": _seed(root)}
    extras = {"scheduler": scheduler, "loggers": loggers} | translate_extras(root)
    native |= {key: value for key, value in extras.items() if value}
    return native


def _method(root: Section) -> str:
    """The method behind the class at the root, or at ``pl_model``."""
    pl_model = root.section("pl_model")
    named = root.take("_target_"), pl_model.take("_target_")
    pl_model.close()
    target = str(named[0] or named[1] or "missing")
    found = _METHODS.get(target.removeprefix(f"{PACKAGE}."))
    if found is None:
        root.ledger.refuse_target("pl_model" if named[1] else "the file", target)
    elif None not in named and named[0] != named[1]:
        root.ledger.refuse("pl_model._target_", f"{named[1]} contradicts _target_ {named[0]}")
    return found or "soft_label"


def _loss(root: Section, method: str, *, required: bool) -> tuple[dict[str, Any], Any]:
    """Options of the method, and the number of classes."""
    loss, curriculum = root.section("loss"), root.section("curriculum")
    target = str(loss.take("_target_", "missing"))
    kind = _LOSSES.get(target.removeprefix(f"{PACKAGE}."))
    if kind != method and (required or target != "missing"):
        loss.ledger.refuse_target("loss", target)
        loss.rest = {}
    loss.take("name")  # a label in logs, where the methods have their own
    loss.expect("mask_key", ("mask",), "the data sets give P_soft as 'mask'")
    loss.expect("weight_key", ("w_conf",), "the data sets give W_conf as 'w_conf'")
    num_classes = loss.take("num_classes")
    options: dict[str, Any] = {}
    if method == "co_teaching":
        for key in _CURRICULUM:
            options[key] = curriculum.take(key, loss.take(key))
        options["lambda_reg"] = loss.take("lambda_reg")
    loss.close()
    curriculum.close()
    return {key: value for key, value in options.items() if value is not None}, num_classes


def _classes_of(model: Any, ledger: Ledger) -> int:
    """The number of classes of a network, where the loss does not say it."""
    found = model.get("classes") if isinstance(model, Mapping) else None
    if not isinstance(found, int):
        ledger.refuse("loss.num_classes", "missing, and the model has no 'classes'")
        return 2
    return found


def _datasets(root: Section, native: dict[str, Any], hyper: Section, *, required: bool) -> None:
    """The data sets and, from the training set, the loader of the run."""
    batch_size = hyper.take("batch_size")
    native["data_loader"] = {}
    for split in ("train", "val", "test"):
        section = root.section(f"{split}_dataset")
        if not section.rest:
            if split == "train" and required:
                root.ledger.refuse("train_dataset", "missing")
            continue
        loader = section.section("data_loader")
        native[f"{split}_dataset"] = translate_dataset(section)
        if split == "train":
            native["data_loader"] = translate_loader(loader, batch_size)
        else:
            note_loader(loader, native["data_loader"])
    if "test_dataset" in native:
        root.ledger.note("test_dataset", "evaluated by coteach evaluate RUN_DIR, not at the end of training")


def _hyperparameters(hyper: Section) -> None:
    """What is left of them has no meaning of its own: other keys refer to it."""
    for key, why in {
        "warmup_epochs": "give a schedule with a warm-up of its own",
        "resume_from_checkpoint": "a run goes on by itself; checkpoints of that package hold other things",
    }.items():
        hyper.expect(key, (0, False), why)
    for key in [key for key in hyper.rest if feature(key) is None]:
        hyper.take(key)
    hyper.close()


def _seed(root: Section) -> int:
    seed = root.take("seed")
    if seed is None:
        root.ledger.note("seed", f"missing; {_NO_SEED}, for every run has one here")
        return _NO_SEED
    return int(seed)


def _targets(node: Any, place: str) -> Iterator[tuple[str, str]]:
    """Every ``_target_`` below a node, with the key of its mapping."""
    if isinstance(node, Mapping):
        if isinstance(node.get("_target_"), str):
            yield place or "the file", node["_target_"]
        for key, value in node.items():
            yield from _targets(value, f"{place}.{key}" if place else str(key))
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from _targets(value, f"{place}[{index}]")
