"""Labels of another day than the scene."""

from __future__ import annotations

import numpy as np
import pytest
from floelens.plugin.io.formats.labels import LabelReader
from floelens.plugin.io.rasters.writer import Band, RasterWriter
from floelens.tests.plugin.io.rasters import affine_grid


@pytest.mark.parametrize(
    ("name", "time", "told"),
    [
        ("chart.tif", "2020-03-15T15:00:00Z", ""),
        ("chart.tif", "2020-03-16T05:00:00Z", ""),
        ("chart.tif", "2020-03-17T05:00:00Z", "is of 2020-03-17 05:00 UTC"),
        ("chart_20200316.tif", None, ""),  # some time of the next day
        ("chart_20190315.tif", None, "is of 2019-03-15, the scene of 2020-03-15 06:07 UTC"),
        ("chart.tif", None, ""),
    ],
)
def test_labels_of_another_day_are_told(tmp_path, name, time, told):
    grid = affine_grid(rows=20, cols=20)
    with RasterWriter(
        tmp_path / name, grid, [Band("ice")], tags={"start_time": time} if time else {}
    ) as raster:
        raster.write(np.full((1, 20, 20), 50.0, np.float32))
    with LabelReader.open(tmp_path / name, grid) as labels:
        warning = labels.delay_warning("2020-03-15T06:07:00Z")
        assert told in warning
        assert bool(warning) == bool(told)
        assert labels.delay_warning(None) == ""
