"""Which kind of scene a NetCDF file is, by the names of its variables, and what it says of itself."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import datetime, timezone
from pathlib import PurePosixPath

ASIP = "ASIP v2 NetCDF"
RAW = "AI4Arctic raw NetCDF"
READY = "AI4Arctic ready-to-train NetCDF"

# Where each band of backscatter is found, the first that is there; NERSC's correction of noise is
# the better one in HV.
NERSC = {"hh": "nersc_sar_primary", "hv": "nersc_sar_secondary"}
ESA = {"hh": "sar_primary", "hv": "sar_secondary"}
RATIO = {RAW: 50, READY: 25}
READY_CHARTS = {"SIC": {n: 10 * n for n in range(11)}, "SOD": range(6), "FLOE": range(7)}
_INSTANT = re.compile(r"(?<!\d)(\d{8}T\d{6})(?!\d)")


def kind_of(names: Sequence[str]) -> str:
    """Return which kind of scene holds variables of these names; empty where it is none."""
    known = set(names)
    if not known & {*NERSC.values(), *ESA.values()}:
        return ""
    if known & {"sar_grid2d_latitude", "sar_incidenceangle"}:
        return READY
    if known & {"sar_incidenceangles", "sar_primary"} or any(
        re.fullmatch(r"btemp_\d+\.\d[hv]", name) for name in known
    ):
        return ASIP
    return RAW


def instant_in(texts: Iterable[str]) -> datetime | None:
    """Return the first time (UTC) that stands in one of the texts as ``20180124T194759``."""
    for text in texts:
        for match in _INSTANT.finditer(text):
            try:
                return datetime.strptime(match[1], "%Y%m%dT%H%M%S").replace(tzinfo=timezone.utc)
            except ValueError:
                continue
    return None


def scene_name(text: str) -> str:
    """Return the name of a scene of a path or an attribute: no folder, no extension, plain characters."""
    stem = re.sub(r"\.(nc4?|zip|SAFE)$", "", PurePosixPath(text.replace("\\", "/")).name)
    return re.sub(r"[^\w.-]+", "_", stem)[:120] or "scene"
