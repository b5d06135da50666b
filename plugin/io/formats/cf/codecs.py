"""Filters that HDF5 may compress data with, by their registered numbers (The HDF Group)."""

from __future__ import annotations

from collections.abc import Iterable

_BUILT_IN = {1, 2, 3, 5, 6}  # deflate, shuffle, fletcher32, nbit, scaleoffset
_NAMES = {
    4: "SZIP",
    257: "LZO",
    305: "LZO",
    307: "BZIP2",
    32000: "LZF",
    32001: "Blosc",
    32004: "LZ4",
    32008: "bitshuffle",
    32013: "ZFP",
    32015: "Zstandard (zstd)",
    32019: "JPEG",
    32026: "Blosc2",
}


def missing_codec(filters: Iterable[int]) -> str:
    """Return the names of filters that a library may lack; empty where all of them are part of HDF5."""
    others = sorted(set(filters) - _BUILT_IN)
    return " and ".join(dict.fromkeys(_NAMES.get(number, f"HDF5 filter {number}") for number in others))
