"""Everything that reads or writes rasters; the only importer of rasterio."""

from __future__ import annotations

import importlib.util
import logging

from coteach.errors import MissingExtraError

if importlib.util.find_spec("rasterio") is None:
    raise MissingExtraError("rasterio", "is not installed", "pip install 'coteach[rasters]'")

# what GDAL has to say arrives as an error of ours; without a handler it would also be printed
logging.getLogger("rasterio").addHandler(logging.NullHandler())
