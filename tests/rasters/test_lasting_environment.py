from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from label_rasters import write_map
from rasterio.env import getenv, hasenv

from coteach.errors import RasterError
from coteach.rasters.handles import stay_in_environment
from coteach.rasters.read import read_image


def test_a_thread_that_stays_in_gdals_environment_reads_as_ever_and_others_do_not_notice(tmp_path):
    path = write_map(tmp_path / "map.tif", np.arange(20, dtype=np.uint8).reshape(4, 5))
    damaged = tmp_path / "damaged.tif"
    damaged.write_bytes(path.read_bytes()[:200])

    def look():
        stay_in_environment()
        stay_in_environment()
        before = getenv()
        values, seen = read_image(path)
        with pytest.raises(RasterError, match=r"damaged\.tif: cannot be read"):
            read_image(damaged)
        assert getenv() == before
        assert hasenv()
        return values[0].astype(int).tolist(), bool(seen.all()), threading.get_ident()

    with ThreadPoolExecutor(1) as pool:
        values, seen, thread = pool.submit(look).result()
    assert thread != threading.get_ident()
    assert not hasenv()
    assert values == [[5 * row + column for column in range(5)] for row in range(4)]
    assert seen
