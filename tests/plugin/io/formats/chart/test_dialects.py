"""Charts of services with fields and codes of their own."""

from __future__ import annotations

import bz2
import tarfile
import zipfile

import numpy as np
import pytest
from floelens.plugin.ground.errors import SceneError
from floelens.plugin.io.formats.chart.chart import open_chart
from floelens.plugin.io.formats.chart.codes import decode_polygon
from floelens.plugin.io.formats.chart.dialects import EGG, as_sigrid
from floelens.plugin.io.formats.product import ImportOptions
from floelens.plugin.io.formats.products import open_product
from floelens.tests.plugin.io.formats.chart.files import BOXES, write_chart


def decoded(columns):
    found, told = as_sigrid(columns)
    rows = zip(*(found.get(name, [None] * len(found["CT"])) for name in EGG))
    return [decode_polygon(*row) for row in rows], told


@pytest.mark.parametrize("prefix", ["", "SGD_", "SIGRID_"])
def test_codes_are_found_under_the_names_of_services(prefix):
    columns = {f"{prefix}CT": ["92", "55", "35"], f"{prefix}SA": ["86", "-9", "83"], "E_CT": ["1", "1", "1"]}
    ice, told = decoded(columns)
    assert [polygon.concentration for polygon in ice] == [100.0, 0.0, 40.0]
    assert [polygon.stage for polygon in ice] == [4, 0, 2]
    assert bool(told) == bool(prefix)


def test_the_egg_as_people_draw_it_is_in_tenths_with_numbers_of_its_own():
    columns = {
        "E_CT": ["9+", "10", "6", "X", "1"],
        "E_CA": ["3", "X", "X", "", "X"],
        "E_SA": ["7.", "6", "5", "X", "1"],
        "E_FA": ["5", "8", "3", "X", "X"],
        "E_CB": ["6", "", "", "", ""],
        "E_SB": ["4.", "", "", "", ""],
    }
    ice, _ = decoded(columns)
    assert [polygon.concentration for polygon in ice] == [95.0, 100.0, 60.0, None, 10.0]
    assert [polygon.stage for polygon in ice] == [None, 4, 2, None, 1]  # 6 of 9+ tenths are less than 65 %
    assert [polygon.floe for polygon in ice] == [None, None, 2, None, None]


def test_concentrations_in_tenths_are_told_from_codes_of_sigrid_3():
    ice, told = decoded({"CT": [10, 5, 0, None]})
    assert [polygon.concentration for polygon in ice] == [100.0, 50.0, 0.0, None]
    assert "in tenths" in told[0]
    # The code 10 is one tenth where no number shows that tenths are meant.
    ice, told = decoded({"CT": ["10", "01", "02", "-9"]})
    assert [polygon.concentration for polygon in ice] == [10.0, 0.0, 0.0, None]
    assert not told


def test_icecode_holds_the_whole_egg():
    ice, told = decoded({"ICECODE": ["CT90CA60SA95FA06CB30SB83", "CT01", "", None]})
    assert [(p.concentration, p.stage, p.floe) for p in ice] == [
        (90.0, 5, 5), (0.0, 0, 0), (None, None, None), (None, None, None)
    ]  # fmt: skip
    assert "ICECODE" in told[0]


def test_classes_of_drift_ice_are_concentrations():
    classes = [
        "Fast Ice",
        "Very Close Drift Ice",
        "Close Drift Ice",
        "Open Drift Ice",
        "Very Open Drift Ice",
        "Open Water",
        "?",
    ]
    ice, _ = decoded({"NIS_CLASS": classes})
    assert [polygon.concentration for polygon in ice] == [100.0, 95.0, 75.0, 50.0, 20.0, 0.0, None]


@pytest.mark.parametrize("absent", ["-9", "99", "00", "", 0])
def test_what_is_not_given_is_written_in_many_ways(absent):
    ice = decode_polygon("90", absent, "95", absent, absent, absent, absent, absent, absent, absent)
    assert (ice.concentration, ice.stage) == (90.0, 5)


def test_of_two_shapefiles_in_a_zip_the_one_with_a_chart_is_read(tmp_path):
    write_chart(tmp_path / "z_chart.shp")
    write_chart(tmp_path / "a_land.shp", fields=("NAME",), rows=[{"NAME": "land"} for _ in BOXES])
    with zipfile.ZipFile(tmp_path / "both.zip", "w") as archive:
        for path in tmp_path.glob("*.[spd][hrb]*"):
            archive.write(path, path.name)
    product = open_chart(tmp_path / "both.zip")
    assert len(product.polygons.wkb) == len(BOXES)
    assert any("only one was read, z_chart; left out: a_land.shp" in text for text in product.warnings)
    assert np.isfinite([v for v in product.polygons.fields["concentration_percent"] if v is not None]).all()


def test_a_zip_in_a_zip_is_opened_and_a_tar_archive_is_named(tmp_path):
    write_chart(tmp_path / "chart.shp")
    with zipfile.ZipFile(tmp_path / "inner.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for path in tmp_path.glob("chart.*"):
            archive.write(path, path.name)
    with zipfile.ZipFile(tmp_path / "outer.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(tmp_path / "inner.zip", "week/20200315_chart.zip")
        archive.writestr("readme.txt", "the chart of this week")
    with open_product(str(tmp_path / "outer.zip"), ImportOptions()) as product:
        assert len(product.polygons.wkb) == len(BOXES)
    with tarfile.open(tmp_path / "chart.tar", "w") as archive:
        archive.add(tmp_path / "chart.shp", "chart.shp")
    (tmp_path / "chart.tar.bz2").write_bytes(bz2.compress((tmp_path / "chart.tar").read_bytes()))
    for name, told in (("chart.tar", "is a tar archive"), ("chart.tar.bz2", "is packed by bzip2. Unpack it")):
        with pytest.raises(SceneError, match=told):
            open_product(str(tmp_path / name), ImportOptions())
