"""What AMSR2 files give together: channels on a scene's cells, the nearest swath in time, its delay."""

from __future__ import annotations

import gzip
import zipfile
from datetime import datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pytest
from floelens.plugin.ground.errors import Cancelled, ParameterError, SceneError
from floelens.plugin.ground.protocols import Silent
from floelens.plugin.ground.window import Window
from floelens.plugin.io.environment.crs import same_crs
from floelens.plugin.io.formats.amsr2 import open_amsr2, recognises
from floelens.plugin.io.formats.cf import container
from floelens.plugin.io.formats.product import ImportOptions
from floelens.plugin.io.formats.products import open_product
from floelens.plugin.networks.standard_channels import MWR_CHANNELS
from floelens.tests.plugin.io.formats.amsr2.granules import (
    EARTH_KM,
    LOW,
    Granule,
    low_places,
    smooth_field,
    vectors,
)
from floelens.tests.plugin.io.rasters import PLACES, affine_grid, gcp_grid

OPTIONS = ImportOptions()
SAR_TIME = datetime(2019, 8, 23, 3, 10, tzinfo=timezone.utc)


def channel_of(name: str) -> str:
    return f"{name[6:-1].replace('_', '.')}{name[-1].upper()}"


def centres(grid):
    row, col = np.meshgrid(np.arange(grid.rows) + 0.5, np.arange(grid.cols) + 0.5, indexing="ij")
    return grid.pixel_to_lonlat(row, col)


@pytest.fixture(scope="module")
def granule(tmp_path_factory):
    """Return a granule over Svalbard and its file."""
    made = Granule(smooth_field(), middle=(15.0, 78.0), scans=30)
    return made, made.write(tmp_path_factory.mktemp("granule") / "granule.h5")


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
@pytest.mark.parametrize("level", ["L1B", "L1R"])
def test_all_channels_lie_where_they_belong_everywhere_on_earth(tmp_path, place, level):
    made = Granule(smooth_field(), middle=place, scans=26, samples=60, level=level)
    scene = gcp_grid(place, 1000, 1200, 80.0)
    product = open_amsr2([made.write(tmp_path / "g.h5")], OPTIONS, scene, SAR_TIME)
    raster = product.rasters["mwr"]
    assert [band.name for band in raster.bands] == list(MWR_CHANNELS)
    assert raster.grid.same_as(scene.coarser(25))
    assert raster.dtype == "float32"
    lon, lat = centres(raster.grid)
    for band, values in zip(raster.bands, raster.values):
        expected = made.field(channel_of(band.name))(lon, lat)
        # Steps of 0.01 K, and 60 K per Earth radius: 5 km would be 0.05 K. Co-registration moves by up to 7 km.
        assert np.abs(values - expected).max() < 0.008, band.name
        assert band.unit == "K"
    assert raster.bands[0].tags == {"footprint_km": "35 x 62"}


def test_without_co_registration_places_would_be_off_by_what_the_parameters_say(tmp_path):
    place = PLACES["svalbard"]

    def steep(channel):
        return lambda lon, lat: 200.0 + 3000.0 * ((vectors(lon, lat) - vectors(*place)) @ [0.3, -0.8, 0.5])

    made = Granule(steep, middle=place, scans=26, samples=60)
    scene = gcp_grid(place, 1000, 1000, 80.0)
    zero = {
        f"CoRegistrationParameterA{n}": ",".join(f"{f}G-0.00000" for f in (6, 7, 10, 18, 23, 36))
        for n in (1, 2)
    }
    right = open_amsr2([made.write(tmp_path / "a.h5")], OPTIONS, scene, None).rasters["mwr"].values
    made.attributes = zero
    wrong = open_amsr2([made.write(tmp_path / "b.h5")], OPTIONS, scene, None).rasters["mwr"].values
    expected = steep("")(*centres(scene.coarser(25)))
    assert np.abs(right - expected).max() < 0.1
    # 3000 K per Earth radius are 0.47 K/km: 1.5 steps of 5 km across part of the slope.
    assert np.abs(wrong[0] - expected).max() > 1.0
    assert np.array_equal(wrong[-1], right[-1])


