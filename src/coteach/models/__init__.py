"""Networks that this package brings itself."""

from __future__ import annotations

from coteach.models.cnn import CNN
from coteach.models.small_fcn import SmallFCN
from coteach.models.small_mobilenet import SmallMobileNet

__all__ = ["CNN", "SmallFCN", "SmallMobileNet"]
