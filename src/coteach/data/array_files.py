"""Arrays as users have them: in memory, or in .npy, .npz and idx files."""

from __future__ import annotations

import gzip
import os
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from coteach.errors import InputError
from coteach.labels.given_array import given_array

Source = np.ndarray | Tensor | Sequence[Any] | str | os.PathLike[str]
_IDX_TYPES = {8: ">u1", 9: ">i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}


def named(source: Source) -> str:
    """How messages name what holds an array."""
    return str(source) if isinstance(source, str | os.PathLike) else "images"


def load_array(source: Source, key: str, thing: str) -> np.ndarray:
    """An array, wherever it is.

    Args:
        source: an array, a tensor, a list, or the path of a .npy, .npz or idx file (also gzipped).
        key: its name in a .npz file.
        thing: what it holds, for the error.

    Raises:
        InputError: the file is missing or damaged, or lacks the array; lists are of unequal length.
    """
    if not isinstance(source, str | os.PathLike):
        given = given_array(source)
        if given is None:
            raise InputError(thing, "are of unequal length or shape", "give an array")
        return given
    path = Path(source)
    try:
        if path.suffix == ".npz":
            return _from_npz(path, key, thing)
        if path.suffix == ".npy":
            found: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
            return found
        return _read_idx(path)
    except FileNotFoundError:
        raise InputError(str(path), "does not exist", f"give the file of the {thing}") from None
    except (OSError, TypeError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        cause = f"cannot be read ({' '.join(str(error).split())})"
        # what numpy says of junk is of pickles, as of a file that only lacks allow_pickle
        if isinstance(error, TypeError) or "pickle" in cause:
            cause = f"is no {path.suffix[1:]} file of numbers"
        raise InputError(str(path), cause, "give a .npy, .npz or idx file") from error


def _from_npz(path: Path, key: str, thing: str) -> np.ndarray:
    with np.load(path, allow_pickle=False) as arrays:
        if key not in arrays:
            cause = f"holds no array {key!r}, only {', '.join(arrays)}"
            raise InputError(str(path), cause, f"name that of the {thing} ({thing}_key)")
        found: np.ndarray = arrays[key]
        return found


def _read_idx(path: Path) -> np.ndarray:
    """The format of MNIST: two zero bytes, a type, the number of axes, their lengths, all big-endian, the values."""
    content = path.read_bytes()
    if path.suffix == ".gz":
        content = gzip.decompress(content)
    if len(content) < 4 or content[:2] != b"\0\0" or content[2] not in _IDX_TYPES:
        raise ValueError("it is of no known format")
    begin = 4 + 4 * content[3]
    shape = np.frombuffer(content[4:begin], ">u4").tolist()
    values = np.frombuffer(content, _IDX_TYPES[content[2]], offset=begin).reshape(shape)
    return values.astype(values.dtype.newbyteorder("="))