@pytest.mark.parametrize(("size", "ratio"), [(80.0, 25), (40.0, 50), (2500.0, 1)])
def test_cells_are_about_two_kilometres(granule, size, ratio):
    scene = gcp_grid((15.0, 78.0), 300, 350, size) if size < 1000 else gcp_grid((15.0, 78.0), 30, 35, size)
    product = open_amsr2([granule[1]], OPTIONS, scene, SAR_TIME)
    assert product.rasters["mwr"].grid.same_as(scene.coarser(ratio))


def test_every_cell_comes_from_the_swath_nearest_in_time_and_says_when(tmp_path):
    place, scene = (15.0, 78.0), gcp_grid((15.0, 78.0), 1500, 1600, 80.0)
    # The second starts nearer in time but covers only a part; the third lies elsewhere.
    starts = [SAR_TIME - timedelta(minutes=20), SAR_TIME + timedelta(minutes=5), SAR_TIME]
    middles = [place, (17.0, 78.3), (-150.0, 78.0)]
    made = [
        Granule(smooth_field(offset), middle, scans=40 if offset == 0 else 9, samples=80, start=start)
        for offset, middle, start in zip((0, 20, 40), middles, starts)
    ]
    paths = [g.write(tmp_path / f"{number}.h5") for number, g in enumerate(made)]
    product = open_amsr2(paths, OPTIONS, scene, SAR_TIME)
    values, delay = product.rasters["mwr"].values, product.rasters["ancillary_coarse"].values[0]
    lon, lat = centres(product.rasters["mwr"].grid)
    offset = np.round(
        (values - np.stack([made[0].field(channel_of(n))(lon, lat) for n in MWR_CHANNELS])) / 20
    )
    from_second = delay > 0
    assert 0.02 < from_second.mean() < 0.9
    assert (offset[:, from_second] == 1).all()
    assert (offset[:, ~from_second] == 0).all()
    # The delay of some cells against a search through all footprints at all their places.
    rng = np.random.default_rng(0)
    for row, col in zip(rng.integers(0, delay.shape[0], 40), rng.integers(0, delay.shape[1], 40)):
        granule = made[1] if from_second[row, col] else made[0]
        assert nearest_scan(granule, lon[row, col], lat[row, col]) == pytest.approx(
            delay[row, col] - (granule.start - SAR_TIME).total_seconds(), abs=1e-3
        )
    shares = [swath["share_of_cells"] for swath in product.found["swaths"]]
    assert shares == [
        pytest.approx((~from_second).mean(), abs=1e-4),
        pytest.approx(from_second.mean(), abs=1e-4),
        0.0,
    ]
    assert product.found["delay_s"]["min"] == delay.min()
    assert product.found["delay_s"]["max"] == delay.max()
    assert product.tags["amsr2_delay_s"] == f"{delay.min():.0f}..{delay.max():.0f}"
    assert product.rasters["ancillary_coarse"].bands[0].name == "amsr2_delay"
    # The order in which files are given does not matter.
    again = open_amsr2(paths[::-1], OPTIONS, scene, SAR_TIME.replace(tzinfo=None))
    assert np.array_equal(again.rasters["mwr"].values, values)
    assert np.array_equal(again.rasters["ancillary_coarse"].values[0], delay)


def nearest_scan(granule: Granule, lon: float, lat: float) -> float:
    """Return the seconds after the start at which the nearest footprint of any channel was scanned."""
    places = [granule.horn("A"), granule.horn("B")]
    places += [low_places(*granule.horn("A"), name) for name in LOW.values()]
    best = (9.0, 0.0)
    for some_lon, some_lat in places:
        distance = np.linalg.norm(vectors(some_lon, some_lat) - vectors(lon, lat), axis=-1)
        scan = np.unravel_index(distance.argmin(), distance.shape)[0]
        best = min(best, (distance.min(), 1.5 * scan))
    return best[1]


