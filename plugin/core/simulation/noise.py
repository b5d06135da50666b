"""Smooth random fields that can be evaluated anywhere, a piece at a time.

A field is a sum of octaves. An octave is a lattice of random values, each a hash of the field's
key and the node's place, interpolated by cubic B-splines. Nothing is stored and nothing has a
border, so a piece of a field does not depend on which other pieces were made::

    waves = SmoothNoise("7/waves", spacings=(8000.0, 4000.0), amplitudes=(1.0, 0.5))
    waves.evaluate(Axis(0.0, 80.0, 200), Axis(0.0, 80.0, 200))   # (200, 200), variance 1
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from scipy import sparse

from ...ground.splitmix import key_of, place_hashes

# Mean over all positions of the sum of squared cubic B-spline weights, per axis: the factor by
# which interpolation lowers the variance of independent node values.
_SPLINE_VARIANCE = 151.0 / 315.0


@dataclass(frozen=True)
class Axis:
    """Evenly spaced positions: ``start + step * i`` for i = 0 .. count - 1, in metres."""

    start: float
    step: float
    count: int

    @property
    def positions(self) -> np.ndarray:
        """The positions, (count,) float64."""
        return self.start + self.step * np.arange(self.count)


def generator(name: str) -> np.random.Generator:
    """Return the random generator of a named draw."""
    return np.random.Generator(np.random.PCG64(key_of(name)))


def lattice_values(key: int, rows: np.ndarray, cols: np.ndarray) -> np.ndarray:
    """Return the random values of a lattice at integer nodes.

    Parameters
    ----------
    key : int
        The lattice's key.
    rows, cols : numpy.ndarray
        (n,) and (m,) int64 node numbers, of either sign.

    Returns
    -------
    numpy.ndarray
        (n, m) float32, mean 0 and variance 1: the sum of four uniform numbers, which is close to
        normal and never beyond 3.5.
    """
    nodes = place_hashes(key, rows, cols)
    low = np.uint64(0xFFFF)
    total = np.zeros(nodes.shape, dtype=np.float32)
    for shift in (0, 16, 32, 48):
        total += ((nodes >> np.uint64(shift)) & low).astype(np.float32)
    # Four uniform numbers on 0 .. 65535 have mean 131070 and variance 4 * 65536^2 / 12.
    return (total - np.float32(131070.0)) * np.float32(np.sqrt(3.0) / 65536.0)


@lru_cache(maxsize=512)
def _interpolation(axis: Axis, spacing: float) -> tuple[np.ndarray, sparse.csr_matrix]:
    """Return the nodes an axis needs and the matrix (positions x nodes) of cubic B-spline weights."""
    places = axis.positions / spacing
    first = np.floor(places).astype(np.int64)
    t = places - first
    weights = (
        np.stack([(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3], axis=1)
        / 6.0
    )
    nodes = np.arange(first[0] - 1, first[-1] + 3)
    indices = (first - nodes[0])[:, None] + np.arange(-1, 3)[None, :]
    pointers = np.arange(0, 4 * axis.count + 1, 4)
    matrix = sparse.csr_matrix(
        (weights.ravel().astype(np.float32), indices.ravel(), pointers), shape=(axis.count, nodes.size)
    )
    return nodes, matrix


@dataclass(frozen=True)
class SmoothNoise:
    """A stationary random field of mean 0 and variance 1.

    Parameters
    ----------
    name : str
        What the field is called; another name, another field.
    spacings : tuple of float
        Distance of the lattice nodes of each octave, in metres.
    amplitudes : tuple of float
        Relative standard deviation of each octave.
    """

    name: str
    spacings: tuple[float, ...]
    amplitudes: tuple[float, ...]
    _keys: tuple[int, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if len(self.spacings) != len(self.amplitudes) or not self.spacings:
            raise ValueError(f"field {self.name}: one amplitude for each of its {len(self.spacings)} octaves")
        keys = tuple(key_of(f"{self.name}/{octave}") for octave in range(len(self.spacings)))
        object.__setattr__(self, "_keys", keys)

    def coarser_than(self, spacing: float) -> SmoothNoise:
        """Return the field without the octaves finer than `spacing` metres (the coarsest one stays).

        A pixel larger than a lattice would see that octave as white noise, at the price of one
        node for each fraction of a pixel.
        """
        kept = [i for i, value in enumerate(self.spacings) if value >= spacing] or [
            int(np.argmax(self.spacings))
        ]
        return SmoothNoise(
            self.name, tuple(self.spacings[i] for i in kept), tuple(self.amplitudes[i] for i in kept)
        )

    def evaluate(self, rows: Axis, cols: Axis) -> np.ndarray:
        """Return the field on a grid of positions: (rows.count, cols.count) float32."""
        scale = 1.0 / (_SPLINE_VARIANCE * np.sqrt(np.sum(np.square(self.amplitudes))))
        total = np.zeros((rows.count, cols.count), dtype=np.float32)
        for key, spacing, amplitude in zip(self._keys, self.spacings, self.amplitudes):
            row_nodes, row_matrix = _interpolation(rows, spacing)
            col_nodes, col_matrix = _interpolation(cols, spacing)
            values = lattice_values(key, row_nodes, col_nodes) * np.float32(amplitude * scale)
            along_rows = np.ascontiguousarray((col_matrix @ np.ascontiguousarray(values.T)).T)
            total += row_matrix @ along_rows
        return total


def octaves(largest: float, smallest: float, persistence: float) -> dict[str, tuple[float, ...]]:
    """Return the spacings and amplitudes of octaves that halve from `largest` to `smallest` metres.

    Each octave is `persistence` times as strong as the one above it. For use as keyword arguments of
    :class:`SmoothNoise`.
    """
    count = max(1, int(np.floor(np.log2(largest / smallest) + 1e-9)) + 1)
    return {
        "spacings": tuple(largest / 2**octave for octave in range(count)),
        "amplitudes": tuple(persistence**octave for octave in range(count)),
    }
