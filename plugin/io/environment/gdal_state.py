"""GDAL's messages, options and memory for one block.

GDAL is shared with QGIS and every plugin in it, so nothing here outlasts the block.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

from osgeo import gdal, ogr, osr

from .proj_state import offline_gdal_proj

# Since GDAL 3.4; before, options of the process answer for those of the thread.
_option = getattr(gdal, "GetThreadLocalConfigOption", gdal.GetConfigOption)
_set_option = getattr(gdal, "SetThreadLocalConfigOption", gdal.SetConfigOption)
_NO_CODE = {"GDAL_VRT_ENABLE_PYTHON": "NO"}
_SHUT = {
    # Nobody serves as a proxy there, and no file of a server may be read.
    "GDAL_HTTP_PROXY": "http://127.0.0.1:9",
    "GDAL_HTTPS_PROXY": "http://127.0.0.1:9",
    "CPL_VSIL_CURL_ALLOWED_FILENAME": "none",
    **_NO_CODE,
}


@contextlib.contextmanager
def quiet_gdal(errors: list[str] | None = None, **options: str) -> Iterator[None]:
    """Keep GDAL's messages to this block and thread; calls do not raise, whatever its exception mode.

    Parameters
    ----------
    errors : list of str, optional
        Takes the text of every error.
    **options
        Configuration for this thread, put back at the end.
    """

    def note(level: int, _number: int, text: str) -> None:
        if level < gdal.CE_Failure:
            return
        # PROJ says aloud what it does not find under a code, and goes on.
        if errors is not None and not text.startswith("PROJ:"):
            errors.append(text)
        # Where somebody has switched GDAL's exceptions on, the call would raise for what is noted here.
        gdal.ErrorReset()

    options = {"CPL_VSIL_ZIP_ALLOWED_EXTENSIONS": "imz", **options}  # zips of ice charts, beside .zip
    before = {key: _option(key) for key in options}
    for key, value in options.items():
        _set_option(key, value)
    with _no_exceptions():
        gdal.PushErrorHandler(note)
        try:
            yield
        finally:
            gdal.PopErrorHandler()
            for key, value in before.items():
                _set_option(key, value)


@contextlib.contextmanager
def _no_exceptions() -> Iterator[None]:
    """Switch the exceptions of GDAL's Python modules off in this thread; QGIS from 3.40 on has them on.

    A handler does not keep newer GDAL from raising, and a dataset that raises while it is closed is freed twice.
    """
    with contextlib.ExitStack() as stack:
        for module in (gdal, ogr, osr):
            if hasattr(module, "ExceptionMgr"):  # GDAL 3.7
                stack.enter_context(module.ExceptionMgr(useExceptions=False))
        yield


@contextlib.contextmanager
def silent_gdal(**options: str) -> Iterator[None]:
    """Keep GDAL quiet for one block, as :func:`quiet_gdal` does; its last error stays readable inside.

    GDAL's messages may quote what is not UTF-8, which no handler in Python can be given: here GDAL's own
    quiet handler lies above that of :func:`quiet_gdal`.
    """
    with quiet_gdal(None, **options):
        gdal.PushErrorHandler("CPLQuietErrorHandler")
        gdal.ErrorReset()
        try:
            yield
        finally:
            gdal.PopErrorHandler()
            gdal.ErrorReset()


@contextlib.contextmanager
def offline_gdal(remote: bool = False) -> Iterator[None]:
    """Shut the network to GDAL for one block and thread, and keep it from running code in virtual rasters.

    Its PROJ fetches no grids meanwhile, in any thread.

    Files are judged before they are opened; this holds where a file beside one, or a driver, has a way out
    of its own.

    Parameters
    ----------
    remote : bool
        Whether a person has named a file on another machine: the network then stays open.
    """
    options = _NO_CODE if remote else _SHUT
    before = {key: _option(key) for key in options}
    for key, value in options.items():
        _set_option(key, value)
    try:
        with offline_gdal_proj():
            yield
    finally:
        for key, value in before.items():
            _set_option(key, value)


@contextlib.contextmanager
def bounded_block_cache(mebibytes: int = 128) -> Iterator[None]:
    """Keep GDAL from holding more than so many MiB of blocks inside; its default is 5 % of the machine.

    The cache belongs to the process, which QGIS shares: where blocks overlap, in one thread or several, it is the
    smallest that any of them asks for, and its size of before is put back with the last of them.
    """
    _CACHE.enter(mebibytes << 20)
    try:
        yield
    finally:
        _CACHE.leave(mebibytes << 20)


class _BlockCache:
    """The bounds that are asked for now, and the size of the cache before the first of them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._bounds: list[int] = []
        self._before = 0

    def enter(self, size: int) -> None:
        with self._lock:
            if not self._bounds:
                self._before = gdal.GetCacheMax()
            self._bounds.append(size)
            self._set()

    def leave(self, size: int) -> None:
        with self._lock:
            self._bounds.remove(size)
            self._set()

    def _set(self) -> None:
        gdal.SetCacheMax(min([self._before, *self._bounds]))


_CACHE = _BlockCache()
