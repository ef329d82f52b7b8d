"""Networks that this package brings itself."""

from __future__ import annotations

from coteach.models.small_fcn import SmallFCN

__all__ = ["SmallFCN"]
