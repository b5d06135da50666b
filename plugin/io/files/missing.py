"""Where a raster has no data: declared values, masks, and alpha bands, band by band.

A band may say it in several ways at once, and all of them count: a no-data value, which is compared with
what is stored, before scale and offset; a mask of its own or of the whole dataset, inside of the file, in
a ``.msk`` beside it or in a VRT; and an alpha band, which is 0 where there is nothing. Masks are read only
where GDAL says that there are some.
"""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from osgeo import gdal
from rasterio._err import CPLE_BaseError
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.io import DatasetReader
from rasterio.windows import Window as RasterioWindow

from ..environment.gdal_state import quiet_gdal

HUGE = 1e30
"""Nothing that is measured is so large: beside a no-data value like it, all such numbers are no data."""
_LARGE = 1e6
_CHANGING = ("scaleratio", "scaleoffset", "lut", "exponent", "colortablecomponent")
_ALPHA = re.compile(r"alpha|mask|valid|opac|transparen|coverage", re.IGNORECASE)


@dataclass(frozen=True)
class MissingData:
    """What a dataset says of missing data.

    Parameters
    ----------
    nodata : tuple of float or None
        The no-data value of every band, as stored.
    masked : tuple of bool
        Whether GDAL has a mask for the band that is more than its no-data value.
    alphas : tuple of int
        Numbers of the alpha bands, from 1.
    shortened : tuple of (float, ...), optional
        For every band of a virtual raster the no-data values of its sources that are shortened in its text: GDAL
        compares them exactly, and lets the values through that were meant.
    """

    nodata: tuple[float | None, ...]
    masked: tuple[bool, ...]
    alphas: tuple[int, ...]
    shortened: tuple[tuple[float, ...], ...] = ()

    @classmethod
    def of(cls, dataset: DatasetReader) -> MissingData:
        """Return what an open dataset says."""
        alphas = _alpha_bands(dataset)
        nodata = tuple(dataset.nodatavals)
        masked = tuple(_has_mask(flags, value) for flags, value in zip(dataset.mask_flag_enums, nodata))
        shortened = _shortened_in_sources(dataset) if dataset.driver == "VRT" else ()
        return cls(nodata, masked, alphas if len(alphas) < dataset.count else (), shortened)

    def completed(self, dataset: DatasetReader, source: str, drivers: Sequence[str]) -> MissingData:
        """Return these with no-data values that rasterio withholds: those outside of a whole-number type.

        Text that was shortened may name such a value, as 6.554e+04 for 65535. The file is opened again only
        where a band of whole numbers has no value.
        """
        whole = [np.dtype(kind).kind in "iu" for kind in dataset.dtypes]
        known = [value is not None for value in self.nodata]
        if all(one or not integer for one, integer in zip(known, whole)):
            return self
        with quiet_gdal():
            try:
                opened = gdal.OpenEx(source, gdal.OF_RASTER, allowed_drivers=list(drivers))
            except RuntimeError:  # where somebody has switched GDAL's exceptions on
                opened = None
            if opened is None or opened.RasterCount != len(self.nodata):
                return self
            declared = [opened.GetRasterBand(n).GetNoDataValue() for n in range(1, opened.RasterCount + 1)]
        nodata = [b if integer and a is None else a for a, b, integer in zip(self.nodata, declared, whole)]
        return replace(self, nodata=tuple(nodata))

    @property
    def measured(self) -> tuple[int, ...]:
        """Numbers of the bands that are no alpha bands, from 1."""
        return tuple(n for n in range(1, len(self.nodata) + 1) if n not in self.alphas)

    def reader(
        self, dataset: DatasetReader, window: RasterioWindow
    ) -> Callable[[int, np.ndarray], np.ndarray | None]:
        """Return a function of a band's number and its stored values: (row, column) bool, True without data.

        It returns None where nothing is missing for sure. An alpha band is read once for all bands.
        """
        transparent: list[np.ndarray] = []

        def missing(band: int, values: np.ndarray) -> np.ndarray | None:
            is_missing = equals_nodata(values, self.nodata[band - 1])
            for value in self.shortened[band - 1] if self.shortened else ():
                meant = equals_nodata(values, value)
                is_missing = is_missing if meant is None else _either(is_missing, meant)
            if self.masked[band - 1]:
                is_missing = _either(is_missing, dataset.read_masks(band, window=window) == 0)
            if self.alphas and band not in self.alphas:
                if not transparent:
                    transparent.append((dataset.read(list(self.alphas), window=window) == 0).any(axis=0))
                is_missing = _either(is_missing, transparent[0])
            return is_missing

        return missing


