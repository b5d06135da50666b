"""Covariances and functions of cells: their order on the grid, and files that are something else."""

from __future__ import annotations

import numpy as np
import pytest
from floelens.plugin.ground.errors import SceneError
from floelens.plugin.io.formats import fields
from floelens.plugin.io.formats.fields import cells_in, read_covariance, read_functions, read_stack
from floelens.plugin.io.geometry.vector import Polygons
from scipy.io import netcdf_file

MASK = np.ones((4, 7), dtype=bool)
MASK[1, 0] = MASK[3, 2:5] = False
CELLS = int(MASK.sum())


def covariance() -> np.ndarray:
    """Return a covariance of which the diagonal numbers the cells of the file."""
    return np.diag(np.arange(1.0, CELLS + 1))


def saved(path, **arrays) -> str:
    np.savez_compressed(path, **arrays)
    return str(path)


def test_each_cell_lies_at_its_longitude_also_with_an_odd_number_of_columns(tmp_path):
    found, mask, grid = read_covariance(saved(tmp_path / "c.npz", covariance=covariance(), mask=MASK))
    numbers = np.zeros(mask.shape)
    numbers[mask] = np.diag(found)
    stored = np.zeros(MASK.shape)
    stored[MASK] = np.arange(1.0, CELLS + 1)  # row by row from 90° N, columns from 0° E
    for column in range(7):
        # Centres of the file's columns are (column + 1/2) 360/7 degrees east of Greenwich.
        longitude = grid.transform[2] + (column + 0.5) * grid.transform[0]
        np.testing.assert_array_equal(numbers[:, column], stored[:, round(longitude % 360 * 7 / 360 - 0.5)])


def test_functions_come_in_the_order_of_the_covariance(tmp_path):
    _, mask, _ = read_covariance(saved(tmp_path / "c.npz", covariance=covariance(), mask=MASK))
    edges = np.concatenate([[-np.inf], [0.0, 1.0], [np.inf]]) + np.zeros((CELLS, 1))
    slopes = np.arange(1.0, CELLS + 1)[:, None] * [1, 2, 3]
    path = saved(tmp_path / "f.npz", edges=edges, weights=slopes)
    breaks, found = read_functions(path, mask)
    np.testing.assert_array_equal(breaks, np.tile([0.0, 1.0], (CELLS, 1)))
    in_file = np.diag(read_covariance(str(tmp_path / "c.npz"))[0])
    np.testing.assert_array_equal(found[:, 0], in_file)
    with pytest.raises(SceneError, match=r"edges of shape \(24, 4\)"):
        read_functions(path, mask[:2])


def test_a_netcdf_of_longitudes_to_360_without_a_crs_is_read_and_a_box_in_the_west_found(tmp_path):
    values = np.arange(3 * 6 * 12, dtype=np.float32).reshape(3, 6, 12)  # from 90° S and from 0° E
    path = tmp_path / "sst.nc"
    with netcdf_file(path, "w") as file:
        for name, size in (("time", 3), ("lat", 6), ("lon", 12)):
            file.createDimension(name, size)
        for name, units, at in (
            ("lat", b"degrees_north", np.arange(-75, 90, 30.0)),
            ("lon", b"degrees_east", np.arange(15, 360, 30.0)),
        ):
            axis = file.createVariable(name, "f8", (name,))
            axis.units, axis[:] = units, at
        file.createVariable("sst", "f4", ("time", "lat", "lon"))[:] = values
    found, grid = read_stack(str(path))
    np.testing.assert_array_equal(found, values[:, ::-1])
    box = cells_in(Polygons.rectangle(-120.0, -30.0, -60.0, 30.0, "EPSG:4326"), grid)
    expected = np.zeros((6, 12), dtype=bool)
    expected[2:4, 8:10] = True  # 240° to 300° E
    np.testing.assert_array_equal(box, expected)
    np.testing.assert_array_equal(
        cells_in(Polygons.rectangle(240.0, -30.0, 300.0, 30.0, "EPSG:4326"), grid), box
    )


@pytest.mark.parametrize(
    "arrays",
    [
        {"covariance": covariance()},
        {"covariance": covariance()[1:], "mask": MASK},
        {"covariance": covariance() + np.triu(np.ones((CELLS, CELLS)), 1), "mask": MASK},
        {"covariance": np.full((CELLS, CELLS), np.nan), "mask": MASK},
        {"covariance": np.array(["text"]), "mask": MASK},
        {"covariance": covariance(), "mask": MASK.ravel()},
    ],
    ids=["no mask", "not square", "not symmetric", "not finite", "text", "flat mask"],
)
def test_what_is_no_covariance_is_refused_with_a_sentence(arrays, tmp_path):
    with pytest.raises(SceneError, match="COVARIANCE"):
        read_covariance(saved(tmp_path / "c.npz", **arrays))


def test_an_archive_that_unpacks_to_more_than_the_memory_is_not_unpacked(tmp_path, monkeypatch):
    path = tmp_path / "bomb.npz"
    np.savez_compressed(path, covariance=np.zeros((200, 200)), mask=np.ones((10, 20), bool))
    assert path.stat().st_size < 2_000
    monkeypatch.setattr(fields, "MOST_BYTES", 300_000)
    monkeypatch.setattr(fields.np, "load", lambda *_given, **_options: pytest.fail("it was unpacked"))
    with pytest.raises(SceneError, match=r"COVARIANCE: .*unpacks to"):
        read_covariance(path)


def test_damaged_files_are_refused_or_read_and_nothing_else(tmp_path):
    whole = np.random.default_rng(0)
    path = tmp_path / "c.npz"
    values = whole.normal(size=(CELLS, CELLS))
    saved(path, covariance=values @ values.T, mask=MASK)
    good = path.read_bytes()
    refused = 0
    # The end lists what is in the file: other ways of packing, a password.
    for place in (*range(0, len(good), 37), *range(len(good) - 150, len(good))):
        path.write_bytes(good[:place] + bytes([good[place] ^ 0x5A]) + good[place + 1 :])
        try:
            read_covariance(path)
        except SceneError as error:
            refused += 1
            assert "COVARIANCE" in str(error)
    path.write_bytes(good[: len(good) // 2])
    with pytest.raises(SceneError, match=r"no \.npz file"):
        read_covariance(path)
    assert refused > 50
