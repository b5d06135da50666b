"""A map kept in a temporary file until the scale on which it is written is known."""

from __future__ import annotations

import tempfile

import numpy as np

from ...ground.errors import OutputError


class MapSpool:
    """Rows of a map, from top to bottom; the file vanishes when closed. A context manager and a sink.

    Parameters
    ----------
    cols : int
        Columns of the map.
    """

    def __init__(self, cols: int) -> None:
        self._cols, self._rows = cols, 0
        self._dtype = np.dtype(np.float32)
        self._file = tempfile.TemporaryFile(prefix="floelens-")  # noqa: SIM115  (closed by __exit__)

    def __enter__(self) -> MapSpool:
        """Return itself."""
        return self

    def __exit__(self, *_error: object) -> None:
        """Remove the file."""
        self._file.close()

    def clear(self) -> None:
        """Forget all rows: another map takes their place."""
        self._rows = 0

    def write(self, values: np.ndarray) -> None:
        """Append rows: (1, row, column).

        Raises
        ------
        OutputError
            If the disk is full.
        """
        try:
            self._file.seek(self._rows * self._cols * self._dtype.itemsize)
            self._file.write(np.ascontiguousarray(values[0], self._dtype).tobytes())
            self._file.flush()
        except OSError as error:
            raise OutputError(
                f"The map cannot be kept in {tempfile.gettempdir()} ({error.strerror}). Free some space there, or "
                "choose a smaller EXTENT."
            ) from error
        self._rows += values.shape[1]

    def read(self, first: int, stop: int) -> np.ndarray:
        """Return some of the rows: (row, column), float32."""
        size = self._cols * self._dtype.itemsize
        self._file.seek(first * size)
        return np.frombuffer(self._file.read((stop - first) * size), self._dtype).reshape(-1, self._cols)
