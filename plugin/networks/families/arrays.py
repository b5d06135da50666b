"""Named arrays out of a NumPy archive (.npz): no pickles, no bombs, finite real numbers only."""

from __future__ import annotations

import io
import os
import zipfile

import numpy as np

from ...ground.errors import ModelError
from ..files import read_regular, short_path, shown, shown_text

MOST_BYTES = 256 << 20
_MOST_ARRAYS = 2_000


def read_arrays(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """Return the arrays of an archive, float32, by name.

    Raises
    ------
    ModelError
        If it is none, too large when unpacked, or an array holds anything but finite real numbers.
    """
    named = short_path(path)
    try:
        content = read_regular(path, MOST_BYTES)
    except FileNotFoundError:
        raise ModelError(f"There is no file {named}. Check INPUT.") from None
    try:
        entries = zipfile.ZipFile(io.BytesIO(content)).infolist()
        if len(entries) > _MOST_ARRAYS or sum(entry.file_size for entry in entries) > MOST_BYTES:
            raise ModelError(
                f"{named} unpacks to more than {_MOST_ARRAYS} arrays or {MOST_BYTES >> 20} MiB, more than a network of "
                "these families has."
            )
        with np.load(io.BytesIO(content), allow_pickle=False) as archive:
            arrays = {name: np.asarray(archive[name]) for name in archive.files}
    except (
        ValueError,
        OSError,
        KeyError,
        EOFError,
        MemoryError,
        zipfile.BadZipFile,
        NotImplementedError,
    ) as error:
        raise ModelError(
            f"{named} cannot be read as a NumPy archive without pickles: {shown_text(error, 120)}. Save it with "
            "np.savez."
        ) from None
    for name, values in arrays.items():
        if values.dtype.kind != "f" or not np.isfinite(values).all():
            raise ModelError(f"The array {shown(name)} in {named} does not hold finite real numbers alone.")
    return {name: values.astype(np.float32) for name, values in arrays.items()}
