"""The splitmix64 hash: random numbers that belong to a key and a place, whatever order they are made in.

Steele, Lea and Flood 2014, doi 10.1145/2714064.2660195.
"""

from __future__ import annotations

import hashlib

import numpy as np

# Odd factors by which the row and the column of a place enter its hash.
ROW = np.uint64(0xD1342543DE82EF95)
COLUMN = np.uint64(0x9E3779B97F4A7C15)

_MIX = ((30, np.uint64(0xBF58476D1CE4E5B9)), (27, np.uint64(0x94D049BB133111EB)))


def key_of(name: str) -> int:
    """Return the 64-bit key of a name (the same on every machine)."""
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "little")


def scrambled(values: np.ndarray) -> np.ndarray:
    """Return the finaliser of the generator for uint64 `values`, arithmetic modulo 2^64."""
    for shift, factor in _MIX:
        values = (values ^ (values >> np.uint64(shift))) * factor
    return values ^ (values >> np.uint64(31))


def place_hashes(key: int, rows: np.ndarray, cols: np.ndarray) -> np.ndarray:
    """Return the hash of a key and of every pair of a row (n,) and a column (m,): (n, m) uint64."""
    origin = np.array([key], np.uint64)  # no scalar, whose overflow numpy would warn of
    by_row = scrambled(origin + rows.astype(np.uint64) * ROW)
    return scrambled(by_row[:, None] + cols.astype(np.uint64)[None, :] * COLUMN)
