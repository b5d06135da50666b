"""Rows of numbers kept in a temporary file, to be read again as often as needed in little memory."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator

import numpy as np

from ...ground.errors import OutputError

_ROWS = 16384  # read at a time


class RowFile:
    """A temporary file of rows of one type; it vanishes when closed. A context manager.

    Parameters
    ----------
    dtype : numpy.dtype
        Structured type of a row.
    """

    def __init__(self, dtype: np.dtype) -> None:
        self.dtype = np.dtype(dtype)
        self._file = tempfile.TemporaryFile(prefix="floelens-")  # noqa: SIM115  (closed by close)

    def __enter__(self) -> RowFile:
        """Return itself."""
        return self

    def __exit__(self, *_error: object) -> None:
        """Remove the file."""
        self.close()

    def append(self, rows: np.ndarray) -> None:
        """Add rows at the end.

        Raises
        ------
        OutputError
            If the disk is full.
        """
        try:
            self._file.seek(0, 2)
            self._file.write(np.ascontiguousarray(rows, dtype=self.dtype).tobytes())
            self._file.flush()
        except OSError as error:
            raise OutputError(
                f"The sampled pixels cannot be kept in {tempfile.gettempdir()} ({error.strerror}). Free some space, "
                "or set a larger step in SAMPLE."
            ) from error

    def __iter__(self) -> Iterator[np.ndarray]:
        """Yield all rows from the first on, in parts."""
        at = 0
        while True:
            self._file.seek(at)
            part = self._file.read(_ROWS * self.dtype.itemsize)
            if not part:
                break
            at += len(part)
            yield np.frombuffer(part, self.dtype)

    def close(self) -> None:
        """Remove the file."""
        self._file.close()
