"""A device that is not the CPU, where there is no GPU: its arithmetic is the CPU's, but what lies on both may not meet.

Tensors on ``elsewhere`` hold a CPU tensor. Inside ``Elsewhere()`` an operator that is given tensors of both sides raises, as it
would on a GPU, and operators that the host has to wait for are counted. It uses torch's hook for devices written in
Python, which holds for the whole process: import this in a process of its own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, Self

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.backend_registration import _DummyBackendModule, _setup_privateuseone_for_python_backend

NAME = "elsewhere"
_MOVES = ("copy_", "_to_copy")  # from one side to the other
_INDEXED = ("index", "index_put", "index_put_", "_index_put_impl_")  # indices of the host are sent there
_LISTED = ("stack", "cat")  # take no number of the host
# their results, or the sizes of them, are needed on the host
_WAITS = (
    "_local_scalar_dense", "equal", "is_nonzero", "nonzero", "masked_select", "bincount",
    "_unique2", "unique_dim", "unique_consecutive", "repeat_interleave",
)  # fmt: skip


class _Module(_DummyBackendModule):
    @staticmethod
    def get_amp_supported_dtype() -> list[torch.dtype]:
        return [torch.bfloat16, torch.float16]


_setup_privateuseone_for_python_backend(NAME, backend_module=_Module())
DEVICE = torch.device(NAME, 0)


class There(Tensor):
    """A tensor of that device; ``here`` has its numbers."""

    here: Tensor

    @staticmethod
    def __new__(cls, here: Tensor) -> Self:
        made = Tensor._make_wrapper_subclass(
            cls,
            here.size(),
            strides=here.stride(),
            storage_offset=here.storage_offset(),
            dtype=here.dtype,
            device=DEVICE,
        )
        made.here = here
        return made

    def __reduce_ex__(self, protocol: Any) -> Any:
        return self.here.__reduce_ex__(protocol)  # checkpoints are read on the CPU

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _compute(func, args, kwargs or {}, Counter())


class Elsewhere(TorchDispatchMode):
    """Makes ``elsewhere`` work inside the block.

    Attributes:
        waits: operator -> how often the host had to wait for it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.waits: Counter[str] = Counter()
        self._python = _PythonSide(self.waits)

    def __enter__(self) -> Self:
        self._python.__enter__()
        super().__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        super().__exit__(*error)
        self._python.__exit__(*error)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _compute(func, args, kwargs or {}, self.waits)


class _PythonSide(TorchFunctionMode):
    """Functions that move numbers where no dispatch mode sees it."""

    def __init__(self, waits: Counter[str]) -> None:
        super().__init__()
        self._waits = waits

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if func is Tensor.tolist and isinstance(args[0], There):
            self._waits["tolist"] += 1
            return args[0].here.tolist()
        if func in (torch.tensor, torch.as_tensor) and kwargs.get("device") is not None:
            device = kwargs.pop("device")
            return func(*args, **kwargs).to(device)
        return func(*args, **kwargs)


def _compute(func: Any, args: Any, kwargs: dict[str, Any], waits: Counter[str]) -> Any:
    name = func.name().removeprefix("aten::").split(".")[0]
    given = list(_tensors((args, kwargs)))
    there = [one for one in given if isinstance(one, There)]
    result_is_there = bool(there)
    if kwargs.get("device") is not None:
        result_is_there = torch.device(kwargs["device"]).type == NAME
        if result_is_there:
            kwargs = kwargs | {"device": torch.device("cpu")}
    if not (there or result_is_there):
        return func(*args, **kwargs)
    if there:
        _check(name, args, given)
    _count(name, args, kwargs, waits, to_there=result_is_there)
    known = {id(one.here): one for one in there}
    plain_args, plain_kwargs = _mapped(_here, (args, kwargs))
    found = func(*plain_args, **plain_kwargs)
    if name == "copy_":
        return args[0]

    def wrapped(one: Any) -> Any:
        if not isinstance(one, Tensor) or isinstance(one, There):
            return one
        return known.get(id(one)) if id(one) in known else There(one) if result_is_there else one

    return _mapped(wrapped, found)


def _tensors(nested: Any) -> Iterator[Tensor]:
    if isinstance(nested, Tensor):
        yield nested
    elif isinstance(nested, tuple | list):
        for one in nested:
            yield from _tensors(one)
    elif isinstance(nested, dict):
        yield from _tensors(list(nested.values()))


def _mapped(change: Callable[[Any], Any], nested: Any) -> Any:
    """As ``tree_map`` of torch, for what operators are given, in less time, of which that took the most."""
    if isinstance(nested, tuple | list):
        return type(nested)([_mapped(change, one) for one in nested])
    if isinstance(nested, dict):
        return {key: _mapped(change, one) for key, one in nested.items()}
    return change(nested)


def _here(one: Any) -> Any:
    return one.here if isinstance(one, There) else one


def _check(name: str, args: Any, given: list[Tensor]) -> None:
    """What a GPU refuses: of the host only a single number may go along, or an index."""
    if name in _MOVES:
        return
    written = name.endswith("_") or name in _INDEXED  # or read by an index: what lies on one side stays there
    if written:
        for one in _tensors(args[0]):
            _refuse(name, one)
    for one in _tensors((args[0], args[2:])) if name in _INDEXED else given:
        if one.ndim > 0 or name in _LISTED:
            _refuse(name, one)


def _refuse(name: str, one: Any) -> None:
    if isinstance(one, There):
        return
    cause = f"{one.dtype} of shape {tuple(one.shape)} is on the CPU"
    raise RuntimeError(f"{name}: tensors of two devices; {cause}")


def _count(name: str, args: Any, kwargs: Any, waits: Counter[str], *, to_there: bool) -> None:
    if name in _WAITS:
        waits[name] += 1
    if name == "_to_copy" and not (to_there and (isinstance(args[0], There) or kwargs.get("non_blocking"))):
        waits[f"_to_copy {'to' if to_there else 'from'} there"] += 1
    if name == "copy_" and not all(isinstance(one, There) for one in args[:2]):
        sent = isinstance(args[0], There)
        if not (sent and (args[1].ndim == 0 or args[2:] == (True,))):
            waits[f"copy_ {'to' if sent else 'from'} there"] += 1
    if name in _INDEXED:
        for one in args[1]:
            if isinstance(one, Tensor) and (one.dtype == torch.bool or not isinstance(one, There)):
                waits[f"{name} by a {'mask' if one.dtype == torch.bool else 'list of the host'}"] += 1


def _empty_strided(size: Any, stride: Any, *, dtype: Any = None, **_: Any) -> Tensor:
    return There(torch.empty_strided(size, stride, dtype=dtype))


def _empty(size: Any, *, dtype: Any = None, **_: Any) -> Tensor:
    return There(torch.empty(size, dtype=dtype))


def _copy_from(source: Tensor, target: Tensor, non_blocking: bool = False) -> Tensor:
    _here(target).copy_(_here(source))
    return target


_KERNELS = torch.library.Library("aten", "IMPL")  # what C++ calls where no mode is asked
for _name, _kernel in (
    ("empty_strided", _empty_strided),
    ("empty.memory_format", _empty),
    ("_copy_from", _copy_from),
):
    _KERNELS.impl(_name, _kernel, "PrivateUse1")
