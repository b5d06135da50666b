"""AMSR2 granules as JAXA makes them, small: names, types, attributes and geometry of Level 1B and 1R.

The arrays, their types and attributes follow JAXA's AMSR2 Level 1 Product Format Specification; a
granule here has some tens of scans instead of two thousand. HDF5 is written by GDAL's netCDF driver,
whose files are HDF5 with a little more.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
from osgeo import gdal

EARTH_KM = 6371.0
SAMPLES = 486
LOW = {"6.9": "6G", "7.3": "7G", "10.7": "10G", "18.7": "18G", "23.8": "23G", "36.5": "36G"}
A1 = {"6G": 1.51820, "7G": 1.40210, "10G": 1.25, "18G": 0.83, "23G": 0.71, "36G": 0.3}
A2 = {"6G": 0.25, "7G": -0.10, "10G": 0.0, "18G": -0.3, "23G": 0.12, "36G": -0.05}
RESOLUTIONS = {"06": 7, "10": 5, "23": 4, "36": 2}  # how many of the highest frequencies each has
FREQUENCIES = ("6.9", "7.3", "10.7", "18.7", "23.8", "36.5", "89.0")

Field = Callable[[np.ndarray, np.ndarray], np.ndarray]


def vectors(lon, lat) -> np.ndarray:
    lam, phi = np.radians(lon), np.radians(lat)
    return np.stack([np.cos(phi) * np.cos(lam), np.cos(phi) * np.sin(lam), np.sin(phi)], axis=-1)


def degrees(vector: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return (
        np.degrees(np.arctan2(vector[..., 1], vector[..., 0])),
        np.degrees(np.arctan2(vector[..., 2], np.hypot(vector[..., 0], vector[..., 1]))),
    )


def rotated(vector: np.ndarray, axis: np.ndarray, angle) -> np.ndarray:
    """Return vectors turned about unit axes (Rodrigues), angle in radians."""
    angle = np.asarray(angle)[..., None]
    return (
        vector * np.cos(angle)
        + np.cross(axis, vector) * np.sin(angle)
        + axis * np.sum(axis * vector, axis=-1, keepdims=True) * (1 - np.cos(angle))
    )


def conical_scans(
    middle: tuple[float, float], heading: float, scans: int, ahead_km: float = 0.0, samples: int = SAMPLES
) -> tuple[np.ndarray, np.ndarray]:
    """Return lon, lat (scan, sample) of a conical scan whose centre passes `middle` half way.

    Scans are 10 km apart, samples 5 km, on arcs of 880 km about the subsatellite point.
    """
    start = vectors(*middle)
    east = np.array([-np.sin(np.radians(middle[0])), np.cos(np.radians(middle[0])), 0.0])
    north = np.cross(start, east)
    turn = np.radians(heading)
    forward = np.cos(turn) * north + np.sin(turn) * east
    normal = np.cross(start, forward)
    along = ((np.arange(scans) - scans / 2) * 10.0 + ahead_km - 880.0) / EARTH_KM
    below = rotated(np.broadcast_to(start, (scans, 3)), normal, along)
    azimuth = (np.arange(samples) - samples / 2 + 0.5) * 5.0 / 880.0
    # A point 880 km ahead, turned about the subsatellite point to the right as the sample number grows.
    front = rotated(below, np.broadcast_to(normal, below.shape), np.full(scans, 880.0 / EARTH_KM))
    turned = rotated(front[:, None, :], np.broadcast_to(below[:, None, :], (scans, samples, 3)), -azimuth)
    return degrees(turned)


def slow_low_place(lon: Sequence[float], lat: Sequence[float], a1: float, a2: float) -> tuple[float, float]:
    """Return the place of one low-frequency sample by turning, not by JAXA's sums: P1 about the normal of
    P1 and P2 by A1 θ, then towards that normal by A2 θ."""
    p1, p2 = vectors(lon[0], lat[0]), vectors(lon[1], lat[1])
    normal = np.cross(p1, p2)
    theta = np.arctan2(np.linalg.norm(normal), p1 @ p2)
    normal /= np.linalg.norm(normal)
    ahead = rotated(p1, normal, a1 * theta)
    place = rotated(ahead, np.cross(ahead, normal), a2 * theta)
    return tuple(float(value) for value in degrees(place))


def low_places(lon: np.ndarray, lat: np.ndarray, frequency: str) -> tuple[np.ndarray, np.ndarray]:
    """Return all places of a frequency by :func:`slow_low_place`'s turning, vectorised."""
    p1, p2 = vectors(lon[:, ::2], lat[:, ::2]), vectors(lon[:, 1::2], lat[:, 1::2])
    normal = np.cross(p1, p2)
    theta = np.arctan2(np.linalg.norm(normal, axis=-1), np.sum(p1 * p2, axis=-1))
    normal /= np.linalg.norm(normal, axis=-1, keepdims=True)
    ahead = rotated(p1, normal, A1[frequency] * theta)
    return degrees(rotated(ahead, np.cross(ahead, normal), A2[frequency] * theta))


