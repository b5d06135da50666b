"""Backscatter agrees with the product's tables, whatever the windows, and does what is stated at its edges."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
import rasterio
from floelens.plugin.ground.errors import ParameterError, SceneError
from floelens.plugin.ground.window import Window
from floelens.plugin.io.environment.crs import transform
from floelens.plugin.io.formats.product import ImportOptions
from floelens.plugin.io.formats.sentinel1 import open_sentinel1
from floelens.tests.plugin.io.formats.sentinel1.reference import Tables, tables_of
from floelens.tests.plugin.io.formats.sentinel1.safe import digital_numbers, make_safe, zip_safe
from floelens.tests.plugin.io.formats.sentinel1.safe_texts import sub_swaths
from rasterio.errors import RasterioIOError

LINEAR = ImportOptions(decibels=False)


def read_all(path, options=LINEAR) -> np.ndarray:
    with open_sentinel1(str(path), options) as product:
        raster = product.rasters["sar"]
        return raster.read(raster.grid.window)


def numbers_of(manifest, pol: str) -> np.ndarray:
    (path,) = (manifest.parent / "measurement").glob(f"*-{pol}-*.tiff")
    with rasterio.open(path) as dataset:
        return dataset.read(1)


@pytest.mark.parametrize(
    ("mode", "pols", "table"),
    [("EW", ("hh", "hv"), "azimuth"), ("IW", ("vv", "vh"), "azimuth"), ("EW", ("hh",), "range")],
)
def test_sigma0_agrees_with_the_tables_at_random_pixels(tmp_path, mode, pols, table):
    manifest = make_safe(tmp_path, pols=pols, mode=mode, noise_table=table)
    values = read_all(manifest)
    random = np.random.default_rng(4)
    for band, pol in enumerate(pols):
        tables, numbers = tables_of(manifest, pol), numbers_of(manifest, pol)
        compared = 0
        for line, pixel in zip(random.integers(0, 240, 600), random.integers(0, 300, 600)):
            expected = tables.sigma0(numbers[line, pixel], line, pixel)
            if numbers[line, pixel] == 0 or expected is None:
                assert np.isnan(values[band, line, pixel])
                continue
            # One digit of float32 is 6e-8; nothing is lost where DN² and noise nearly cancel.
            assert values[band, line, pixel] == pytest.approx(expected, rel=1e-6, abs=0)
            compared += 1
        assert compared > 500


def test_sigma0_agrees_at_every_border_of_a_sub_swath(tmp_path):
    manifest = make_safe(tmp_path, pols=("hv",))
    values, tables, numbers = read_all(manifest)[0], tables_of(manifest, "hv"), numbers_of(manifest, "hv")
    for _, a, b, c, d in sub_swaths("EW", 240, 300):
        for line in (a, (a + b) // 2, b):
            for pixel in (c, c + 1, d - 1, min(d, 299)):
                expected = tables.sigma0(numbers[line, pixel], line, pixel)
                assert values[line, pixel] == pytest.approx(expected, rel=1e-6)


def test_sigma0_agrees_with_gdals_driver_where_no_noise_is_subtracted(tmp_path):
    """Of what GDAL's driver lists of a GRD product: so far only the numbers as they are.

    The driver lets only INTENSITY pass where it calibrates, and then makes bands of GRD only for COMPLEX: no
    name reaches its calibration (seen in its source, and tried with 3.6, 3.10 and all nine names).
    """
    manifest = make_safe(tmp_path, noise_table="zero")
    with rasterio.open(manifest) as listing:
        names = listing.subdatasets
    assert any(":EW_HH:" in name for name in names)
    calibrated = [name for name in names if ":SIGMA0:" in name and ("EW_HH" in name or "EW_HV" in name)]
    if not calibrated:
        with pytest.raises(RasterioIOError):
            rasterio.open(f"SENTINEL1_CALIB:SIGMA0:{manifest}:EW_HH:INTENSITY")
        pytest.skip(
            f"GDAL {rasterio.__gdal_version__} offers no calibrated GRD, only {len(names)} raw images"
        )
    values = read_all(manifest)
    for name in calibrated:
        with rasterio.open(name) as dataset:
            expected = dataset.read(1)
        band = values[0 if "EW_HH" in name else 1]
        valid = np.isfinite(band)
        assert valid.mean() > 0.9
        np.testing.assert_allclose(band[valid], expected[valid], rtol=2e-5)


def test_gdals_driver_reads_the_same_numbers_and_tie_points(tmp_path):
    manifest = make_safe(tmp_path)
    with rasterio.open(f"SENTINEL1_CALIB:UNCALIB:{manifest}:EW_HV:AMPLITUDE") as dataset:
        numbers, (points, crs) = dataset.read(1), dataset.gcps
    np.testing.assert_array_equal(numbers == 0, np.isnan(read_all(manifest)[1]))
    with open_sentinel1(str(manifest), LINEAR) as product:
        grid = product.rasters["sar"].grid
    x, y = transform(crs.to_wkt(), grid.crs, [p.x for p in points], [p.y for p in points])
    # GDAL passes the product's indices on as they are; ours are coordinates of the same centres.
    theirs = np.array([(p.row + 0.5, p.col + 0.5) for p in points])
    np.testing.assert_allclose([(g.row, g.col) for g in grid.gcps], theirs)
    np.testing.assert_allclose([(g.x, g.y) for g in grid.gcps], np.stack([x, y], axis=1), atol=1e-6)


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_the_tables_of_a_real_product_are_followed(real_data, tmp_path):
    folder = real_data / "s1-ew-severnaya-zemlya"
    manifest, numbers = real_product(folder, tmp_path)
    rows = (0, 40, 100, 130, 166, 200, 240, 300, 340, 400, 430, 900, 1343, 1346, 5000, 10706)
    random = np.random.default_rng(2)
    with open_sentinel1(str(manifest), LINEAR) as product:
        raster = product.rasters["sar"]
        assert [band.name for band in raster.bands] == ["hh", "hv", "incidence_angle"]
        assert (raster.grid.rows, raster.grid.cols) == (10708, 10487)
        assert product.found["noise"]["hh"]["azimuth_blocks"] == 17
        strips = {row: raster.read(Window(row, 0, 2, 10487)) for row in rows}
    compared = 0
    edges = [0, 3110, 3111, 3112, 3117, 3118, 3128, 3129, 3130, 5020, 5021, 7091, 8966, 10440, 10480, 10486]
    for band, pol in enumerate(("hh", "hv")):
        tables = Tables(
            folder / f"annotation/calibration/calibration-ew-{pol}.xml",
            folder / f"annotation/calibration/noise-ew-{pol}.xml",
        )
        for row, values in strips.items():
            for pixel in [*edges, *random.integers(0, 10487, 12)]:
                expected = tables.sigma0(numbers, row, pixel)
                if expected is None:
                    assert np.isnan(values[band, 0, pixel]), (row, pixel)
                    continue
                assert values[band, 0, pixel] == pytest.approx(expected, rel=1e-6), (row, pixel)
                compared += 1
    assert compared > 500
    angle = strips[0][2]
    assert angle[0, 0] == pytest.approx(18.88251924543949, abs=1e-5)
    assert 46.3 < angle[0, -1] < 46.5


def real_product(folder, tmp_path):
    """Return the manifest of the real tables with a measurement of one digital number, and that number."""
    safe = tmp_path / "S1A_EW_GRDM_real.SAFE"
    (safe / "annotation/calibration").mkdir(parents=True)
    (safe / "measurement").mkdir()
    (safe / "manifest.safe").symlink_to(folder / "manifest.safe")
    number = 240
    for pol, index in (("hh", "001"), ("hv", "002")):
        stem = f"s1a-ew-grd-{pol}-20221130t014342-20221130t014446-046117-058549-{index}"
        for kind in ("calibration", "noise"):
            name = f"annotation/calibration/{kind}-{stem}.xml"
            (safe / name).symlink_to(folder / f"annotation/calibration/{kind}-ew-{pol}.xml")
        (safe / f"annotation/{stem}.xml").symlink_to(folder / f"annotation/ew-{pol}.xml")
        profile = {"blockysize": 64, "compress": "deflate", "driver": "GTiff", "count": 1, "dtype": "uint16"}
        path = safe / f"measurement/{stem}.tiff"
        with rasterio.open(path, "w", height=10708, width=10487, **profile) as dataset:
            for row in range(0, 10708, 64):
                size = min(64, 10708 - row)
                strip = np.full((size, 10487), number, np.uint16)
                dataset.write(strip, 1, window=((row, row + size), (0, 10487)))
    return safe / "manifest.safe", number


def test_windows_do_not_change_values(tmp_path):
    manifest = make_safe(tmp_path)
    for options in (ImportOptions(), ImportOptions(multilook=3)):
        whole = read_all(manifest, options)
        with open_sentinel1(str(manifest), options) as product:
            raster = product.rasters["sar"]
            for rows, cols in ((53, 71), (64, raster.grid.cols), (3, raster.grid.cols)):
                parts = np.full_like(whole, -999)
                for window in raster.grid.window.split(rows, cols):
                    parts[(slice(None), *window.slices())] = raster.read(window)
                np.testing.assert_array_equal(parts, whole)


def test_tiles_and_compression_do_not_change_values(tmp_path):
    plain = make_safe(tmp_path / "plain")
    tiled = make_safe(tmp_path / "tiled", tiled=True, blockxsize=64, blockysize=64, compress="deflate")
    np.testing.assert_array_equal(read_all(plain), read_all(tiled))


def test_decibels_have_the_stated_floor_and_no_infinite_values(tmp_path):
    manifest = make_safe(tmp_path)
    linear, decibels = read_all(manifest), read_all(manifest, ImportOptions())
    tables, numbers = tables_of(manifest, "hv"), numbers_of(manifest, "hv")
    valid = np.isfinite(linear[1])
    assert (linear[1][valid] < 0).sum() > 100
    np.testing.assert_array_equal(np.isfinite(decibels[1]), valid)
    random = np.random.default_rng(1)
    raised = 0
    for line, pixel in zip(random.integers(10, 240, 400), random.integers(0, 300, 400)):
        if numbers[line, pixel] and tables.noise(line, pixel) is not None:
            floor = 0.1 * tables.noise(line, pixel) / tables.gain(line, pixel) ** 2
            expected = max(tables.sigma0(numbers[line, pixel], line, pixel), floor)
            raised += expected == floor
            assert 10 ** (decibels[1, line, pixel] / 10) == pytest.approx(expected, rel=1e-6)
    assert raised > 20


def test_counts_tell_what_was_met(tmp_path):
    manifest = make_safe(tmp_path)
    linear = read_all(manifest)
    with open_sentinel1(str(manifest), ImportOptions()) as product:
        raster = product.rasters["sar"]
        assert product.found["counts"]["hv"]["no_data"] == 0
        for window in [*raster.grid.window.split(50, 300), Window(3, 0, 9, 300), Window(3, 0, 9, 8)]:
            raster.read(window)
        counts = product.found["counts"]["hv"]
    assert counts["no_data"] == (numbers_of(manifest, "hv") == 0).sum()
    assert counts["negative"] == (linear[1] < 0).sum() > 0
    assert counts["raised_to_floor"] > counts["negative"]
    assert counts["border_noise"] == 0


@pytest.mark.parametrize("n", [2, 7])
def test_multilooking_averages_linear_power_of_valid_pixels(tmp_path, n):
    numbers = {pol: digital_numbers("EW", 240, 300, pol) for pol in ("hh", "hv")}
    numbers["hh"][100:103, 50:60] = 0
    manifest = make_safe(tmp_path, numbers=numbers)
    fine, coarse = read_all(manifest), read_all(manifest, ImportOptions(decibels=False, multilook=n))
    rows, cols = -(-240 // n), -(-300 // n)
    assert coarse.shape == (3, rows, cols)
    for row, col in [
        (0, 0),
        (0, cols - 1),
        (100 // n, 52 // n),
        (rows - 1, cols - 1),
        (rows // 2, cols // 3),
    ]:
        cell = fine[:2, row * n : row * n + n, col * n : col * n + n].astype(float)
        valid = np.isfinite(cell)
        count = valid.sum(axis=(1, 2))
        sums = np.where(valid, cell, 0).sum(axis=(1, 2))
        expected = np.where(count > 0, sums / np.maximum(count, 1), np.nan)
        np.testing.assert_allclose(coarse[:2, row, col], expected, rtol=1e-5, atol=1e-9)
    # Where a cell is whole, its angle is the mean of its pixels'.
    whole = fine[2, : 240 // n * n, : 300 // n * n].reshape(240 // n, n, 300 // n, n).mean(axis=(1, 3))
    np.testing.assert_allclose(coarse[2, : 240 // n, : 300 // n], whole, atol=0.02)


def test_multilooked_tie_points_stay_where_they_are(tmp_path):
    manifest = make_safe(tmp_path)
    grids = []
    for looks in (1, 4):
        with open_sentinel1(str(manifest), ImportOptions(multilook=looks)) as product:
            grids.append(product.rasters["sar"].grid)
    row, col = np.array([0.0, 33.3, 240.0]), np.array([7.0, 150.0, 300.0])
    expected = grids[0].pixel_to_map(row, col)
    np.testing.assert_allclose(grids[1].pixel_to_map(row / 4, col / 4), expected, atol=1e-6)


@pytest.mark.parametrize("looks", [0, -1, 500])
def test_a_multilook_that_cannot_be_is_refused(tmp_path, looks):
    manifest = make_safe(tmp_path)
    with pytest.raises(ParameterError, match="Multilook"):
        open_sentinel1(str(manifest), ImportOptions(multilook=looks))


def test_a_large_measurement_is_read_in_bounded_memory(tmp_path):
    numbers = {"hh": np.full((3000, 2000), 150, np.uint16)}
    manifest = make_safe(tmp_path, rows=3000, cols=2000, pols=("hh",), numbers=numbers)
    with open_sentinel1(str(manifest), ImportOptions()) as product:
        raster = product.rasters["sar"]
        assert raster.strip_rows < 3000
        tracemalloc.start()
        try:
            for window in raster.grid.window.split(raster.strip_rows, 2000):
                raster.read(window)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    # The strip that is returned, its digital numbers, and work space; the scene has 48 MB in two bands.
    assert peak < 20e6


def test_a_zip_gives_what_its_folder_gives(tmp_path):
    manifest = make_safe(tmp_path)
    packed = zip_safe(manifest, tmp_path / "any name")
    np.testing.assert_array_equal(read_all(packed), read_all(manifest))


def test_nerscs_noise_is_scaled_and_shifted_by_sub_swath_in_hv_alone(tmp_path):
    """σ0 = DN²/A² − (factor · noise/A² + offset), pixel by pixel in Python's floats; numbers as published for S1A."""
    published = {
        "EW1": (1.017835030604865, 7.57235674315287e-05),
        "EW2": (0.9892761260633363, -6.319790728254828e-06),
        "EW3": (0.9809958597679401, 2.052883529660864e-06),
        "EW4": (1.062171620153455, -9.312364192648315e-06),
        "EW5": (1.0307113867037478, -7.009654437561607e-06),
    }
    manifest = make_safe(tmp_path)
    plain = read_all(manifest)
    values = read_all(manifest, ImportOptions(decibels=False, noise="nersc"))
    np.testing.assert_array_equal(values[0], plain[0])
    tables, numbers = tables_of(manifest, "hv"), numbers_of(manifest, "hv")
    random = np.random.default_rng(5)
    seen = set()
    for line, pixel in zip(random.integers(0, 240, 500), random.integers(0, 300, 500)):
        noise = tables.noise(line, pixel)
        if numbers[line, pixel] == 0 or noise is None:
            assert np.isnan(values[1, line, pixel])
            continue
        (swath,) = (b[0] for b in tables.blocks if b[1] <= line <= b[2] and b[3] <= pixel <= b[4])
        factor, offset = published[swath]
        squared = tables.gain(line, pixel) ** 2
        expected = float(numbers[line, pixel]) ** 2 / squared - (factor * noise / squared + offset)
        assert values[1, line, pixel] == pytest.approx(expected, rel=2e-6, abs=1e-10)
        seen.add(swath)
    assert seen == set(published)


@pytest.mark.parametrize(
    ("made", "words"),
    [
        ({"ipf": "003.52"}, "IPF 3.5"),
        ({"mode": "IW", "pols": ("hh", "hv")}, "IW"),
        ({"noise_table": "range"}, "is not given for EW1"),
    ],
)
def test_nerscs_noise_is_refused_where_its_numbers_are_not_known(tmp_path, made, words):
    with pytest.raises(SceneError, match=words):
        read_all(make_safe(tmp_path, **made), ImportOptions(noise="nersc"))
