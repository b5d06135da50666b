"""One polarisation: digital numbers to sigma0, row by row of the measurement.

``sigma0 = (DN² − η_range · η_azimuth) / A²`` in float64, because the difference cancels.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import rasterio
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.windows import Window as RasterioWindow

from ....ground.errors import SceneError
from .annotation import Annotation
from .border import fringe
from .calibration import Calibration
from .nersc_noise import Rescaling
from .noise import Noise
from .store import Store

FLOOR = 0.1
"""Share of the noise-equivalent sigma0 below which values in dB are raised to it."""
# Values that are worked on at once: they stay in the processor's cache.
_CHUNK = 1 << 16
_READ_ROWS = 512
COUNTS = ("no_data", "border_noise", "outside_sub_swaths", "negative")
"""What is counted among the pixels of the measurement."""


@dataclass(frozen=True)
class Chunk:
    """Some rows of the measurement, calibrated; the arrays are used again for the next rows.

    Parameters
    ----------
    row : int
        The first one.
    net, noise : numpy.ndarray
        (row, column) float64: sigma0 with the noise subtracted, and the noise-equivalent sigma0.
    invalid : numpy.ndarray
        (row, column) bool; `net` and `noise` hold anything there.
    """

    row: int
    net: np.ndarray
    noise: np.ndarray
    invalid: np.ndarray


class Measurement:
    """The image of one polarisation with its tables.

    Parameters
    ----------
    store : Store
        The product.
    file : str
        Name of the measurement in it.
    annotation : Annotation
        What the product says of it.
    calibration : Calibration
        Its calibration.
    noise : Noise
        Its noise; subtracted unless the processor has done so.
    rescalings : mapping, optional
        What becomes of the noise by the name of the sub-swath, before it is subtracted.

    Raises
    ------
    SceneError
        The measurement is missing, truncated, or not of that size.
    """

    def __init__(
        self,
        store: Store,
        file: str,
        annotation: Annotation,
        calibration: Calibration,
        noise: Noise,
        rescalings: Mapping[str, Rescaling] | None = None,
    ) -> None:
        self.name, self.rows, self.cols = annotation.polarisation, annotation.rows, annotation.cols
        self._calibration, self._noise = calibration, noise
        self._rescalings = rescalings
        self._subtract = not annotation.noise_removed
        self.path = store.path(file)
        self.counts = np.zeros((self.rows, len(COUNTS)), dtype=np.int32)
        self._lock = threading.Lock()
        size = store.size(file)
        if size is None:
            raise SceneError(
                f"{store.source} lacks the measurement {file}. Copy or download the whole product again."
            )
        try:
            # Sidecar files and other formats (a VRT would lead elsewhere) are no part of a product.
            alone = rasterio.Env(GDAL_DISABLE_READDIR_ON_OPEN="EMPTY_DIR", GDAL_PAM_ENABLED="NO")
            with alone, warnings.catch_warnings():
                warnings.simplefilter("ignore", NotGeoreferencedWarning)
                self._dataset = rasterio.open(self.path, driver="GTiff")
        except (RasterioError, OSError, ValueError, TypeError) as error:
            raise self._damaged(f"cannot be opened ({error})") from error
        try:
            self._check(size)
        except BaseException:
            self.close()
            raise

    def _check(self, size: int) -> None:
        dataset = self._dataset
        if dataset.shape != (self.rows, self.cols):
            raise self._damaged(
                f"has {dataset.shape[0]} x {dataset.shape[1]} pixels, its annotation says {self.rows} x {self.cols}"
            )
        if dataset.count != 1 or dataset.dtypes[0] != "uint16":
            raise self._damaged(f"holds {dataset.count} bands of {dataset.dtypes[0]}, not one of uint16")
        height, width = dataset.block_shapes[0]
        if height * width > 1 << 28:
            raise self._damaged(f"is kept in blocks of {height} x {width} pixels")
        self.block_rows = int(height)
        # The last blocks of a copy that broke off are not in the file.
        last = -(-self.rows // height) - 1
        for i in range(-(-self.cols // width)):
            place = [
                dataset.get_tag_item(f"BLOCK_{what}_{i}_{last}", dm="TIFF", bidx=1)
                for what in ("OFFSET", "SIZE")
            ]
            if all(place) and sum(int(part) for part in place) > size:
                raise self._damaged("is truncated")

    def _damaged(self, what: str) -> SceneError:
        return SceneError(f"The measurement {self.path} {what}. Copy or download the product again.")

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._dataset.close()

    def chunks(self, first: int, stop: int) -> Iterator[Chunk]:
        """Yield the rows from `first` to `stop`, a few at a time and of full width."""
        with self._lock:
            height = max(1, _CHUNK // self.cols)
            work = np.empty((3, height, self.cols))
            for start in range(first, stop, _READ_ROWS):
                numbers = self._read(start, min(stop, start + _READ_ROWS))
                row, end = start, start + len(numbers)
                while row < end:
                    limit = min(
                        end, row + height, self._calibration.rows(row).stop, self._noise.rows(row).stop
                    )
                    yield self._chunk(row, numbers[row - start : limit - start], work[:, : limit - row])
                    row = limit

    def _read(self, first: int, stop: int) -> np.ndarray:
        if self._dataset.closed:
            raise SceneError(f"{self.path} is closed already.")
        try:
            return self._dataset.read(1, window=RasterioWindow(0, first, self.cols, stop - first))
        except (RasterioError, OSError, ValueError) as error:
            raise self._damaged(f"cannot be read at rows {first} to {stop - 1} ({error})") from error

    def _chunk(self, row: int, numbers: np.ndarray, work: np.ndarray) -> Chunk:
        power, noise, gain = work
        np.multiply(numbers, numbers, out=power, dtype=np.float64)
        table = self._noise.rows(row)
        table.evaluate(row, noise)
        self._noise.apply_azimuth(row, noise)
        counts = self.counts[row : row + len(numbers)]
        invalid = numbers == 0
        counts[:, 0] = count_rows(invalid)
        # Where the noise is gone, dark water may be darker than any share of it.
        counts[:, 1] = _mask_fringe(power, noise if self._subtract else np.zeros_like(noise), invalid)
        outside = np.isinf(table.base)
        if outside.any():
            counts[:, 2] = count_rows(np.greater(outside, invalid))
            invalid |= outside
            noise[:, outside] = 0.0
        self._calibration.rows(row).evaluate(row, gain)
        np.multiply(gain, gain, out=gain)
        if self._rescalings:
            self._noise.rescale(row, noise, gain, self._rescalings)
        if self._subtract:
            np.subtract(power, noise, out=power)
        # Of booleans, "greater" says: negative and not invalid.
        counts[:, 3] = count_rows(np.greater(power < 0, invalid))
        np.divide(power, gain, out=power)
        np.divide(noise, gain, out=noise)
        return Chunk(row, power, noise, invalid)


def count_rows(mask: np.ndarray) -> list[int]:
    """Return how many values are True in each row; quicker than the same along an axis."""
    return [np.count_nonzero(row) for row in mask]


def _mask_fringe(power: np.ndarray, noise: np.ndarray, invalid: np.ndarray) -> np.ndarray:
    """Add both fringes to `invalid`; return how many pixels of each row were not invalid before."""
    added = np.zeros(len(power), dtype=np.int64)
    left = fringe(power, noise)
    right = fringe(power[:, ::-1], noise[:, ::-1])
    for i in np.flatnonzero((left > 0) | (right > 0)):
        for part in (invalid[i, : left[i]], invalid[i, len(invalid[i]) - right[i] :]):
            added[i] += part.size - np.count_nonzero(part)
            part[...] = True
    return added
