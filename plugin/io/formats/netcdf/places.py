"""Where the pixels and cells of a NetCDF scene lie, by its variables and axes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ....ground.errors import SceneError
from ...geometry.grid import Grid
from ..cf.container import Container
from . import geometry
from .schema import ASIP, RATIO, READY


@dataclass(frozen=True)
class Places:
    """Reads tie points and the places of coarse cells.

    Parameters
    ----------
    container : Container
        The file.
    kind : str
        Which kind of scene it is (see :mod:`.schema`).
    shape : tuple of int
        Rows and columns of the image.
    found : dict
        Takes what is to be reported.
    warnings : list of str
        Takes sentences for a person.
    """

    container: Container
    kind: str
    shape: tuple[int, int]
    found: dict[str, object]
    warnings: list[str]

    def tie_points(self) -> geometry.TiePoints:
        """Return the tie points, and note their convention.

        Raises
        ------
        SceneError
            They are missing or contradict each other.
        """
        if self.kind == READY:
            lat, lon = (self.tie_variable(f"sar_grid2d_{name}") for name in ("latitude", "longitude"))
            rows, cols = self.shape
            if lat.ndim != 2 or lat.shape != lon.shape or min(lat.shape) < 2:
                raise SceneError(
                    f"The tie points of {self.container.path} are no lattice (latitudes {lat.shape}, longitudes "
                    f"{lon.shape}). The file is damaged: download it again."
                )
            pixel = self.container.attributes.get("pixel_spacing", 80.0)
            pixel = float(pixel) if isinstance(pixel, (int, float)) and 1 <= pixel <= 10_000 else 80.0
            points, exchanged = geometry.evenly_spread(lon, lat, rows, cols, pixel)
            self.found["tie_point_axes_exchanged"] = exchanged
            self.found["pixel_convention"] = (
                "tie points evenly spread, the outermost ones at the centres of the outermost 40 m pixels "
                "that were averaged"
            )
            if exchanged:
                self.warnings.append(
                    f"The tie points of {self.container.path} fit its size only with their axes exchanged: read so."
                )
            return points
        values = {name: self.tie_variable(f"sar_grid_{name}") for name in ("line", "sample")}
        values.update({name: self.tie_variable(f"sar_grid_{name}") for name in ("latitude", "longitude")})
        if "sar_grid_height" in self.container:
            values["height"] = self.tie_variable("sar_grid_height")
        if len({array.size for array in values.values()}) != 1:
            sizes = ", ".join(f"{name} {array.size}" for name, array in values.items())
            raise SceneError(
                f"The tie points of {self.container.path} are lists of different lengths ({sizes}). The file is "
                "damaged: download it again."
            )
        self.found["pixel_convention"] = geometry.CENTRES
        return geometry.listed(values)

    def tie_variable(self, name: str) -> np.ndarray:
        """Return the values of a tie point variable, float64."""
        if name not in self.container:
            raise SceneError(
                f"{self.container.path} has no tie points: the variable '{name}' is missing, so the scene cannot be "
                "placed on the map. Take a version of the file that has it."
            )
        return self.container.variable(name).whole().astype(np.float64)

    def cells(self, fine: Grid, shape: tuple[int, int]) -> Grid:
        """Return the grid of `shape` coarse cells on the pixels of `fine`.

        Raises
        ------
        SceneError
            They do not fit the pixels.
        """
        if self.kind == ASIP and "line" in self.container and "sample" in self.container:
            line, sample = (self.container.variable(name).whole().ravel() for name in ("line", "sample"))
            if (len(line), len(sample)) != shape:
                raise SceneError(
                    f"In {self.container.path} the radiometer's cells are {shape[0]} x {shape[1]}, but their axes have "
                    f"{len(line)} lines and {len(sample)} samples. The file is damaged: download it again."
                )
            grid = geometry.placed(
                fine, line.astype(np.float64), sample.astype(np.float64), self.container.path
            )
            self._compare(fine, grid, shape)
            return grid
        ratio = RATIO.get(self.kind, 50)
        covered = [abs(size - self.shape[axis] / ratio) for axis, size in enumerate(shape)]
        if max(covered) > 1.5:
            raise SceneError(
                f"In {self.container.path} the coarse fields are {shape[0]} x {shape[1]} cells; of {ratio} x {ratio} "
                f"pixels each they do not cover the image of {self.shape[0]} x {self.shape[1]} pixels. The "
                "file was cut or resampled: take the original one."
            )
        self.found["cell_in_pixels"] = ratio
        return geometry.nested(fine, *shape, ratio)

    def _compare(self, fine: Grid, grid: Grid, shape: tuple[int, int]) -> None:
        """Compare the cells' own latitudes and longitudes with where the tie points put them."""
        if not ("lat" in self.container and "lon" in self.container):
            return
        lat, lon = (self.container.variable(name).whole() for name in ("lat", "lon"))
        if lat.shape != shape or lon.shape != shape:
            self.warnings.append(
                f"'lat' in {self.container.path} is left out: its size is not that of the radiometer's cells."
            )
            return
        row, col = fine.lonlat_to_pixel(lon, lat)
        at_row, at_col = grid.pixels_in(fine, *(np.mgrid[: shape[0], : shape[1]] + 0.5))
        apart = np.hypot(row - at_row, col - at_col)
        if not np.isfinite(apart).any():
            return
        worst = float(np.nanmax(apart))
        self.found["cells_apart_from_their_lat_lon_pixels"] = round(worst, 3)
        if worst > 5.0:
            self.warnings.append(
                f"The radiometer's cells in {self.container.path} lie up to {worst:.0f} pixels away from their own "
                "latitudes and longitudes. Their axes (line, sample) are believed."
            )
