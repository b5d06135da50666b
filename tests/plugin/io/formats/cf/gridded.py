"""Gridded fields as other programs write them: linear in x and y, so that a wrong place, orientation or scale shows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

netCDF4 = pytest.importorskip("netCDF4", reason="netCDF4 writes the files that are read here")  # noqa: N816

LEFT, TOP, CELL = 1_050_000.0, -465_000.0, 5000.0
POLAR = {
    "grid_mapping_name": "polar_stereographic",
    "straight_vertical_longitude_from_pole": -45.0,
    "latitude_of_projection_origin": 90.0,
    "standard_parallel": 70.0,
    "false_easting": 0.0,
    "false_northing": 0.0,
    "semi_major_axis": 6378137.0,
    "inverse_flattening": 298.257223563,
}
LATLON = {
    "grid_mapping_name": "latitude_longitude",
    "semi_major_axis": 6378137.0,
    "inverse_flattening": 298.257223563,
}


def truth(x, y, channel: int = 0):
    """Return brightness temperatures in K at map coordinates: 150 to 230 K over the grid."""
    return 150.0 + 5.0 * channel + 0.0008 * (x - LEFT) + 0.0003 * (TOP - y)


def field(rows: int = 14, cols: int = 18, channel: int = 0) -> np.ndarray:
    """Return the truth at the centres of the cells, north up."""
    x = LEFT + CELL * (np.arange(cols) + 0.5)
    y = TOP - CELL * (np.arange(rows) + 0.5)
    return truth(x[None, :], y[:, None], channel)


def plain(dataset, name: str, dims, values, attributes: Mapping[str, Any]) -> None:
    """Write a variable as float64."""
    variable = dataset.createVariable(name, "f8", dims)
    variable.setncatts(dict(attributes))
    variable[:] = values


def stored(dtype: str, fill: Any = None, **attributes: Any) -> Callable[..., None]:
    """Return what writes a variable packed by `attributes`, without a look at them by the library."""

    def write(dataset, name: str, dims, values, given: Mapping[str, Any]) -> None:
        variable = dataset.createVariable(name, dtype, dims, fill_value=fill)
        variable.set_auto_maskandscale(False)
        variable.setncatts({**given, **attributes})
        packed = (np.asarray(values) - attributes.get("add_offset", 0.0)) / attributes.get(
            "scale_factor", 1.0
        )
        kind = np.dtype(dtype)
        variable[:] = packed if kind.kind == "f" else np.round(packed).astype("i8").astype(kind)

    return write


def write_map(
    path: Path,
    channels: Mapping[str, np.ndarray] | None = None,
    *,
    unit: str | None = "m",
    metres: float = 1.0,
    order: tuple[str, ...] = ("y", "x"),
    south_up: bool = False,
    west_left: bool = True,
    form: str = "NETCDF4",
    names: Mapping[str, str] | None = None,
    mapping: Mapping[str, Any] | None = POLAR,
    more: Callable[[Any], None] | None = None,
    write: Callable[..., None] = plain,
    attributes: Mapping[str, Any] | None = None,
    axis_attributes: bool = True,
    axis: Callable[..., None] = plain,
    title: str = "AMSR2 brightness temperatures",
) -> str:
    """Write maps (row, column), north up and west left, in the way that is asked for; return the path."""
    channels = channels or {"btemp_36_5v": field()}
    rows, cols = next(iter(channels.values())).shape[-2:]
    called = {"x": "x", "y": "y", "time": "time", **(names or {})}
    x = (LEFT + CELL * (np.arange(cols) + 0.5)) / metres
    y = (TOP - CELL * (np.arange(rows) + 0.5)) / metres
    steps = slice(None, None, -1 if south_up else 1), slice(None, None, 1 if west_left else -1)
    with netCDF4.Dataset(path, "w", format=form) as dataset:
        dataset.title = title
        if more is not None:
            more(dataset)
        for dim, size in (("x", cols), ("y", rows)):
            dataset.createDimension(called[dim], size)
        for dim, values, standard in (
            ("x", x[steps[1]], "projection_x_coordinate"),
            ("y", y[steps[0]], "projection_y_coordinate"),
        ):
            told = {"units": unit} if unit is not None else {}
            axis(
                dataset,
                called[dim],
                (called[dim],),
                values,
                {**told, **({"standard_name": standard} if axis_attributes else {})},
            )
        if mapping is not None:
            dataset.createVariable("crs", "i4").setncatts(dict(mapping))
        for name, values in channels.items():
            array = np.asarray(values)[(..., *steps)]
            dims = ("time", "y", "x") if array.ndim == 3 else ("y", "x")
            if array.ndim == 3 and "time" not in dataset.dimensions:
                dataset.createDimension("time", len(array))
            if array.ndim == 2:
                array = np.transpose(array, [dims.index(dim) for dim in order])
                dims = order
            told = {"grid_mapping": "crs"} if mapping is not None else {}
            write(
                dataset,
                name,
                [called[dim] for dim in dims],
                array,
                {"units": "K", **told, **(attributes or {})},
            )
    return str(path)