def test_a_cell_takes_the_swath_that_has_all_channels_before_a_nearer_one_that_lacks_some(tmp_path):
    near = Granule(
        smooth_field(20),
        (15.0, 78.0),
        scans=30,
        start=SAR_TIME,
        leave_out=["Brightness Temperature (6.9GHz,H)"],
    )
    far = Granule(smooth_field(), (15.0, 78.0), scans=30, start=SAR_TIME - timedelta(hours=1))
    scene = gcp_grid((15.0, 78.0), 500, 500, 80.0)
    paths = [near.write(tmp_path / "near.h5"), far.write(tmp_path / "far.h5")]
    product = open_amsr2(paths, OPTIONS, scene, SAR_TIME)
    assert np.isfinite(product.rasters["mwr"].values).all()
    assert (product.rasters["ancillary_coarse"].values < -3000).all()
    alone = open_amsr2(paths[:1], OPTIONS, scene, SAR_TIME)
    assert alone.found["channels_missing"] == ["btemp_6_9h"]
    assert any("lacks 1 of 14 channels: btemp_6_9h" in text for text in alone.warnings)


def test_partial_cover_and_a_long_delay_are_warned_of(granule):
    scene = gcp_grid((15.0, 80.2), 2000, 2000, 80.0)
    product = open_amsr2([granule[1]], OPTIONS, scene, SAR_TIME + timedelta(hours=5))
    values = product.rasters["mwr"].values
    assert 0 < np.isfinite(values[0]).mean() < 1
    assert any("of the scene's cells" in text for text in product.warnings)
    assert any("5.2 h apart" in text for text in product.warnings)
    delay = product.rasters["ancillary_coarse"].values[0]
    assert np.array_equal(np.isfinite(delay), np.isfinite(values).any(axis=0))


def test_without_the_time_of_the_scene_the_first_swath_wins_and_there_is_no_delay(tmp_path):
    made = [Granule(smooth_field(20.0 * number), (15.0, 78.0), scans=20) for number in range(2)]
    paths = [g.write(tmp_path / f"{number}.h5") for number, g in enumerate(made)]
    product = open_amsr2(paths, OPTIONS, gcp_grid((15.0, 78.0), 300, 300), None)
    assert set(product.rasters) == {"mwr"}
    lon, lat = centres(product.rasters["mwr"].grid)
    assert np.abs(product.rasters["mwr"].values[0] - made[0].field("6.9H")(lon, lat)).max() < 0.01
    assert any("the first one given" in text for text in product.warnings)


def test_without_a_scene_swaths_lie_on_a_polar_grid_of_ten_kilometres(granule, tmp_path):
    product = open_amsr2([granule[1]], OPTIONS, None, None)
    grid = product.rasters["mwr"].grid
    assert same_crs(grid.crs, "EPSG:3413")
    assert grid.transform[0] == 10_000.0
    assert grid.transform[2] % 10_000.0 == 0 == grid.transform[5] % 10_000.0
    values = product.rasters["mwr"].values
    lon, lat = centres(grid)
    for name, layer in zip(MWR_CHANNELS, values):
        assert np.isfinite(layer).mean() > 0.2
        error = np.abs(layer - granule[0].field(channel_of(name))(lon, lat))
        # 0.013 K/km: on the edge, up to 7.5 km outside, nothing warmer than the footprints is made up.
        assert np.nanmax(error) < 0.1
        assert np.nanquantile(error, 0.95) < 0.02
    assert product.time == granule[0].start
    south = Granule(smooth_field(), middle=(-40.0, -72.0), scans=10).write(tmp_path / "south.h5")
    assert same_crs(open_amsr2([south], OPTIONS, None, None).rasters["mwr"].grid.crs, "EPSG:3976")
    both = open_amsr2([south, granule[1]], OPTIONS, None, None)
    assert same_crs(both.rasters["mwr"].grid.crs, "EPSG:3413")
    assert any("only the northern one" in text for text in both.warnings)
    tropics = Granule(smooth_field(), middle=(10.0, 5.0), scans=5, samples=20).write(tmp_path / "tropics.h5")
    with pytest.raises(SceneError, match="no footprint poleward of 50"):
        open_amsr2([tropics], OPTIONS, None, None)


def test_a_scene_elsewhere_is_a_sentence(granule):
    with pytest.raises(SceneError, match="no AMSR2 swath covers the scene"):
        open_amsr2([granule[1]], OPTIONS, gcp_grid((-120.0, -80.0), 300, 300), SAR_TIME)