def _shortened_in_sources(dataset: DatasetReader) -> tuple[tuple[float, ...], ...]:
    """Return for every band of a virtual raster the shortened no-data values of its sources.

    Sources whose values are scaled or looked up are left out: what is read of them is no longer what is stored.
    """
    with quiet_gdal():
        try:
            tree = gdal.ParseXMLString(dataset.tags(ns="xml:VRT").get("xml:VRT", ""))
        except RuntimeError:  # where somebody has switched GDAL's exceptions on
            tree = None
    shortened = []
    for band in _children(tree, "vrtrasterband"):
        values = []
        for source in (node for node in band[2:] if node[0] == gdal.CXT_Element):
            if any(_children(source, name) for name in _CHANGING):
                continue
            for node in _children(source, "nodata"):
                with contextlib.suppress(ValueError):
                    values.append(float("".join(part[1] for part in node[2:] if part[0] == gdal.CXT_Text)))
        shortened.append(values)
    if len(shortened) != dataset.count:
        return ()
    return tuple(
        tuple(value for value in values if _is_shortened(value, np.dtype(kind)))
        for values, kind in zip(shortened, dataset.dtypes)
    )


def _is_shortened(nodata: float, kind: np.dtype) -> bool:
    """Return whether a no-data value cannot be meant exactly: GDAL finds exact ones by itself."""
    if kind.kind in "iu":
        return not np.iinfo(kind).min <= nodata <= np.iinfo(kind).max
    return _LARGE <= abs(nodata) < HUGE and _half_last_digit(nodata) > 0


def _children(node: list | None, name: str) -> list[list]:
    """Return the elements of that name, in any case, directly inside of an element of GDAL's tree."""
    inside = node[2:] if node else ()
    return [child for child in inside if child[0] == gdal.CXT_Element and child[1].lower() == name]


def _alpha_bands(dataset: DatasetReader) -> tuple[int, ...]:
    """Return the numbers of bands that are marked as alpha, from 1.

    GDAL's ALPHA=YES marks the second band of a GeoTIFF, whatever it holds: a band that has a name of
    its own is a measurement, and of nameless ones only the last is an alpha band.
    """
    marked = [n for n, kind in enumerate(_interpretations(dataset), 1) if kind == ColorInterp.alpha]
    names = {n: dataset.descriptions[n - 1] or "" for n in marked}
    nameless = [n for n in marked if not names[n].strip()]
    return tuple(sorted([n for n in marked if _ALPHA.search(names[n])] + nameless[-1:]))


def _interpretations(dataset: DatasetReader) -> tuple[ColorInterp, ...]:
    with contextlib.suppress(CPLE_BaseError):
        return tuple(dataset.colorinterp)
    # What was raised is an error of opening, which the file survived: it is raised once.
    return tuple(dataset.colorinterp)


def _has_mask(flags: Sequence[MaskFlags], nodata: float | None) -> bool:
    """Return whether GDAL's flags of a band name a mask beside its no-data value and alpha bands."""
    if not flags:  # a mask of the band's own
        return True
    # A value that no float64 holds is only known to GDAL.
    hidden = MaskFlags.nodata in flags and nodata is None
    return hidden or (MaskFlags.per_dataset in flags and MaskFlags.alpha not in flags)


def _either(one: np.ndarray | None, other: np.ndarray) -> np.ndarray:
    return other if one is None else one | other


def equals_nodata(values: np.ndarray, nodata: float | None) -> np.ndarray | None:
    """Return where stored values are the no-data value; None where none can be.

    Files keep the value as decimal text, often with fewer digits than the pixels have: reals are compared
    as the nearest float32, and large values within half a unit of the text's last digit.

    Parameters
    ----------
    values : numpy.ndarray
        Values of a band as stored, of any real type.
    nodata : float or None
        Its no-data value.
    """
    if nodata is None or math.isnan(nodata):  # NaN is missing in any case
        return None
    if abs(nodata) >= HUGE:
        if values.dtype.kind != "f":
            return None
        return values >= HUGE if nodata > 0 else values <= -HUGE
    spread = _half_last_digit(nodata) if abs(nodata) >= _LARGE else 0.0
    if values.dtype.kind == "f":
        if spread:
            return np.abs(values - values.dtype.type(nodata)) <= spread
        if values.dtype == np.float64:
            with np.errstate(over="ignore"):
                return values.astype(np.float32) == np.float32(nodata)
        return values == values.dtype.type(nodata)
    return _equals_integer(values, nodata, spread)


def _equals_integer(values: np.ndarray, nodata: float, spread: float) -> np.ndarray | None:
    limits = np.iinfo(values.dtype)
    if not limits.min <= nodata <= limits.max:
        # 65535 shortened to 6.554e+04: the outermost values were meant.
        spread = _half_last_digit(nodata)
        if nodata > limits.max:
            return values >= limits.max - 1 if spread and nodata - limits.max <= spread else None
        return values <= limits.min + 1 if spread and limits.min - nodata <= spread else None
    if spread:
        lowest, highest = max(limits.min, round(nodata - spread)), min(limits.max, round(nodata + spread))
        return (values >= lowest) & (values <= highest)
    return values == values.dtype.type(int(nodata)) if nodata == int(nodata) else None


def _half_last_digit(nodata: float) -> float:
    """Return half a unit of the last digit of a number in its shortest text; 0 where it is not shortened.

    A shortened number has four to eight digits, and zeros after them before the decimal point.
    """
    mantissa, _, power = np.format_float_scientific(abs(nodata)).partition("e")
    digits = len(mantissa.replace(".", "").rstrip("0"))
    last = int(power) - digits + 1
    return 0.5 * 10.0**last if 4 <= digits <= 8 and last > 0 else 0.0
