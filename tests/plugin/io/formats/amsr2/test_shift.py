"""The shift of channels against 89 GHz, measured on fields whose shift is known."""

from __future__ import annotations

import numpy as np
import pytest
from floelens.plugin.io.formats.amsr2.shift import measure_shift, shifts_against_89
from floelens.plugin.networks.standard_channels import AMSR2_FREQUENCIES
from scipy import ndimage

FWHM = 2.3548
CELL_KM = 2.0
ROWS, COLS, MARGIN = 150, 140, 60
FOOTPRINT = {name: footprint for name, (_, footprint) in AMSR2_FREQUENCIES.items()}


def ice(seed: int, steep: float = 2.2) -> np.ndarray:
    """Return a field with structure on all scales, larger than the grid, sd 1."""
    rng = np.random.default_rng(seed)
    shape = (ROWS + 2 * MARGIN, COLS + 2 * MARGIN)
    wave = np.hypot(*np.meshgrid(np.fft.fftfreq(shape[0]), np.fft.fftfreq(shape[1]), indexing="ij"))
    wave[0, 0] = 1.0
    field = np.fft.ifft2(np.fft.fft2(rng.normal(size=shape)) * wave ** (-steep / 2)).real
    return (field - field.mean()) / field.std()


def seen(field: np.ndarray, frequency: str, shift=(0.0, 0.0), contrast=20.0, noise=0.5, seed=0, turn=0.0):
    """Return what a channel sees: an elliptic footprint, moved, with noise, cut to the grid."""
    short, long = (width / FWHM / CELL_KM for width in FOOTPRINT[frequency])
    k = np.stack(np.meshgrid(np.fft.fftfreq(field.shape[0]), np.fft.fftfreq(field.shape[1]), indexing="ij"))
    along = np.cos(turn) * k[0] + np.sin(turn) * k[1]
    across = -np.sin(turn) * k[0] + np.cos(turn) * k[1]
    gain = np.exp(-2 * np.pi**2 * ((long * along) ** 2 + (short * across) ** 2))
    phase = np.exp(-2j * np.pi * (k[0] * shift[0] + k[1] * shift[1]))
    values = np.fft.ifft2(np.fft.fft2(field) * gain * phase).real
    cut = values[MARGIN : MARGIN + ROWS, MARGIN : MARGIN + COLS]
    return 200.0 + contrast * cut + np.random.default_rng(seed).normal(0, noise, cut.shape)


def measured(channel, reference, one, other="89_0"):
    return measure_shift(channel, reference, FOOTPRINT[one], FOOTPRINT[other], CELL_KM)


@pytest.mark.parametrize("frequency", ["6_9", "10_7", "18_7", "36_5"])
@pytest.mark.parametrize("shift", [(0.0, 0.0), (-2.1, 1.9), (0.4, -3.3)])
def test_a_known_shift_is_found_within_its_error(frequency, shift):
    field = ice(3)
    found = measured(
        seen(field, frequency, shift, seed=1, turn=0.6), seen(field, "89_0", seed=2, turn=0.6), frequency
    )
    # The 46 km of 6.9 GHz fit six times into the picture: little is left to hold on to.
    limit = {"6_9": 0.8, "10_7": 0.3, "18_7": 0.15, "36_5": 0.1}[frequency]
    assert abs(found.rows - shift[0]) < limit
    assert abs(found.cols - shift[1]) < limit
    assert found.rows_error < limit
    assert found.cols_error < limit
    assert abs(found.rows - shift[0]) < 4 * found.rows_error + 0.02
    assert abs(found.cols - shift[1]) < 4 * found.cols_error + 0.02
    assert found.km == pytest.approx(CELL_KM * np.hypot(found.rows, found.cols))
    assert found.correlation > 0.9
    assert found.trusted