def test_sources_may_lie_in_zips_be_gzipped_or_be_virtual(granule, tmp_path):
    archive = tmp_path / "two.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as out:
        out.write(granule[1], "folder/granule.h5")
        out.writestr("readme.txt", "nothing")
    packed = tmp_path / "granule.h5.gz"
    packed.write_bytes(gzip.compress(Path(granule[1]).read_bytes()))
    scene = affine_grid(300, 300, 80.0)
    expected = open_amsr2([granule[1]], OPTIONS, scene, SAR_TIME)
    for source in (archive, f"/vsizip/{archive}", f"/vsizip/{archive}/folder/granule.h5", packed):
        assert recognises(str(source))
        product = open_amsr2([str(source)], OPTIONS, scene, SAR_TIME)
        assert np.array_equal(product.rasters["mwr"].values, expected.rasters["mwr"].values)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["granule.h5.gz", "two.zip"]
    window = Window(1, 2, 3, 4)
    assert expected.rasters["mwr"].read(window).shape == (14, 3, 4)


def test_several_swaths_in_one_zip_are_one_product(granule, tmp_path):
    archive = tmp_path / "day.zip"
    with zipfile.ZipFile(archive, "w") as out:
        for number in (1, 2):
            out.write(granule[1], f"granule{number}.h5")
    with open_product(str(archive), OPTIONS) as product:
        assert len(product.found["swaths"]) == 2


def test_a_damaged_table_is_told_whatever_the_file_lies_in(granule, tmp_path):
    content = bytearray(Path(granule[1]).read_bytes())
    content[content.index(b"OHDR") + 12] ^= 1
    packed = tmp_path / "granule.h5.gz"
    packed.write_bytes(gzip.compress(bytes(content)))
    with pytest.raises(SceneError, match="checksum"):
        open_amsr2([str(packed)], OPTIONS, None, None)


def test_other_files_are_not_recognised(tmp_path):
    text, empty, archive = tmp_path / "a.txt", tmp_path / "b.h5", tmp_path / "c.zip"
    text.write_text("AMSR2")
    empty.touch()
    with zipfile.ZipFile(archive, "w") as out:
        out.writestr("a.txt", "AMSR2")
    cut = tmp_path / "d.h5"
    cut.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
    for path in (text, empty, archive, cut, tmp_path, tmp_path / "nowhere", "", "/vsizip/nowhere.zip/x"):
        assert not recognises(str(path))
        with pytest.raises(SceneError, match=r"\.$"):
            open_amsr2([str(path)], OPTIONS, None, None)
    with pytest.raises(ParameterError, match="No AMSR2 file"):
        open_amsr2([], OPTIONS, None, None)


def test_without_gdals_hdf5_driver_there_is_a_sentence(granule, monkeypatch):
    real = container.gdal.GetDriverByName
    monkeypatch.setattr(
        container.gdal, "GetDriverByName", lambda name: None if name == "HDF5" else real(name)
    )
    assert not recognises(granule[1])
    with pytest.raises(SceneError, match="has no HDF5 driver"):
        open_amsr2([granule[1]], OPTIONS, None, None)


def test_an_import_stops_when_asked_to(granule):
    class Stops(Silent):
        def cancelled(self):
            return True

    with pytest.raises(Cancelled):
        open_amsr2([granule[1]], OPTIONS, gcp_grid((15.0, 78.0), 300, 300), SAR_TIME, Stops())


def test_the_place_of_a_cell_is_that_of_its_own_centre(granule):
    # A cell of 2 km must not be half a cell off: 1 km at 0.47 K/km.
    scene = gcp_grid((15.0, 78.0), 1000, 1000, 80.0)
    lon, lat = centres(scene.coarser(25))
    corner_lon, corner_lat = scene.pixel_to_lonlat(12.5, 12.5)
    assert (lon[0, 0], lat[0, 0]) == pytest.approx((float(corner_lon), float(corner_lat)), abs=1e-9)
    assert EARTH_KM * np.linalg.norm(
        vectors(lon[0, 0], lat[0, 0]) - vectors(lon[0, 1], lat[0, 1])
    ) == pytest.approx(2.0, abs=0.01)
