"""Small scenes as the agencies' NetCDF files hold them: dims, names, types and attributes of the real ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from floelens.plugin.networks.standard_channels import MWR_CHANNELS, STANDARD_CHANNELS, WEATHER_CHANNELS
from floelens.tests.plugin.io.rasters import exact_place
from osgeo import gdal

HEADER = "poly_id;CT;CA;SA;FA;CB;SB;FB;CC;SC;FC;CN;CD;CF;POLY_TYPE"
CODES = (
    HEADER,
    "3;-9;-9;-9;-9;-9;-9;-9;-9;-9;-9;-9;-9;-9;W",
    "7;91;-9;93;06;-9;-9;-9;-9;-9;-9;-9;-9;-9;I",
    "12;35;-9;83;3;-9;-9;-9;-9;-9;-9;-9;-9;-9;I",
    "29;92;30;95;05;70;93;08;-9;-9;-9;-9;-9;08-9;I",
)
# What the codes above mean: concentration in %, stage, floe; 255 no data.
DECODED = {3: (0, 0, 0), 7: (95, 4, 5), 12: (40, 2, 2), 29: (100, 4, 255)}
PRODUCT = "S1A_EW_GRDM_1SDH_20180124T194759_20180124T194859_020301_022AA4_1F75"
START = "2018-01-24T19:47:59"


@dataclass(frozen=True)
class Variable:
    """A variable to write: its dimensions, values (or strings), fill value and attributes."""

    dims: Sequence[str]
    values: Any
    fill: float | None = None
    attributes: Mapping[str, Any] = field(default_factory=dict)


def write_netcdf(
    path: Path,
    dims: Mapping[str, int],
    variables: Mapping[str, Variable],
    attributes: Mapping[str, Any],
) -> str:
    """Write a NetCDF file; return its path."""
    dataset = gdal.GetDriverByName("netCDF").CreateMultiDimensional(str(path), [], ["FORMAT=NC4"])
    group = dataset.GetRootGroup()
    axes = {name: group.CreateDimension(name, None, None, size) for name, size in dims.items()}
    for name, variable in variables.items():
        text = not isinstance(variable.values, np.ndarray)
        if text:
            dtype = gdal.ExtendedDataType.CreateString()
        else:
            from osgeo import gdal_array

            dtype = gdal.ExtendedDataType.Create(
                gdal_array.NumericTypeCodeToGDALTypeCode(variable.values.dtype.type)
            )
        shape = [dims[dim] for dim in variable.dims]
        options = []
        if len(shape) == 2:
            block = ",".join(str(min(64, size)) for size in shape)
            options = ["COMPRESS=DEFLATE", f"BLOCKSIZE={block}"]
        array = group.CreateMDArray(name, [axes[dim] for dim in variable.dims], dtype, options)
        if variable.fill is not None:
            array.SetNoDataValueDouble(float(variable.fill))
        array.Write(list(variable.values) if text else np.ascontiguousarray(variable.values))
        for key, value in variable.attributes.items():
            _attribute(array, key, value)
        array = None
    for key, value in attributes.items():
        _attribute(group, key, value)
    axes = group = dataset = None
    return str(path)


def _attribute(owner: Any, name: str, value: Any) -> None:
    if isinstance(value, str):
        attribute = owner.CreateAttribute(name, [], gdal.ExtendedDataType.CreateString())
    else:
        number = gdal.GDT_Int32 if isinstance(value, int) else gdal.GDT_Float64
        size = [len(value)] if isinstance(value, (list, tuple)) else []
        attribute = owner.CreateAttribute(name, size, gdal.ExtendedDataType.Create(number))
    attribute.Write(value)


@dataclass(frozen=True)
class Truth:
    """A scene and where each of its pixels truly lies.

    The image is as a right-looking radar takes it: rows along the flight, columns to the right of it.
    """

    rows: int = 230
    cols: int = 270
    ratio: int = 50
    pixel: float = 40.0
    place: tuple[float, float] = (-35.2, 64.7)
    heading: float = 13.0
    seed: int = 5

    @property
    def lonlat(self):
        """Return the function (row, col) → (lon, lat); (0, 0) is the corner of the first pixel."""
        forward, _ = exact_place(*self.place, self.rows, self.cols, self.pixel, self.heading, mirrored=True)
        return forward

    def noise(self, *shape: int, stream: int = 0) -> np.ndarray:
        """Return standard normal noise of its own stream."""
        return np.random.default_rng([self.seed, stream]).normal(size=shape)

    @cached_property
    def hh(self) -> np.ndarray:
        """Backscatter HH in dB; NaN at the border, as masked there."""
        values = (-14.0 + 3.0 * self.noise(self.rows, self.cols, stream=1)).astype(np.float32)
        values[:, :4] = np.nan
        return values

    @cached_property
    def hv(self) -> np.ndarray:
        """Backscatter HV in dB."""
        values = (-24.0 + 2.0 * self.noise(self.rows, self.cols, stream=2)).astype(np.float32)
        values[:, :4] = np.nan
        return values

    @cached_property
    def distance(self) -> np.ndarray:
        """Classes of the distance to land: land at the lower right."""
        row, col = np.mgrid[: self.rows, : self.cols]
        return np.clip((self.rows + self.cols - row - col) // 12 - 2, 0, 41)

    @cached_property
    def polygons(self) -> np.ndarray:
        """Numbers of the chart's polygons; 0 where there is none."""
        ids = np.full((self.rows, self.cols), 3)
        ids[: self.rows // 2, : self.cols // 3] = 7
        ids[self.rows // 3 :, self.cols // 2 :] = 12
        ids[self.rows // 2 : self.rows // 2 + 40, self.cols // 2 + 20 : self.cols // 2 + 80] = 29
        ids[-20:, :60] = 7
        ids[:, :4] = 0
        return ids

    @cached_property
    def cells(self) -> tuple[int, int]:
        """Rows and columns of the whole 2 km cells."""
        return self.rows // self.ratio, self.cols // self.ratio

    def brightness(self, name: str) -> np.ndarray:
        """Return brightness temperatures in K; a missing corner cell."""
        stream = 100 + MWR_CHANNELS.index(name)
        channel = STANDARD_CHANNELS[name]
        values = channel.mean + 0.3 * channel.sd * self.noise(*self.cells, stream=stream)
        values[0, -1] = np.nan
        return values

    def weather(self, name: str) -> np.ndarray:
        """Return a weather field."""
        channel = STANDARD_CHANNELS[name]
        stream = 200 + WEATHER_CHANNELS.index(name)
        return channel.mean + channel.sd * self.noise(*self.cells, stream=stream)

    def incidence(self, row: np.ndarray, col: np.ndarray) -> np.ndarray:
        """Return the incidence angle in degrees; grows across the flight."""
        return 19.0 + 27.0 * np.asarray(col) / self.cols + 0.0 * np.asarray(row)

    def tie_points(self, lines: int = 6, samples: int = 7) -> dict[str, np.ndarray]:
        """Return the tie points as a product gives them: indices from 0 to the last pixel, lists of all."""
        line = np.unique(np.round(np.linspace(0, self.rows - 1, lines)))
        sample = np.unique(np.round(np.linspace(0, self.cols - 1, samples)))
        row, col = (axis.ravel() for axis in np.meshgrid(line, sample, indexing="ij"))
        lon, lat = self.lonlat(row + 0.5, col + 0.5)
        return {
            "line": row,
            "sample": col,
            "latitude": lat,
            "longitude": lon,
            "incidenceangle": self.incidence(row + 0.5, col + 0.5),
            "height": np.zeros_like(row),
        }


def write_raw(
    path: Path,
    truth: Truth | None = None,
    drop: Sequence[str] = (),
    polarisations: tuple[str, str] = ("HH", "HV"),
    codes: Sequence[str] = CODES,
    **attributes: Any,
) -> str:
    """Write an AI4Arctic raw file."""
    truth = truth or Truth()
    fine, coarse = ("sar_lines", "sar_samples"), ("2km_grid_lines", "2km_grid_samples")
    ties = truth.tie_points()
    rows, cols = truth.cells
    dims = {
        "sar_lines": truth.rows,
        "sar_samples": truth.cols,
        "sar_grid_points": ties["line"].size,
        "2km_grid_lines": rows,
        "2km_grid_samples": cols,
        "polygon_codes": len(codes),
    }
    nan = float("nan")
    variables = {
        "nersc_sar_primary": Variable(fine, truth.hh, nan, {"polarisation": polarisations[0]}),
        "nersc_sar_secondary": Variable(fine, truth.hv, nan, {"polarisation": polarisations[1]}),
        "polygon_icechart": Variable(fine, _charted(truth), nan),
        "distance_map": Variable(fine, truth.distance.astype(np.float32), nan),
        **{
            f"sar_grid_{name}": Variable(("sar_grid_points",), values.astype(np.float64))
            for name, values in ties.items()
        },
        **{name: Variable(coarse, truth.brightness(name), nan) for name in MWR_CHANNELS},
        "amsr2_swath_map": Variable(coarse, np.full(truth.cells, nan), nan),
        "swath_segmentation": Variable(coarse, np.zeros(truth.cells), nan),
        **{name: Variable(coarse, truth.weather(name), nan) for name in WEATHER_CHANNELS},
        "polygon_codes": Variable(("polygon_codes",), codes),
    }
    name = f"{PRODUCT}_icechart_dmi_201801241950_SouthEast_RIC.nc"
    told = {"scene_id": name, "original_id": f"{PRODUCT}.SAFE", "ice_service": "dmi", "flip": 1, **attributes}
    return write_netcdf(path, dims, {n: v for n, v in variables.items() if n not in drop}, told)


def _charted(truth: Truth) -> np.ndarray:
    return np.where(truth.polygons == 0, np.nan, truth.polygons)


def write_ready(
    path: Path,
    truth: Truth | None = None,
    drop: Sequence[str] = (),
    transpose_ties: bool = False,
    **attributes: Any,
) -> str:
    """Write an AI4Arctic ready-to-train file: standardised values, 80 m, masked pixels 0."""
    truth = truth or Truth(ratio=25, pixel=80.0)
    fine, coarse = ("sar_lines", "sar_samples"), ("2km_grid_lines", "2km_grid_samples")
    rows, cols = truth.cells
    dims = {
        "sar_lines": truth.rows,
        "sar_samples": truth.cols,
        "sar_sample_2dgrid_points": 6,
        "sar_line_2dgrid_points": 7,
        "2km_grid_lines": rows,
        "2km_grid_samples": cols,
    }
    # The dims of the tie points are named the wrong way round in the real files too.
    ties = ("sar_sample_2dgrid_points", "sar_line_2dgrid_points")
    # Spread evenly between the centres of the outermost pixels of 40 m, of which these are 2 x 2.
    line, sample = np.meshgrid(
        np.linspace(0.25, truth.rows - 0.25, 6), np.linspace(0.25, truth.cols - 0.25, 7), indexing="ij"
    )
    lon, lat = truth.lonlat(line, sample)
    if transpose_ties:
        lon, lat, ties = lon.T, lat.T, ties[::-1]
    middle_row, middle_col = np.mgrid[: truth.rows, : truth.cols] + 0.5
    charts = ready_charts(truth)
    variables = {
        "nersc_sar_primary": Variable(
            fine, standardised("hh", truth.hh), None, {"polarisation": "HH", "min": -80.0, "max": 20.0}
        ),
        "nersc_sar_secondary": Variable(fine, standardised("hv", truth.hv), None, {"polarisation": "HV"}),
        "distance_map": Variable(fine, standardised("distance_map", truth.distance)),
        "sar_incidenceangle": Variable(
            fine, standardised("incidence_angle", truth.incidence(middle_row, middle_col))
        ),
        **{name: Variable(fine, values, None) for name, values in charts.items()},
        "sar_grid2d_latitude": Variable(ties, lat),
        "sar_grid2d_longitude": Variable(ties, lon),
        **{name: Variable(coarse, standardised(name, truth.brightness(name))) for name in MWR_CHANNELS},
        **{name: Variable(coarse, standardised(name, truth.weather(name))) for name in WEATHER_CHANNELS},
    }
    told = {
        "scene_id": "20180124T194759_dmi_prep.nc",
        "original_id": PRODUCT,
        "ice_service": "dmi",
        "flip": 1,
        "pixel_spacing": int(truth.pixel),
        **attributes,
    }
    return write_netcdf(path, dims, {n: v for n, v in variables.items() if n not in drop}, told)


def standardised(name: str, values: np.ndarray) -> np.ndarray:
    """Return (x - mean)/sd with the global statistics, 0 where there is no data, as the files have it."""
    channel = STANDARD_CHANNELS[name]
    z = (np.asarray(values, dtype=np.float64) - channel.mean) / channel.sd
    return np.where(np.isnan(z), 0.0, z).astype(np.float32)


def ready_charts(truth: Truth) -> dict[str, np.ndarray]:
    """Return SIC (tenths), SOD and FLOE, 255 no data."""
    table = np.full((3, 256), 255, dtype=np.uint8)
    for number, (concentration, stage, floe) in DECODED.items():
        # The codes 91 and 92 (95 and 100 %) are one class there.
        table[:, number] = 10 if concentration > 90 else concentration // 10, stage, floe
    return {name: table[i][truth.polygons] for i, name in enumerate(("SIC", "SOD", "FLOE"))}


def write_asip(path: Path, truth: Truth | None = None, drop: Sequence[str] = (), **attributes: Any) -> str:
    """Write an ASIP v2 file: dots in names, AMSR2 on axes of its own, incidence angles by column."""
    truth = truth or Truth()
    fine, coarse = ("sar_lines", "sar_samples"), ("line", "sample")
    ties = truth.tie_points()
    rows, cols = truth.cells
    line = 25.0 + truth.ratio * np.arange(rows)
    sample = 25.0 + truth.ratio * np.arange(cols)
    at_line, at_sample = np.meshgrid(line, sample, indexing="ij")
    lon, lat = truth.lonlat(at_line + 0.5, at_sample + 0.5)
    dims = {
        "sar_lines": truth.rows,
        "sar_samples": truth.cols,
        "sar_grid_points": ties["line"].size,
        "line": rows,
        "sample": cols,
        "polygon_codes": len(CODES),
    }
    nan = float("nan")
    charted = np.where(truth.polygons == 0, -1, truth.polygons).astype(np.int16)
    variables = {
        "line": Variable(("line",), line),
        "sample": Variable(("sample",), sample),
        "sar_primary": Variable(fine, truth.hh + np.float32(0.5), nan, {"polarisation": "HH"}),
        "sar_secondary": Variable(fine, truth.hv - np.float32(0.5), nan, {"polarisation": "HV"}),
        "nersc_sar_primary": Variable(fine, truth.hh, nan),
        "nersc_sar_secondary": Variable(fine, truth.hv, nan),
        "sar_incidenceangles": Variable(
            ("sar_samples",),
            truth.incidence(0.0, np.arange(truth.cols) + 0.5).astype(np.float32),
        ),
        "polygon_icechart": Variable(fine, charted, -1),
        "distance_map": Variable(fine, truth.distance.astype(np.int16), -1),
        "lat": Variable(coarse, lat),
        "lon": Variable(coarse, lon),
        **{
            f"sar_grid_{name}": Variable(("sar_grid_points",), ties[name])
            for name in ("line", "sample", "latitude", "longitude")
        },
        **{
            dotted(name): Variable(coarse, truth.brightness(name).astype(np.float32), nan)
            for name in MWR_CHANNELS
        },
        "polygon_codes": Variable(("polygon_codes",), CODES),
    }
    return write_netcdf(path, dims, {n: v for n, v in variables.items() if n not in drop}, attributes)


def dotted(name: str) -> str:
    """Return the name of a radiometer channel as ASIP writes it: ``btemp_6.9h``."""
    frequency = name[len("btemp_") :]
    return "btemp_" + frequency.replace("_", ".")
