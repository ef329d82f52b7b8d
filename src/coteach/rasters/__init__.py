"""Everything that reads or writes rasters; the only importer of rasterio."""

from __future__ import annotations

import importlib.util

from coteach.errors import MissingExtraError

if importlib.util.find_spec("rasterio") is None:
    raise MissingExtraError("rasterio", "is not installed", "pip install 'coteach[rasters]'")
