"""YAML -> a checked configuration. Composed and overridden by Hydra; the keys are a typed schema."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from textwrap import shorten
from typing import Any

from coteach.cli.data_paths import Node, absolute
from coteach.cli.interpolation import without_environment
from coteach.cli.override_order import deletions_last
from coteach.cli.override_syntax import unreadable
from coteach.cli.packaged import find_config
from coteach.cli.yaml_limits import check_yaml
from coteach.errors import ConfigError
from coteach.legend import parse_color
from coteach.schema import checked

_LONGEST = 500  # characters of another package's message


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """Keys of a training configuration.

    Args:
        method: ``name`` and the method's own options.
        model: the network, ``_target_`` and its arguments; each network of the method is built from it.
        optimizer: made once a network.
        train_dataset: what is trained on.
        num_classes: number of classes; of boxes, without the background.
        val_dataset: what is validated on, in order and as it is.
        test_dataset: what ``coteach evaluate`` looks at.
        unlabelled_dataset: images without labels, for methods that learn from them.
        scheduler: made once an optimizer; ``interval`` is ``epoch`` or ``step``.
        data_loader: batch size and workers, see ``coteach.training.streams.LoaderOptions``.
        trainer: length, precision and so on, see ``coteach.training.options.TrainerOptions``.
        metrics: name -> torchmetrics metric of classes, ``_target_`` and its arguments: a figure ``val/<name>`` more.
        loggers: Lightning loggers beside those for CSV and TensorBoard, ``_target_`` and arguments each.
        class_names: names by code, for tables and maps.
        class_colors: colours by code, ``#rrggbb``, for maps and charts.
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
    unlabelled_dataset: Node | None = None
    scheduler: Node | None = None
    data_loader: Node = field(default_factory=dict)
    trainer: Node = field(default_factory=dict)
    metrics: Node = field(default_factory=dict)
    loggers: list[Node] = field(default_factory=list)
    class_names: list[str] | None = None
    class_colors: list[str] | None = None
    output_dir: str = "runs/run"
    seed: int = 42

    def __post_init__(self) -> None:
        if self.num_classes < 1:
            raise ConfigError("num_classes", f"{self.num_classes} is below 1", "give the number of classes")
        if not -(2**63) <= self.seed < 2**63:
            raise ConfigError("seed", f"{self.seed} is outside -2^63 to 2^63-1", "give a smaller number")
        if not self.output_dir.strip():  # of a shell's variable that is not set
            raise ConfigError("output_dir", "is empty", "give the folder of the run; . is this one")
        for key in ("class_names", "class_colors"):
            values = getattr(self, key)
            if values is not None and len(values) != self.num_classes:
                raise ConfigError(key, f"{len(values)} for {self.num_classes} classes", "give one a class")
            if values is not None and len(set(values)) < len(values):
                twice = next(value for value in values if values.count(value) > 1)
                raise ConfigError(key, f"{twice!r} stands there twice", "tell the classes apart")
        for color in self.class_colors or ():
            parse_color(color, "class_colors")

    def portable(self) -> Node:
        """The same as plain data, with paths that mean the same from any working directory."""
        content = asdict(self) | {"output_dir": str(Path(self.output_dir).resolve())}
        for key in ("train_dataset", "val_dataset", "test_dataset", "unlabelled_dataset"):
            if content[key] is not None:
                content[key] = absolute(content[key])
        return content


def load_config(path: Path, overrides: Sequence[str] = ()) -> RunConfig:
    """Compose a YAML file with overrides (``optimizer.lr=3e-4``) and check it.

    Args:
        path: the YAML file, or the name of an example of the package; its ``defaults`` list is looked up beside it.
        overrides: in Hydra's grammar; a key that the file lacks needs no ``+``.

    Raises:
        ConfigError: the file is missing or malformed, an override does not parse, or a key is unknown.
    """
    from coteach.cli.convert import native_form

    path, content = compose_config(path, overrides)
    return parse_config(native_form(content, path), str(path))


