"""Damaged charts: whatever the bytes, there is a chart or one of our sentences, and nothing hangs."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from floelens.plugin.ground.errors import FloeLensError
from floelens.plugin.io.formats.chart import open_chart, recognises
from floelens.plugin.io.formats.product import ImportOptions
from floelens.tests.plugin.io.formats.chart.files import write_chart, write_scene, write_zip
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

PARTS = (".shp", ".shx", ".dbf", ".prj", ".geojson", ".gpkg", ".zip")
QUIET = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]

# What is done to the bytes: (kind, place as a share of the length, value).
damages = st.lists(
    st.tuples(
        st.sampled_from(["set", "huge", "cut", "drop", "repeat"]),
        st.floats(0, 1, exclude_max=True),
        st.integers(0, 255),
    ),
    min_size=1,
    max_size=6,
)


def damaged(data: bytes, changes) -> bytes:
    for kind, share, value in changes:
        at = int(share * len(data))
        if kind == "set":
            data = data[:at] + bytes([value]) + data[at + 1 :]
        elif kind == "huge":
            # An eight-byte number that is out of all bounds, or no number at all.
            data = data[:at] + bytes([value, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F]) + data[at + 8 :]
        elif kind == "cut":
            data = data[:at]
        elif kind == "drop":
            data = data[:at] + data[at + 1 + value :]
        else:
            data = data[:at] + data[at : at + value] + data[at:]
        if not data:
            break
    return data


@pytest.fixture(scope="module")
def charts(tmp_path_factory) -> Path:
    """Return a folder with a chart in every format and a scene."""
    folder = tmp_path_factory.mktemp("charts")
    write_chart(folder / "chart.shp")
    write_chart(folder / "chart.geojson", driver="GeoJSON")
    write_chart(folder / "chart.gpkg", driver="GPKG")
    write_zip(folder / "chart.zip", folder / "chart.shp")
    write_scene(folder / "scene.tif", 20, 24)
    return folder


def read_damaged(charts: Path, folder: Path, part: str, changes) -> None:
    for file in folder.glob("chart.*"):
        file.unlink()
    if part in (".geojson", ".gpkg", ".zip"):
        path = folder / f"chart{part}"
    else:
        path = folder / "chart.shp"
        for other in PARTS[:4]:
            shutil.copy(charts / f"chart{other}", folder)
    (folder / f"chart{part}").write_bytes(damaged((charts / f"chart{part}").read_bytes(), changes))
    recognises(path)
    try:
        with open_chart(path, ImportOptions(scene=str(charts / "scene.tif"))) as product:
            raster = product.rasters["chart"]
            assert raster.read(raster.grid.window).shape == (3, 20, 24)
            assert all(
                len(values) == len(product.polygons.wkb) for values in product.polygons.fields.values()
            )
    except FloeLensError as error:
        assert str(error).strip()


@settings(deadline=None, max_examples=60, suppress_health_check=QUIET)
@given(part=st.sampled_from(PARTS), changes=damages)
def test_damaged_charts_are_read_or_told(charts, tmp_path, part, changes):
    read_damaged(charts, tmp_path, part, changes)


@pytest.mark.slow
@pytest.mark.fuzz
@pytest.mark.timeout(3600)
@settings(deadline=None, max_examples=10_500, suppress_health_check=QUIET, database=None)
@given(part=st.sampled_from(PARTS), changes=damages)
def test_ten_thousand_damaged_charts_are_read_or_told(charts, tmp_path, part, changes):
    read_damaged(charts, tmp_path, part, changes)


@settings(deadline=None, max_examples=60, suppress_health_check=QUIET)
@given(head=st.sampled_from([b"", b"PK\x03\x04", b"\x00\x00\x27\x0a", b'{"FeatureCollection"', b"SQLite format 3\x00"]),
       rest=st.binary(max_size=200))  # fmt: skip
def test_any_bytes_are_read_or_told(tmp_path, head, rest):
    path = tmp_path / "any.zip"
    path.write_bytes(head + rest)
    recognises(path)
    with pytest.raises(FloeLensError):
        open_chart(path)