def tai93(time: datetime) -> float:
    """Return seconds since 1993 with leap seconds, from TAI − UTC: 27 s in January 1993, 37 s since 2017."""
    offsets = {2012: 35, 2015: 36, 2016: 36, 2017: 37, 2019: 37, 2020: 37}
    return (time - datetime(1993, 1, 1, tzinfo=timezone.utc)).total_seconds() + offsets[time.year] - 27


def parameters(values: dict[str, float]) -> str:
    """Return co-registration parameters as the files write them: ``6G-1.51820,7G--0.10000``."""
    return ",".join(f"{name}-{value:.5f}" for name, value in values.items())


@dataclass
class Granule:
    """What a test granule is made from.

    Parameters
    ----------
    field : callable
        (channel such as ``6.9H``) to a function of lon, lat that gives K.
    """

    field: Callable[[str], Field]
    middle: tuple[float, float] = (20.0, 79.0)
    heading: float = -30.0
    scans: int = 40
    samples: int = SAMPLES
    start: datetime = datetime(2019, 8, 23, 3, 0, 0, tzinfo=timezone.utc)
    level: str = "L1B"
    frequencies: Sequence[str] = FREQUENCIES
    change: dict[str, Callable[[np.ndarray], np.ndarray]] = field(default_factory=dict)
    attributes: dict[str, object] = field(default_factory=dict)
    leave_out: Sequence[str] = ()

    def write(self, path: Path) -> str:
        """Write the granule and return its path."""
        arrays = self.arrays()
        globals_ = {
            "ProductName": f"AMSR2-{self.level}",
            "GeophysicalName": "Brightness Temperature",
            "GranuleID": "GW1AM2_201908230243_200A_"
            + {"L1B": "L1SGBTBR", "L1R": "L1SGRTBR"}[self.level]
            + "_2220220",
            "PlatformShortName": "GCOM-W1",
            "SensorShortName": "AMSR2",
            "ObservationStartDateTime": self.start.strftime("%Y-%m-%dT%H:%M:%S.000Z"),
            "NumberOfScans": str(self.scans),
            "OverlapScans": "0",
            "OrbitDirection": "Ascending",
            "CoRegistrationParameterA1": parameters(A1),
            "CoRegistrationParameterA2": parameters(A2),
            **self.attributes,
        }
        write_hdf5(path, arrays, globals_, self.leave_out)
        return str(path)

    def arrays(self) -> dict[str, tuple[np.ndarray, dict[str, object]]]:
        """Return the arrays of the file with their attributes."""
        lon_a, lat_a = self.horn("A")
        lon_b, lat_b = self.horn("B")
        found: dict[str, tuple[np.ndarray, dict[str, object]]] = {}
        for frequency in self.frequencies:
            for polarisation in "HV":
                make = self.field(f"{frequency}{polarisation}")
                if frequency == "89.0":
                    for horn, lon, lat in (("A", lon_a, lat_a), ("B", lon_b, lat_b)):
                        name = f"(89.0GHz-{horn},{polarisation})"
                        if self.level == "L1R":
                            name = f"(original,89GHz-{horn},{polarisation})"
                        found[f"Brightness Temperature {name}"] = _stored(make(lon, lat))
                elif self.level == "L1B":
                    places = low_places(lon_a, lat_a, LOW[frequency])
                    found[f"Brightness Temperature ({frequency}GHz,{polarisation})"] = _stored(make(*places))
                if self.level == "L1R":
                    values = make(lon_a[:, ::2], lat_a[:, ::2])
                    for resolution, count in RESOLUTIONS.items():
                        if frequency in FREQUENCIES[-count:]:
                            # Coarser than the finest: colder by one kelvin a step, so that a mix-up shows.
                            finest = max(r for r, n in RESOLUTIONS.items() if frequency in FREQUENCIES[-n:])
                            steps = list(RESOLUTIONS).index(finest) - list(RESOLUTIONS).index(resolution)
                            name = f"Brightness Temperature (res{resolution},{frequency}GHz,{polarisation})"
                            found[name] = _stored(values - steps - (1 if frequency == "89.0" else 0))
        for horn, lon, lat in (("A", lon_a, lat_a), ("B", lon_b, lat_b)):
            for name, values in (("Latitude", lat), ("Longitude", lon)):
                found[f"{name} of Observation Point for 89{horn}"] = (
                    values.astype(np.float32),
                    {"SCALE FACTOR": np.float32(1.0), "UNIT": "deg"},
                )
        times = tai93(self.start) + 1.5 * np.arange(self.scans)
        found["Scan Time"] = (times, {"SCALE FACTOR": np.float32(1.0), "UNIT": "sec"})
        for name, change in self.change.items():
            values, attributes = found[name]
            found[name] = (change(values.copy()), attributes)
        return found

    def horn(self, horn: str) -> tuple[np.ndarray, np.ndarray]:
        """Return lon, lat (scan, sample) of a horn as the file keeps them: float32. B looks 15 km ahead."""
        lon, lat = conical_scans(
            self.middle, self.heading, self.scans, 15.0 if horn == "B" else 0.0, self.samples
        )
        return lon.astype(np.float32).astype(np.float64), lat.astype(np.float32).astype(np.float64)


