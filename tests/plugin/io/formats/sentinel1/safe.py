"""Small Sentinel-1 GRD products, schema-exact, made from their definitions.

``make_safe(folder)`` writes a ``.SAFE`` folder with manifest, annotation, calibration, noise and
measurement, and returns the path of its manifest; ``zip_safe`` packs it.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import rasterio
from floelens.tests.plugin.io.formats.sentinel1.safe_texts import (
    annotation,
    calibration,
    geolocation,
    lattice,
    manifest,
    noise,
    sub_swaths,
)
from rasterio.control import GroundControlPoint

__all__ = ["digital_numbers", "make_safe", "write_measurement", "zip_safe"]


def digital_numbers(mode: str, rows: int, cols: int, pol: str, seed: int = 1) -> np.ndarray:
    """Return (row, column) uint16: backscatter with speckle, 0 where no sub-swath is."""
    random = np.random.default_rng([seed, *pol.encode()])
    level = 9000.0 if pol in ("hh", "vv") else 2200.0
    line, pixel = np.meshgrid(np.arange(rows), np.arange(cols), indexing="ij")
    power = level * (1.2 + 0.5 * np.sin(line / 37.0) * np.cos(pixel / 53.0))
    numbers = np.sqrt(power * random.gamma(10.0, 0.1, power.shape)).round()
    inside = np.zeros((rows, cols), dtype=bool)
    for _, a, b, c, d in sub_swaths(mode, rows, cols):
        inside[a : b + 1, c : d + 1] = True
    return np.where(inside, numbers, 0).astype(np.uint16)


def write_measurement(
    path: Path, numbers: np.ndarray, place: tuple[float, float], size: float, **profile
) -> None:
    """Write a measurement as the processor does: one row a strip, no compression, tie points in degrees."""
    rows, cols = numbers.shape
    at = geolocation(place, rows, cols, size)
    points = []
    for line in lattice(rows, rows // 6 or 1):
        for pixel in lattice(cols, cols // 8 or 1):
            lon, lat = at(line, pixel)
            points.append(GroundControlPoint(row=line, col=pixel, x=float(lon), y=float(lat), z=0.0))
    profile = {"blockysize": 1, **profile}
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        height=rows,
        width=cols,
        count=1,
        dtype="uint16",
        gcps=points,
        crs="EPSG:4326",
        **profile,
    ) as dataset:
        dataset.write(numbers, 1)


def make_safe(
    folder: Path,
    rows: int = 240,
    cols: int = 300,
    pols: Sequence[str] = ("hh", "hv"),
    mode: str = "EW",
    *,
    place: tuple[float, float] = (15.0, 78.0),
    size: float = 40.0,
    numbers: Mapping[str, np.ndarray] | None = None,
    noise_table: str = "azimuth",
    product_type: str = "GRD",
    ipf: str = "003.10",
    name: str | None = None,
    seed: int = 1,
    **profile,
) -> Path:
    """Write a product and return the path of its manifest.

    Parameters
    ----------
    folder : Path
        Where the ``.SAFE`` folder goes.
    rows, cols : int
        Size of the image.
    pols : sequence of str
        ``("hh", "hv")``, ``("vv", "vh")``, or one of them.
    mode : {'EW', 'IW'}
        With five or three sub-swaths.
    place : tuple of float
        Longitude and latitude of the centre.
    size : float
        Metres a pixel.
    numbers : mapping, optional
        Digital numbers (row, column), uint16, by polarisation.
    noise_table : {'azimuth', 'range', 'zero'}
        See :func:`noise`.
    product_type, ipf, name
        What the files say.
    seed : int
        Of the speckle.
    **profile
        Creation options of the measurement.
    """
    classes = {"hh": "SH", "vv": "SV", "hv": "DH", "vh": "DV"}
    letters = classes[pols[-1]]
    default = f"S1A_{mode}_{product_type}M_1S{letters}_20190823T043012_20190823T043116_028700_033F5A_1A2B"
    safe = Path(folder) / f"{name or default}.SAFE"
    for part in ("annotation/calibration", "measurement"):
        (safe / part).mkdir(parents=True)
    images, sizes = [], {}
    for number, pol in enumerate(pols, start=1):
        stem = f"s1a-{mode.lower()}-grd-{pol}-20190823t043012-20190823t043116-028700-033f5a-00{number}"
        index = f"00{number}"
        texts = {
            f"annotation/{stem}.xml": annotation(index, pol, mode, rows, cols, size, place, product_type),
            f"annotation/calibration/calibration-{stem}.xml": calibration(index, pol, mode, rows, cols),
            f"annotation/calibration/noise-{stem}.xml": noise(index, pol, mode, rows, cols, noise_table),
        }
        for href, text in texts.items():
            (safe / href).write_text(text, encoding="utf-8")
            sizes[href] = len(text)
        dn = numbers[pol] if numbers is not None else digital_numbers(mode, rows, cols, pol, seed)
        write_measurement(safe / f"measurement/{stem}.tiff", dn, place, size, **profile)
        images.append((stem.replace("-", ""), stem))
    path = safe / "manifest.safe"
    path.write_text(manifest(images, mode, ipf, product_type, sizes), encoding="utf-8")
    return path


def zip_safe(
    manifest_path: Path, target: Path | None = None, compression: int = zipfile.ZIP_DEFLATED
) -> Path:
    """Pack a product as its provider does, the ``.SAFE`` folder at the top; return the zip's path."""
    safe = manifest_path.parent
    target = target or safe.with_suffix(".zip")
    with zipfile.ZipFile(target, "w", compression) as archive:
        for file in sorted(safe.rglob("*")):
            archive.write(file, f"{safe.name}/{file.relative_to(safe).as_posix()}")
    return target
