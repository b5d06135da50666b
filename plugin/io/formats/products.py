"""Opens whatever an agency ships: recognises the format by the file's content and reads it.

Each format has a reader of its own, which is imported only when a file is to be looked at; the order
settles who is asked first, the cheapest test coming first.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from importlib import import_module

from ...ground.errors import SceneError
from ..files.raster import open_raster
from ..files.sources import HDF5_SIGNATURE, array_files, head
from ..geometry.grid import Grid
from .product import ImportOptions, Product

_PACKED = {
    b"BZh": "bzip2",
    b"\xfd7zXZ": "xz",
    b"7z\xbc\xaf\x27\x1c": "7-Zip",
    b"Rar!": "RAR",
    b"\x28\xb5\x2f\xfd": "Zstandard",
    b"\x1f\x9d": "compress",
}
FORMATS = (
    "ASIP v2 and AI4Arctic NetCDF, Sentinel-1 GRD (manifest.safe or zip), AMSR2 (L1B, L1R, gridded), sea-ice "
    "concentration (CF NetCDF), SIGRID-3 ice charts (shapefile, zip, imz, GeoJSON)"
)


@dataclass(frozen=True)
class Reader:
    """Where a reader lies and how it opens a path.

    Parameters
    ----------
    module : str
        Module beside this one; it has `recognises(path)`.
    open : callable
        Takes the module, a path and the options.
    """

    module: str
    open: Callable[..., Product]

    def load(self):
        """Return the module."""
        return import_module(f".{self.module}", __package__)


def _open_amsr2(module, path: str, options: ImportOptions) -> Product:
    grid, time = scene_of(options)
    return module.open_amsr2((path,), options, grid, time)


READERS = (
    Reader("sentinel1", lambda module, path, options: module.open_sentinel1(path, options)),
    Reader("netcdf", lambda module, path, options: module.open_netcdf(path, options)),
    Reader("amsr2", _open_amsr2),
    Reader("chart", lambda module, path, options: module.open_chart(path, options)),
)


def open_product(path: str, options: ImportOptions) -> Product:
    """Open a file of any known format.

    Parameters
    ----------
    path : str
        A file, a zip, or a path under one of GDAL's virtual file systems.
    options : ImportOptions
        What a person chose.

    Raises
    ------
    SceneError
        The format is not known, or the file is damaged.
    """
    check_container(path)
    for reader in READERS:
        module = reader.load()
        if module.recognises(path):
            return reader.open(module, path, options)
    raise _unknown(path)


def check_container(path: str) -> None:
    """Check a file that is HDF5, or a zip of such files, before any library opens it: damage may end the process.

    Raises
    ------
    SceneError
        It is damaged or truncated, or a zip that is not safe to read.
    """
    from .hdf5.check import check_structure

    for source in array_files(path):
        if head(source).startswith(HDF5_SIGNATURE):
            check_structure(source, path)


def scene_of(options: ImportOptions) -> tuple[Grid | None, datetime | None]:
    """Return grid and time of the scene that a chart or AMSR2 data are laid on; None for none."""
    if not options.scene:
        return None, None
    with open_raster(options.scene) as raster:
        return Grid.from_raster(raster), read_time(raster.tags.get("start_time", ""))


def read_time(text: str) -> datetime | None:
    """Return the time that ``2018-01-24T19:47:59Z`` names; None for anything else."""
    try:
        return datetime.strptime(text[:19], "%Y-%m-%dT%H:%M:%S").replace(tzinfo=timezone.utc)
    except ValueError:
        return None


def _unknown(path: str) -> SceneError:
    from .cf.container import Container, is_container, locate

    if not head(path):
        return SceneError(f"There is no file {path}, or it is empty. Check the path.")
    if is_container(path):
        try:
            with Container(path) as container:
                names = ", ".join(container.names[:20]) or "none"
        except SceneError as error:
            return error
        return SceneError(
            f"{path} is a NetCDF or HDF5 file of no known kind (variables: {names}). Known are: {FORMATS}."
        )
    try:
        locate(path)
    except SceneError as error:
        return error  # a zip of several scenes
    start = head(path, 512)
    if start[257:262] == b"ustar" or (
        start[:2] == b"\x1f\x8b" and path.lower().endswith((".tgz", ".tar.gz"))
    ):
        return SceneError(f"{path} is a tar archive. Unpack it, and choose the file inside.")
    packed = next((name for signature, name in _PACKED.items() if start.startswith(signature)), "")
    if packed:
        return SceneError(f"{path} is packed by {packed}. Unpack it, and choose the file inside.")
    return SceneError(
        f"{path} is in no format that is known here, or damaged. Known are: {FORMATS}. Of a Sentinel-1 product "
        "give its manifest.safe or its zip."
    )
