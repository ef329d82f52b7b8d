"""Arguments of ``coteach.fit`` that are of another kind than they should be, told before anything uses them."""

from __future__ import annotations

import inspect
import math
import os
from collections.abc import Callable, Mapping
from functools import partial
from numbers import Integral, Real
from typing import Any

import numpy as np
from torch import Tensor, nn

from coteach.errors import InputError, OptionError
from coteach.methods.label_method import LabelMethod
from coteach.training.options import TrainerOptions
from coteach.training.streams import LoaderOptions

_DEVICES = ("auto", "cpu", "gpu", "cuda", "mps")


def check_arguments(**given: Any) -> None:
    """Refuse arguments of the wrong kind or out of range; keywords are options of ``coteach.fit`` and ``coteach.out_of_fold``.

    Raises:
        OptionError: the first one that is refused; it says what it is and what to give.
    """
    for option, value in given.items():
        _CHECKS[option](option, value)


def _whole(least: int | None, option: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise OptionError(option, f"is {_told(value)}", "give a whole number, such as 10")
    if least is not None and int(value) < least:
        raise OptionError(option, f"{value} is below {least}", f"give {least} or more")


def _seed(option: str, value: Any) -> None:
    _whole(None, option, value)
    if not -(2**63) <= int(value) < 2**63:
        raise OptionError(option, f"{value} is outside -2^63 to 2^63-1", "give a smaller number")


def _positive(option: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, Real):
        raise OptionError(option, f"is {_told(value)}", "give a number, such as 0.001")
    if not 0 < float(value) < math.inf:
        raise OptionError(option, f"{value} is not positive and finite", "give a positive number")


def _of_kind(kind: type, option: str, value: Any) -> None:
    if value is not None and not isinstance(value, kind):
        raise OptionError(option, f"is {_told(value)}", f"give {kind.__module__}.{kind.__name__}, or None")


def _method(option: str, value: Any) -> None:
    if not isinstance(value, LabelMethod):
        own = isinstance(value, type) and issubclass(value, LabelMethod)
        example = value.__name__ if own else "coteach.CoTeaching"
        remedy = f"give an object of a method for labels, such as {example}()"
        raise OptionError(option, f"is {_told(value)}", remedy)


def _factory(option: str, value: Any) -> None:
    if isinstance(value, nn.Module) or not callable(value):
        remedy = "give a function that makes a new network each time, such as lambda: SmallMobileNet(10)"
        raise OptionError(option, f"is {_told(value)}", remedy)
    try:
        inspect.signature(value, follow_wrapped=False).bind()  # a decorator may give the arguments
    except (TypeError, ValueError) as error:
        if isinstance(error, ValueError) and not _has_signature(value):
            return  # of some built-in functions it cannot be told
        remedy = "give a function without arguments, such as functools.partial of a class with them"
        raise OptionError(option, f"cannot be called without arguments ({error})", remedy) from error


def _has_signature(value: Any) -> bool:
    """Whether it is a partial of a function whose arguments are known."""
    try:
        inspect.signature(value.func, follow_wrapped=False)
    except (AttributeError, ValueError):
        return False
    return isinstance(value, partial)


def _maker(option: str, value: Any) -> None:
    if value is not None and not callable(value):
        remedy = f"give a function that makes the {option}, such as functools.partial of its class"
        raise OptionError(option, f"is {_told(value)}", remedy)


def _device(option: str, value: Any) -> None:
    if not isinstance(value, str) or value not in _DEVICES:
        remedy = f"use one of {', '.join(_DEVICES)}; CUDA_VISIBLE_DEVICES chooses one of several GPUs"
        raise OptionError(option, f"is {_told(value)}", remedy)


def _folder(option: str, value: Any) -> None:
    if value is not None and (not isinstance(value, str | os.PathLike) or not str(value).strip()):
        raise OptionError(option, f"is {_told(value)}", "give the path of a folder, or None")


_CHECKS: dict[str, Callable[[str, Any], None]] = {
    "model_factory": _factory,
    "method": _method,
    "epochs": partial(_whole, 1),
    "batch_size": partial(_whole, 1),
    "lr": _positive,
    "optimizer": _maker,
    "scheduler": _maker,
    "num_classes": lambda option, value: None if value is None else _whole(None, option, value),
    "seed": _seed,
    "folds": partial(_whole, None),
    "output_dir": _folder,
    "device": _device,
    "num_workers": partial(_whole, 0),
    "loader": partial(_of_kind, LoaderOptions),
    "options": partial(_of_kind, TrainerOptions),
}


def check_fresh(network: Any, other: Any) -> None:
    """Refuse networks that are none, or that would train the same weights.

    Args:
        network: what the factory made first.
        other: what it made next.

    Raises:
        OptionError: they are refused.
    """
    if not isinstance(network, nn.Module):
        remedy = "give a function that returns a torch.nn.Module"
        raise OptionError("model_factory", f"its network is {_told(network)}", remedy)
    learned = {id(weight) for weight in network.parameters() if weight.requires_grad}
    if any(id(weight) in learned for weight in other.parameters()):
        cause = "two networks that it made share weights, so that neither begins anew nor corrects the other"
        raise OptionError("model_factory", cause, "make all layers within the function")


def check_samples(given: Any, option: str) -> None:
    """Refuse what is neither ``(images, labels)`` nor a data set.

    Raises:
        InputError: it is refused.
    """
    remedy = "give (images, labels), or a data set of (image, label)"
    if isinstance(given, str | os.PathLike):
        remedy = "give (images, labels), or a data set such as coteach.ImageFolderDataset of it"
    elif isinstance(given, tuple) and len(given) != 2:
        raise InputError(option, f"is a tuple of {len(given)}", remedy)
    elif isinstance(given, list) and given and all(isinstance(part, np.ndarray | Tensor) for part in given):
        remedy = "give (images, labels) as a tuple"
    elif isinstance(given, np.ndarray | Tensor):
        remedy = "give (images, labels) as a tuple; -1 is no label"
    elif isinstance(given, Mapping):
        remedy = "give (images, labels) as a tuple, or one of several data sets"
    elif hasattr(given, "__getitem__") and hasattr(given, "__len__") and not isinstance(given, type):
        return
    raise InputError(option, f"is {_told(given)}", remedy)


def _told(value: Any) -> str:
    """What something is, in a word or two."""
    if value is None:
        return "None"
    if isinstance(value, type):
        return f"the class {value.__name__}"
    name = type(value).__name__
    if isinstance(value, str | bool | Integral | Real):
        text = repr(value)
        return f"{text if len(text) <= 40 else text[:40] + '…'} ({name})"
    return f"an object of {name}"