def _stored(kelvin: np.ndarray) -> tuple[np.ndarray, dict[str, object]]:
    return np.round(kelvin * 100).astype(np.uint16), {"SCALE FACTOR": np.float32(0.01), "UNIT": "K"}


def smooth_field(offset: float = 0.0) -> Callable[[str], Field]:
    """Return temperatures that vary over hundreds of km, and differ from channel to channel."""

    def of(channel: str) -> Field:
        base = (
            100.0 + float(re.match(r"[\d.]+", channel)[0]) + (30.0 if channel.endswith("V") else 0.0) + offset
        )

        def make(lon: np.ndarray, lat: np.ndarray) -> np.ndarray:
            x, y, z = np.moveaxis(vectors(lon, lat), -1, 0)
            return base + 60.0 * x - 40.0 * y + 25.0 * z

        return make

    return of


_TYPES = {
    "uint8": gdal.GDT_Byte,
    "int16": gdal.GDT_Int16,
    "uint16": gdal.GDT_UInt16,
    "int32": gdal.GDT_Int32,
    "float32": gdal.GDT_Float32,
    "float64": gdal.GDT_Float64,
}


def write_hdf5(
    path: Path,
    arrays: dict[str, tuple[np.ndarray, dict[str, object]]],
    attributes: dict[str, object],
    leave_out: Sequence[str] = (),
    dimensions: dict[str, Sequence[str]] | None = None,
    classic: bool = False,
) -> None:
    """Write arrays with attributes into an HDF5 file (a NetCDF-4 or, where `classic`, a NetCDF-3 one)."""
    path.unlink(missing_ok=True)
    options = [f"FORMAT={'NC' if classic else 'NC4'}"]
    dataset = gdal.GetDriverByName("netCDF").CreateMultiDimensional(str(path), [], options)
    root = dataset.GetRootGroup()
    sizes: dict[str, object] = {}
    for name, value in attributes.items():
        if name not in leave_out:
            _attribute(root, name, value)
    kept = []
    for name, (values, own) in arrays.items():
        if name in leave_out:
            continue
        names = (dimensions or {}).get(name) or [f"n{size}" for size in values.shape]
        for dimension, size in zip(names, values.shape):
            if dimension not in sizes:
                sizes[dimension] = root.CreateDimension(dimension, None, None, size)
        array = root.CreateMDArray(
            name,
            [sizes[dimension] for dimension in names],
            gdal.ExtendedDataType.Create(_TYPES[values.dtype.name]),
            [] if classic or not values.shape else ["COMPRESS=DEFLATE"],
        )
        if array is None:
            raise RuntimeError(f"GDAL does not make an array called {name}")
        for key, value in own.items():
            _attribute(array, key, value)
        kept.append((array, np.ascontiguousarray(values)))
    for array, values in kept:
        array.Write(values)
    # GDAL writes when nothing holds the file any more.
    array = root = dataset = None
    kept.clear()
    sizes.clear()


def _attribute(holder, name: str, value: object) -> None:
    if name == "_FillValue":
        holder.SetNoDataValueDouble(float(value))
    elif name == "scale_factor":
        holder.SetScale(float(value))
    elif name == "add_offset":
        holder.SetOffset(float(value))
    elif isinstance(value, str):
        holder.CreateAttribute(name, [], gdal.ExtendedDataType.CreateString()).Write(value)
    elif isinstance(value, list) and isinstance(value[0], str):
        holder.CreateAttribute(name, [len(value)], gdal.ExtendedDataType.CreateString()).Write(value)
    else:
        values = np.atleast_1d(value)
        kind = gdal.ExtendedDataType.Create(_TYPES[values.dtype.name])
        shape = [] if np.ndim(value) == 0 else [len(values)]
        holder.CreateAttribute(name, shape, kind).Write(values.tolist() if shape else values[0].item())
