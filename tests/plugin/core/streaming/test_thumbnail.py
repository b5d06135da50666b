"""Thumbnails of what is streamed: every n-th row and column, whatever the windows."""

from __future__ import annotations

import numpy as np
import pytest
from floelens.plugin.core.streaming.thumbnail import MeanThumbnail, PicturedSource, Thumbnail
from floelens.plugin.ground.protocols import Patch
from floelens.plugin.ground.window import Window

SCENE = np.arange(2 * 97 * 130, dtype=np.float32).reshape(2, 97, 130)


@pytest.mark.parametrize("tile", [(97, 130), (10, 17), (1, 130), (33, 5)])
def test_a_thumbnail_holds_every_nth_pixel_of_its_region_however_windows_are_cut(tile):
    region = Window(7, 12, 80, 111)
    thumbnail = Thumbnail(region, 2, side=40)
    for window in Window(0, 0, 97, 130).split(*tile):
        thumbnail.add(window, SCENE[(slice(None), *window.slices())])
    assert thumbnail.step == 3
    expected = SCENE[(slice(None), *region.slices())][:, ::3, ::3]
    np.testing.assert_array_equal(thumbnail.values, expected)
    np.testing.assert_array_equal(SCENE[0][np.ix_(thumbnail.rows, thumbnail.cols)], expected[0])


@pytest.mark.parametrize("tile", [(97, 130), (10, 130), (1, 130), (33, 5)])
def test_a_thumbnail_of_means_holds_the_mean_of_each_square_however_windows_are_cut(tile):
    region = Window(7, 12, 80, 111)
    values = np.random.default_rng(2).normal(size=(97, 130))
    values[20:26, 30:40] = np.nan
    thumbnail = MeanThumbnail(region, side=28)
    for window in Window(0, 0, 97, 130).split(*tile):
        thumbnail.add(window, values[window.slices()])
    assert thumbnail.step == 4
    inside = values[region.slices()]
    for row in range(20):
        for col in range(28):
            square = inside[4 * row : 4 * row + 4, 4 * col : 4 * col + 4]
            mean = np.nanmean(square) if np.isfinite(square).any() else np.nan
            assert thumbnail.values[row, col] == pytest.approx(mean, nan_ok=True, abs=1e-12)


def test_pixels_that_are_not_valid_stay_empty():
    window = Window(0, 0, 97, 130)
    thumbnail = Thumbnail(window, 2, side=200)
    valid = np.zeros((97, 130), bool)
    valid[3] = True
    thumbnail.add(window, SCENE, valid)
    assert np.isnan(thumbnail.values[:, 4:]).all()
    np.testing.assert_array_equal(thumbnail.values[:, 3], SCENE[:, 3])


def test_a_source_is_read_as_ever_and_leaves_its_picture():
    class Reads:
        rows, cols = 97, 130

        def read(self, window):
            fine = SCENE[(slice(None), *window.slices())]
            return Patch(window, fine, np.empty((0, 1, 1)), np.ones(fine.shape[1:], bool))

    thumbnail = Thumbnail(Window(0, 0, 97, 130), 1, side=65)
    pictured = PicturedSource(Reads(), thumbnail, channel=1)
    for window in Window(0, 0, 97, 130).split(50, 50):
        assert pictured.read(window).window == window
    np.testing.assert_array_equal(thumbnail.values[0], SCENE[1, ::2, ::2])