def compose_config(path: Path, overrides: Sequence[str] = ()) -> tuple[Path, Node]:
    """The file behind a path or a name, and its content, composed and with interpolations resolved.

    Args:
        path: as for ``load_config``.
        overrides: as there.

    Raises:
        ConfigError: the file is missing or malformed, or an override does not parse.
    """
    from hydra.errors import HydraException, OverrideParseException
    from omegaconf.errors import OmegaConfBaseException
    from yaml import YAMLError

    path = find_config(path)
    if path.is_dir():
        raise ConfigError(str(path), "is a folder", "give the path of a YAML configuration, a file")
    if not path.is_file():
        remedy = "give the path of a YAML configuration, or an example's name (coteach train --list)"
        raise ConfigError(str(path), "no such file", remedy)
    if path.suffix != ".yaml":
        raise ConfigError(str(path), f"the ending {path.suffix!r} is not .yaml", "rename it")
    check_yaml(path)
    try:
        with without_environment():
            composed = _compose(path, overrides)
            content = _resolved(path, composed)
    except OverrideParseException as error:
        raise unreadable(error.override) from error
    except (HydraException, OmegaConfBaseException, YAMLError, ValueError, RecursionError) as error:
        # a,b, which could be a sweep
        if ambiguous := re.match("Ambiguous value for argument '(.*)'", str(error)):
            raise unreadable(ambiguous[1]) from error
        cause = shorten(" ".join(str(error.__cause__ or error).split()), _LONGEST, placeholder=" …")
        raise ConfigError(str(path), cause, "correct the file or the override") from error
    if not isinstance(content, dict):
        raise ConfigError(
            str(path), "is not a mapping of keys to values", "start from an example configuration"
        )
    return path, {str(key): value for key, value in content.items()}


def _resolved(path: Path, composed: Any) -> Any:
    """Plain data, interpolations resolved.

    Raises:
        ConfigError: a value has to be given first.
    """
    from omegaconf import OmegaConf

    if missing := _missing(OmegaConf.to_container(composed)):
        keys = ", ".join(missing)
        raise ConfigError(f"{path}: {keys}", "must be given", f"set it in the file or as {missing[0]}=VALUE")
    return OmegaConf.to_container(composed, resolve=True)


def _missing(content: Any, key: str = "") -> list[str]:
    """The dotted keys whose value is ``???``, the mark of a value that has to be given."""
    if isinstance(content, Mapping):
        within = [(str(name), value) for name, value in content.items()]
    elif isinstance(content, list):
        within = [(str(index), value) for index, value in enumerate(content)]
    else:
        return [key] if content == "???" else []
    return [found for name, value in within for found in _missing(value, f"{key}.{name}" if key else name)]


def _compose(path: Path, overrides: Sequence[str]) -> Any:
    """Hydra's composition; a key that the file lacks may be given, for the schema says what is a key."""
    from hydra import compose, initialize_config_dir
    from hydra.errors import ConfigCompositionException
    from omegaconf.errors import InterpolationToMissingValueError

    try:
        with initialize_config_dir(str(path.resolve().parent), version_base="1.3"):
            return compose(path.stem, deletions_last(overrides))
    except ConfigCompositionException as error:
        if isinstance(error.__cause__, InterpolationToMissingValueError):
            # of what ~key deletes; what is missing is better told of all that is left
            _resolved(path, _compose(path, [one for one in overrides if not one.startswith("~")]))
        missing = re.search("Could not override '([^']+)'", str(error))
        known = [f"++{o}" if missing and o.startswith(f"{missing[1]}=") else o for o in overrides]
        if known == list(overrides):
            raise
    return _compose(path, known)


def parse_config(content: Mapping[str, Any], origin: str) -> RunConfig:
    """Check keys and types of a configuration that is already plain data.

    Raises:
        ConfigError: a key is unknown (the nearest is named) or missing, or a value is of the wrong type.
    """
    return checked(RunConfig, content, "", origin)


def to_yaml(content: Node) -> str:
    """Plain data as YAML."""
    from omegaconf import OmegaConf

    return OmegaConf.to_yaml(OmegaConf.create(content))
