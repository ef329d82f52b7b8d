"""YAML -> a checked configuration. Composed and overridden by Hydra; the keys are a typed schema."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from difflib import get_close_matches
from hashlib import sha256
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from coteach.errors import ConfigError

Node = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """Keys of a training configuration.

    Args:
        method: ``name`` and the method's own options.
        model: the network, ``_target_`` and its arguments; each network of the method is built from it.
        optimizer: made once a network.
        train_dataset: what is trained on.
        num_classes: number of classes.
        val_dataset: what is validated on, in order and as it is.
        test_dataset: what ``coteach evaluate`` looks at.
        scheduler: made once an optimizer; ``interval`` is ``epoch`` or ``step``.
        data_loader: batch size and workers, see ``coteach.training.streams.LoaderOptions``.
        trainer: length, precision and so on, see ``coteach.training.options.TrainerOptions``.
        class_names: names by code, for tables.
        output_dir: folder of the run.
        seed: seed of everything random.
    """

    method: Node
    model: Node
    optimizer: Node
    train_dataset: Node
    num_classes: int
    val_dataset: Node | None = None
    test_dataset: Node | None = None
    scheduler: Node | None = None
    data_loader: Node = field(default_factory=dict)
    trainer: Node = field(default_factory=dict)
    class_names: list[str] | None = None
    output_dir: str = "runs/run"
    seed: int = 42

    def __post_init__(self) -> None:
        if self.num_classes < 2:
            raise ConfigError("num_classes", f"{self.num_classes} is below 2", "give the number of classes")
        if self.class_names is not None and len(self.class_names) != self.num_classes:
            raise ConfigError(
                "class_names",
                f"{len(self.class_names)} names for {self.num_classes} classes",
                "give one a class",
            )

    def portable(self) -> Node:
        """The same as plain data, with paths that mean the same from any working directory."""
        content = asdict(self) | {"output_dir": str(Path(self.output_dir).resolve())}
        for key in ("train_dataset", "val_dataset", "test_dataset"):
            if content[key] is not None and "input_csv_path" in content[key]:
                content[key]["input_csv_path"] = str(Path(content[key]["input_csv_path"]).resolve())
        return content

    def fingerprint(self) -> str:
        """Identifies what is trained, the tables' content included; the folder it is written to does not matter."""
        content = {key: value for key, value in self.portable().items() if key != "output_dir"}
        for key in ("train_dataset", "val_dataset"):
            table = Path((content[key] or {}).get("input_csv_path", ""))
            if table.is_file():  # another split under the same name is another run
                content[f"{key} table"] = sha256(table.read_bytes()).hexdigest()
        return sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def load_config(path: Path, overrides: Sequence[str] = ()) -> RunConfig:
    """Compose a YAML file with overrides (``optimizer.lr=3e-4``) and check it.

    Args:
        path: the YAML file; its ``defaults`` list is looked up beside it.
        overrides: in Hydra's grammar.

    Raises:
        ConfigError: the file is missing or malformed, an override does not parse, or a key is unknown.
    """
    from hydra import compose, initialize_config_dir
    from hydra.errors import HydraException
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException
    from yaml import YAMLError

    if not path.is_file():
        raise ConfigError(str(path), "no such file", "give the path of a YAML configuration")
    if path.suffix != ".yaml":
        raise ConfigError(str(path), f"the ending {path.suffix!r} is not .yaml", "rename it")
    try:
        with initialize_config_dir(str(path.resolve().parent), version_base="1.3"):
            composed = compose(path.stem, list(overrides))
        content = OmegaConf.to_container(composed, resolve=True)
    except (HydraException, OmegaConfBaseException, YAMLError) as error:
        cause = " ".join(str(error.__cause__ or error).split())
        raise ConfigError(str(path), cause, "correct the file or the override") from error
    if not isinstance(content, dict):
        raise ConfigError(
            str(path), "is not a mapping of keys to values", "start from an example configuration"
        )
    return parse_config({str(key): value for key, value in content.items()}, str(path))


def parse_config(content: Mapping[str, Any], origin: str) -> RunConfig:
    """Check keys and types of a configuration that is already plain data.

    Raises:
        ConfigError: a key is unknown (the nearest is named) or missing, or a value is of the wrong type.
    """
    return checked(RunConfig, content, "", origin)


T = TypeVar("T")


def to_yaml(content: Node) -> str:
    """Plain data as YAML."""
    from omegaconf import OmegaConf

    return OmegaConf.to_yaml(OmegaConf.create(content))


def checked(schema: type[T], content: Mapping[str, Any], prefix: str, origin: str) -> T:
    """Make a dataclass of a mapping whose keys and value types must be its own.

    Args:
        schema: the dataclass.
        content: key -> value.
        prefix: where the mapping lies in the configuration, such as ``trainer.``.
        origin: the file, for messages.

    Raises:
        ConfigError: as above.
    """
    names = [f.name for f in fields(schema)]  # type: ignore[arg-type]  # a dataclass by contract
    hints = get_type_hints(schema)
    for key, value in content.items():
        if key not in names:
            close = get_close_matches(key, names, n=1)
            remedy = (
                f"did you mean {prefix}{close[0]}?" if close else f"use one of {', '.join(sorted(names))}"
            )
            raise ConfigError(origin, f"unknown key {prefix}{key}", remedy)
        if not _fits(value, hints[key]):
            raise ConfigError(
                origin, f"{prefix}{key} is {value!r} ({type(value).__name__})", f"give {_spelled(hints[key])}"
            )
    try:
        return schema(**content)
    except TypeError as error:
        missing = str(error).partition(": ")[2]
        raise ConfigError(
            origin, f"missing key {missing}", "add it; see the example configurations"
        ) from error


def _fits(value: Any, hint: Any) -> bool:
    origin = get_origin(hint)
    if origin in (UnionType, Union):
        return any(_fits(value, option) for option in get_args(hint))
    if origin is Literal:
        return value in get_args(hint)
    if hint is Any:
        return True
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, origin or hint)


def _spelled(hint: Any) -> str:
    if get_origin(hint) in (UnionType, Union):
        return " or ".join(_spelled(option) for option in get_args(hint))
    if get_origin(hint) is Literal:
        return " or ".join(map(repr, get_args(hint)))
    if hint is NoneType:
        return "null"
    return {
        dict: "a mapping",
        list: "a list",
        float: "a number",
        int: "a whole number",
        str: "text",
        bool: "true or false",
    }.get(get_origin(hint) or hint, str(hint))
