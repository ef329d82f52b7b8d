"""Labels of images: one class each, or a distribution over the classes, and how far each is trusted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32, Int8, Int64
from torch import Tensor

from coteach.data.class_names import codes_by_name
from coteach.errors import InputError, OptionError

NO_LABEL = -1
_TOLERANCE = 1e-2  # how far shares may be from summing to 1; half-precision files are within it


class ImageLabels:
    """One label an image.

    Args:
        values: ``(N,)`` integer classes, -1 for no label; or ``(N, C)`` float shares that sum to 1, where a row that is
            NaN or 0 throughout is no label.
        weights: ``(N,)`` confidence in [0, 1]; None means 1.
        class_names: one a class, or None.
        num_classes: ``C``; None means as many as have names, or else as occur.
        clean: ``(N,)`` the true classes where they are known, -1 where not: for figures only, nothing learns from them.

    Raises:
        InputError: ``values``, ``weights`` or ``clean`` are of another shape, type or range.
        OptionError: ``num_classes`` contradicts ``class_names`` or the shares, or names are there twice, or are no text.
    """

    def __init__(
        self,
        values: np.ndarray,
        weights: np.ndarray | None = None,
        *,
        class_names: Sequence[str] | None = None,
        num_classes: int | None = None,
        clean: np.ndarray | None = None,
    ) -> None:
        self.soft = values.ndim == 2 and np.issubdtype(values.dtype, np.floating)
        if not self.soft and not (values.ndim == 1 and np.issubdtype(values.dtype, np.integer)):
            cause = f"are {values.dtype} of shape {values.shape}"
            raise InputError("labels", cause, "give integer classes (N,), or float shares (N, C)")
        self.values: np.ndarray = values.astype(np.float32 if self.soft else np.int64)
        self.weights = None if weights is None else _checked_weights(weights, len(values))
        codes_by_name(() if class_names is None else class_names)  # refuses them
        self.class_names = None if class_names is None else list(class_names)
        self.num_classes = self._count_classes(num_classes)
        self.clean = None if clean is None else _checked_clean(clean, len(values))

    def __len__(self) -> int:
        return len(self.values)

    def _count_classes(self, given: int | None) -> int:
        names = self.class_names
        stated = [
            count
            for count in (
                given,
                None if names is None else len(names),
                int(self.values.shape[1]) if self.soft else None,
            )
            if count is not None
        ]
        if len(set(stated)) > 1:
            raise OptionError(
                "num_classes", f"there are {' and '.join(map(str, stated))} classes", "make them agree"
            )
        return stated[0] if stated else max(int(self.values.max(initial=0)) + 1, 2)

    def check(self, num_classes: int, place: Callable[[int], str]) -> None:
        """Refuse labels, given and true ones, that are none of the classes.

        Args:
            num_classes: ``C``.
            place: how an image is named.

        Raises:
            InputError: one is neither a class nor -1, or shares do not sum to 1.
        """
        if self.soft:
            self._check_shares(num_classes, place)
        else:
            _check_codes(self.values, num_classes, place, "label", "no label")
        if self.clean is not None:
            _check_codes(self.clean, num_classes, place, "true class (clean labels)", "not known")

    def _check_shares(self, num_classes: int, place: Callable[[int], str]) -> None:
        if self.values.shape[1] != num_classes:
            cause = f"give shares of {self.values.shape[1]} classes, num_classes is {num_classes}"
            raise InputError("labels", cause, "make them agree")
        absent = np.isnan(self.values).all(1) | (self.values == 0).all(1)
        # written so that a single NaN is wrong too
        good = (self.values >= 0).all(1) & (np.abs(self.values.sum(1) - 1) <= _TOLERANCE)
        wrong = np.flatnonzero(~good & ~absent)
        if wrong.size:
            shares = ", ".join(f"{share:.3g}" for share in self.values[wrong[0]])
            raise InputError(
                place(int(wrong[0])), f"its label is no distribution: {shares}", "give shares that sum to 1"
            )

    def counts(self, num_classes: int, items: Int64[np.ndarray, " b"] | None = None) -> np.ndarray:
        """How many images, all or those at ``items``, each class has, ``(C,)`` int64; soft labels count for their largest share."""
        known = self.hard() if items is None else self.hard()[items]
        return np.bincount(known[(known >= 0) & (known < num_classes)], minlength=num_classes)

    def lone_class(self, num_classes: int, items: Int64[np.ndarray, " b"] | None = None) -> str:
        """What the labels hold if that is too little to learn from, in words; empty if there are two classes or more.

        Labels without weight teach nothing.

        Args:
            num_classes: ``C``.
            items: ``(B,)`` positions of those that count; None means all.
        """
        those = np.arange(len(self)) if items is None else items
        teaching = those if self.weights is None else those[self.weights[those] > 0]
        present = self.counts(num_classes, teaching).nonzero()[0]
        if len(present) >= 2:
            return ""
        among = " with a weight above 0" if len(teaching) < len(those) else ""
        return (f"only class {present[0]}" if len(present) else "no class at all") + among

    def hard(self) -> np.ndarray:
        """``(N,)`` int64: the class, that of the largest share for soft labels; -1 for no label."""
        if not self.soft:
            return self.values
        total = np.nan_to_num(self.values).sum(1)
        codes: np.ndarray = np.where(total > 0, np.nan_to_num(self.values).argmax(1), NO_LABEL)
        return codes

    @property
    def right(self) -> Int8[np.ndarray, " n"] | None:
        """``(N,)``: 1 where the label is the true class, 0 where it is another, -1 where one of them is not known.

        None if no true classes are known; a soft label is its largest share.
        """
        if self.clean is None:
            return None
        given = self.hard()
        known = (given >= 0) & (self.clean >= 0)
        return np.where(known, given == self.clean, -1).astype(np.int8)

    def target(self, index: int, *, known: bool = True) -> Tensor | dict[str, Tensor]:
        """The label of an image as data sets give it; ``known=False`` gives what stands for none."""
        if not self.soft:
            label = torch.tensor(int(self.values[index]) if known else NO_LABEL)
            return label if self.weights is None else {"mask": label, "w_conf": self._weight(index)}
        shares = self.values[index]
        if not known or not np.nan_to_num(shares).any():
            none = torch.full((self.num_classes,), 1 / self.num_classes)
            return {"mask": none, "w_conf": torch.tensor(0.0)}
        return {"mask": torch.from_numpy(shares.copy()), "w_conf": self._weight(index)}

    def targets(self, items: Int64[np.ndarray, " b"]) -> Tensor | dict[str, Tensor]:
        """The labels of several images: what :meth:`target` gives for each, stacked.

        Args:
            items: ``(B,)`` their positions.
        """
        weights = np.ones(len(items), np.float32) if self.weights is None else self.weights[items]
        values = self.values[items]
        if not self.soft:
            labels = torch.from_numpy(values)
            return labels if self.weights is None else {"mask": labels, "w_conf": torch.from_numpy(weights)}
        absent = ~np.nan_to_num(values).any(1)
        values[absent] = 1 / self.num_classes
        return {"mask": torch.from_numpy(values), "w_conf": torch.from_numpy(weights * ~absent)}

    def _weight(self, index: int) -> Tensor:
        return torch.tensor(1.0 if self.weights is None else float(self.weights[index]))


def _check_codes(
    codes: Int64[np.ndarray, " n"], num_classes: int, place: Callable[[int], str], thing: str, absent: str
) -> None:
    wrong = np.flatnonzero((codes < NO_LABEL) | (codes >= num_classes))
    if wrong.size:
        more = f" ({wrong.size} such labels)" if wrong.size > 1 else ""
        cause = f"its {thing} {codes[wrong[0]]} is not one of 0 to {num_classes - 1}{more}"
        raise InputError(place(int(wrong[0])), cause, f"correct it or num_classes; -1 means {absent}")


def _checked_weights(weights: Any, count: int) -> Float32[np.ndarray, " n"]:
    found: np.ndarray = np.asarray(weights, np.float32)
    if found.shape != (count,):
        raise InputError("weights", f"shape {found.shape} for {count} images", "give one an image")
    wrong = np.flatnonzero(~((found >= 0) & (found <= 1)))
    if wrong.size:
        cause = f"{found[wrong[0]]:g} of item {wrong[0]} is not in [0, 1]"
        raise InputError("weights", cause, "give weights in [0, 1]")
    return found


def _checked_clean(clean: Any, count: int) -> Int64[np.ndarray, " n"]:
    found = np.asarray(clean)
    if found.shape != (count,) or not np.issubdtype(found.dtype, np.integer):
        cause = f"are {found.dtype} of shape {found.shape} for {count} images"
        raise InputError("clean_labels", cause, "give one integer class an image, -1 where it is not known")
    return found.astype(np.int64)
