"""The fringe of an old product is found in each row, and dark water is no fringe."""

from __future__ import annotations

import numpy as np
import pytest
from floelens.plugin.io.formats.product import ImportOptions
from floelens.plugin.io.formats.sentinel1 import open_sentinel1
from floelens.plugin.io.formats.sentinel1.border import fringe
from floelens.tests.plugin.io.formats.sentinel1.safe import digital_numbers, make_safe


def speckle(mean: float, shape: tuple[int, int], seed: int = 1) -> np.ndarray:
    return mean * np.random.default_rng(seed).gamma(10.0, 0.1, shape)


def test_an_image_without_a_fringe_keeps_every_pixel():
    noise = np.full((200, 600), 1000.0)
    # Nothing but thermal noise: the darkest image there is.
    dark = speckle(1000.0, noise.shape)
    assert (fringe(dark, noise) <= 1).all()
    assert np.mean(fringe(dark, noise) == 0) > 0.99


@pytest.mark.parametrize("looks", [4.4, 10.7])  # of IW and of EW GRD
@pytest.mark.parametrize("level", [30.0, 670.0])  # DN²: the lowest noise in real tables is 664
def test_calm_water_at_the_noise_floor_loses_less_than_a_ten_thousandth(looks, level):
    noise = np.full((400, 10_000), level)
    power = level * np.random.default_rng(7).gamma(looks, 1 / looks, noise.shape)
    stored = np.rint(np.sqrt(power)) ** 2
    lost = fringe(stored, noise) + fringe(stored[:, ::-1], noise[:, ::-1])
    assert lost.sum() < 1e-4 * noise.size


def test_the_fringe_ends_where_the_image_begins_in_each_row():
    noise = np.full((120, 700), 1000.0)
    power = speckle(1500.0, noise.shape)
    ends = np.random.default_rng(3).integers(0, 640, 120)
    for row, end in enumerate(ends):
        power[row, :end] = np.random.default_rng(row).integers(0, 12, end) ** 2
    assert np.abs(fringe(power, noise) - ends).max() <= 1


def test_a_bright_speck_in_the_fringe_does_not_end_it():
    noise, power = np.full((1, 400), 1000.0), speckle(1500.0, (1, 400))
    power[0, :200] = 25.0
    power[0, 80] = 3000.0
    assert fringe(power, noise)[0] in (200, 201)


def test_a_row_without_image_is_fringe_throughout():
    noise = np.full((3, 5000), 1000.0)
    assert (fringe(np.full(noise.shape, 30.0), noise) == 5000).all()
    assert (fringe(np.zeros((2, 7)), np.full((2, 7), 1000.0)) == 7).all()


def test_without_a_noise_table_only_zeros_are_fringe():
    power = np.full((1, 100), 9.0)
    power[0, :30] = 0.0
    assert fringe(power, np.zeros((1, 100)))[0] == 30


def test_dark_water_stays_where_the_noise_was_removed_already(tmp_path):
    # What is left of calm water is far below the noise that was in it.
    dark = np.where(digital_numbers("EW", 240, 300, "hv") > 0, 3, 0).astype(np.uint16)
    manifest = make_safe(tmp_path, pols=("hv",), numbers={"hv": dark})
    (file,) = (manifest.parent / "annotation").glob("*.xml")
    told = "<thermalNoiseCorrectionPerformed>"
    file.write_text(file.read_text().replace(f"{told}false", f"{told}true"))
    with open_sentinel1(str(manifest), ImportOptions()) as product:
        raster = product.rasters["sar"]
        values = raster.read(raster.grid.window)[0]
        assert product.found["counts"]["hv"]["border_noise"] == 0
    np.testing.assert_array_equal(np.isfinite(values), dark > 0)


def test_border_noise_is_masked_on_both_sides_and_at_the_top(tmp_path):
    clean = digital_numbers("EW", 240, 300, "hh")
    dirty = clean.copy()
    random = np.random.default_rng(5)
    fill = random.integers(1, 10, clean.shape).astype(np.uint16)
    for part in (np.s_[:, :40], np.s_[:, 270:], np.s_[:20]):
        dirty[part] = fill[part]
    # Where no sub-swath has started yet an old product holds small numbers, not zeros.
    dirty[clean == 0] = fill[clean == 0]
    manifest = make_safe(tmp_path, pols=("hh",), numbers={"hh": dirty})
    with open_sentinel1(str(manifest), ImportOptions()) as product:
        raster = product.rasters["sar"]
        values = raster.read(raster.grid.window)[0]
        counts = product.found["counts"]["hh"]
    expected = np.ones(clean.shape, dtype=bool)
    expected[:, :40] = expected[:, 270:] = expected[:20] = False
    expected &= clean > 0
    # A pixel more or less at the edge of a row is a matter of speckle.
    assert (np.isfinite(values) != expected).sum() < 0.02 * 240
    assert not np.isfinite(values[:20]).any()
    assert counts["no_data"] == 0
    assert counts["border_noise"] + counts["outside_sub_swaths"] == np.isnan(values).sum()
