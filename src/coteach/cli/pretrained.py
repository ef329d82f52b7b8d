"""Weights that a model fetches: not needed where a checkpoint replaces them, and not to be had without a network."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from inspect import Parameter, signature
from typing import Any

from coteach.errors import TargetError

# argument -> what starts from random weights
_KEYS: dict[str, Any] = {
    "encoder_weights": None,  # segmentation_models_pytorch
    "weights": None,  # torchvision
    "weights_backbone": None,
    "pretrained": False,  # timm
}


def without_pretrained(target: Callable[..., Any], node: Mapping[str, Any]) -> dict[str, Any]:
    """A node that makes the same model from random weights.

    What says which pretrained layers stay as they are (torchvision's detectors) goes with the weights.

    Args:
        target: what its ``_target_`` names.
        node: of the model.
    """
    rest = {key: value for key, value in node.items() if key != "trainable_backbone_layers"}
    return {**rest, **{key: _KEYS[key] for key in _in_effect(target, node)}}


@contextmanager
def fetching(target: Callable[..., Any], node: Mapping[str, Any], place: str) -> Iterator[None]:
    """While a model is built: weights that cannot be fetched are an error that says which key to set.

    Args:
        target: what its ``_target_`` names.
        node: of the model.
        place: of the node in the configuration.

    Raises:
        TargetError: they cannot be fetched, or are a file of another program.
    """
    wanted = _in_effect(target, node)
    for key, value in wanted.items():
        if isinstance(value, str) and value.endswith(".pth"):
            cause = f"{value!r} is a file; those of mmdetection and other programs are not supported"
            raise TargetError(
                f"{place}.{key}", cause, f"name weights that the model knows, or set {key}: null"
            )
    hub = logging.getLogger("huggingface_hub")
    level = hub.level
    hub.setLevel(logging.ERROR)  # it tells of each attempt
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*Error loading .* from Hugging Face Hub.*")
            yield
    except OSError as error:  # what all of the download functions raise
        if not wanted:
            raise
        key = next(iter(wanted))
        raise TargetError(
            f"{place}.{key}",
            f"the weights {wanted[key]!r} are neither in the cache nor to be fetched ({_first_line(error)})",
            f"set {place}.{key}: {'false' if _KEYS[key] is False else 'null'} to start from random weights, "
            "or run once with a network connection",
        ) from error
    finally:
        hub.setLevel(level)


def _in_effect(target: Callable[..., Any], node: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments that have weights fetched, those included that do so unless told otherwise."""
    parameters = signature(target).parameters
    defaults = {key: parameters[key].default for key in _KEYS if key in parameters}
    given = {key: node[key] for key in _KEYS if key in node}
    return {key: value for key, value in (defaults | given).items() if value and value is not Parameter.empty}


def _first_line(error: OSError) -> str:
    """What went wrong in the end, shortened: the first error of the chain says it."""
    cause: BaseException = error
    while cause.__cause__ or cause.__context__:
        following = cause.__cause__ or cause.__context__
        assert following is not None
        cause = following
    return (str(cause).splitlines() or [type(cause).__name__])[0][:120]