def test_errors_are_as_large_as_what_repeated_measurements_scatter_by():
    shift, miss = (1.3, -0.7), []
    for seed in range(12):
        field = ice(seed)
        found = measured(
            seen(field, "18_7", shift, noise=2.0, seed=seed),
            seen(field, "89_0", noise=2.0, seed=99 + seed),
            "18_7",
        )
        miss += [(found.rows - shift[0]) / found.rows_error, (found.cols - shift[1]) / found.cols_error]
    # 24 standardised misses: their mean square is one, give or take 0.6 (two standard deviations of χ²/24).
    assert 0.3 < np.mean(np.square(miss)) < 2.5


def test_a_channel_of_opposite_contrast_and_other_scale_moves_nothing():
    field = ice(5)
    found = measured(
        seen(field, "36_5", (1.5, 2.5), contrast=-7.0, noise=0.1, seed=1), seen(field, "89_0", seed=2), "36_5"
    )
    assert (found.rows, found.cols) == pytest.approx((1.5, 2.5), abs=0.1)
    assert found.correlation < -0.9


def test_slow_differences_between_channels_and_land_without_data_move_nothing():
    field = ice(7)
    channel, reference = seen(field, "36_5", (-1.0, 2.0), seed=1), seen(field, "89_0", seed=2)
    row, col = np.indices(channel.shape)
    channel += 0.1 * row - 0.05 * col + 15 * np.sin(col / 60)
    hole = np.hypot(row - 40, col - 30) < 18
    channel[hole] = np.nan
    reference[:, -10:] = np.nan
    found = measured(channel, reference, "36_5")
    assert (found.rows, found.cols) == pytest.approx((-1.0, 2.0), abs=0.15)


def test_a_sharper_channel_is_blurred_to_its_reference():
    field = ice(9)
    found = measured(seen(field, "18_7", (0.8, 0.3), seed=1), seen(field, "23_8", seed=2), "18_7", "23_8")
    assert (found.rows, found.cols) == pytest.approx((0.8, 0.3), abs=0.05)
    assert abs(found.rows - 0.8) < 4 * found.rows_error
    assert abs(found.cols - 0.3) < 4 * found.cols_error


def test_pictures_that_have_nothing_in_common_are_not_trusted():
    found = measured(seen(ice(1), "36_5"), seen(ice(2), "89_0"), "36_5")
    assert found is None or not found.trusted


@pytest.mark.parametrize(
    "values", [np.full((100, 100), 200.0), np.full((100, 100), np.nan), np.zeros((5, 5))]
)
def test_where_there_is_nothing_to_see_there_is_no_shift(values):
    reference = ndimage.zoom(ice(1), 1)[: values.shape[0], : values.shape[1]]
    assert measured(values, reference, "36_5") is None


def test_links_add_up_to_89_ghz_in_each_polarisation():
    field = ice(11)
    moves = {name: (0.4 * i - 1.0, 1.5 - 0.3 * i) for i, name in enumerate(FOOTPRINT) if name != "89_0"}
    pictures = {}
    for seed, name in enumerate(FOOTPRINT):
        for polarisation, contrast in (("h", 25.0), ("v", 12.0)):
            pictures[f"btemp_{name}{polarisation}"] = seen(
                field, name, moves.get(name, (0.0, 0.0)), contrast, seed=seed + 50 * (polarisation == "v")
            )
    found = shifts_against_89(pictures, CELL_KM)
    assert list(found) == [f"btemp_{name}{p}" for name in moves for p in "hv"]
    for name, shift in found.items():
        expected = moves[name[6:-1]]
        limit = 0.6 if name[6:-1] in ("6_9", "7_3") else 0.3
        assert (shift.rows, shift.cols) == pytest.approx(expected, abs=limit)
        assert shift.trusted
    # A missing channel is stepped over, a missing 89 GHz ends the chain.
    del pictures["btemp_23_8h"], pictures["btemp_89_0v"]
    fewer = shifts_against_89(pictures, CELL_KM)
    assert list(fewer) == [f"btemp_{name}h" for name in moves if name != "23_8"]
    assert fewer["btemp_36_5h"] == found["btemp_36_5h"]
