"""PROJ without the network for one block: no grid of a change of datum is fetched, whatever the user's settings.

With ``PROJ_NETWORK=ON`` PROJ fetches grids from a server while coordinates are transformed; where that fails, it
returns infinite coordinates. Both settings, pyproj's and that of GDAL's PROJ, belong to the process, which QGIS
shares: they are put back when the last of the blocks that run at once ends.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator

from osgeo import osr


class _Switch:
    """A setting of the process that is off while any block holds it."""

    def __init__(self, enabled: Callable[[], bool], enable: Callable[[bool], None]) -> None:
        self._enabled, self._enable = enabled, enable
        self._lock = threading.Lock()
        self._holders = 0
        self._before = False

    @contextlib.contextmanager
    def off(self) -> Iterator[None]:
        """Keep the setting off for one block."""
        with self._lock:
            if self._holders == 0:
                self._before = bool(self._enabled())
                if self._before:
                    self._enable(False)
            self._holders += 1
        try:
            yield
        finally:
            with self._lock:
                self._holders -= 1
                if self._holders == 0 and self._before:
                    self._enable(True)


def _pyproj_enabled() -> bool:
    from .quiet_pyproj import pyproj

    return pyproj.network.is_network_enabled()


def _enable_pyproj(enable: bool) -> None:
    from .quiet_pyproj import pyproj

    pyproj.network.set_network_enabled(enable)


# Before GDAL 3.4 there is no such switch, and its PROJ asks no server by itself.
_GDAL = _Switch(
    getattr(osr, "GetPROJEnableNetwork", lambda: False),
    getattr(osr, "SetPROJEnableNetwork", lambda _enable: None),
)
_PYPROJ = _Switch(_pyproj_enabled, _enable_pyproj)


def offline_gdal_proj() -> contextlib.AbstractContextManager[None]:
    """Return a block in which GDAL's PROJ fetches nothing."""
    return _GDAL.off()


def offline_pyproj() -> contextlib.AbstractContextManager[None]:
    """Return a block in which pyproj fetches nothing; only for threads in which pyproj is used at all."""
    return _PYPROJ.off()
