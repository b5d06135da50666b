"""Which dimension of a variable is which, by names and attributes, and the coordinates along it.

CF knows axes by the attributes of coordinate variables: ``axis``, ``standard_name``, units of longitude,
latitude and time, ``positive`` for the vertical. Names of variables and dimensions come after them, and
sizes never: a square grid would be transposed in silence.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ....ground.errors import SceneError
from .container import Container, Variable, as_text

X, Y, TIME, HEIGHT = "x", "y", "time", "height"
_STANDARD = {
    "projection_x_coordinate": X,
    "projection_y_coordinate": Y,
    "grid_longitude": X,
    "grid_latitude": Y,
    "longitude": X,
    "latitude": Y,
    "time": TIME,
    "forecast_reference_time": TIME,
}
_EAST = re.compile(r"degrees?[_ ]?e(ast)?", re.I)
_NORTH = re.compile(r"degrees?[_ ]?n(orth)?", re.I)
# What libraries call dimensions without a name: the same one for all of one length, or for all arrays.
_NAMELESS = re.compile(r"phony_dim_\d+( \(\d+\))?|dim\d+( \(\d+\))?")
_WORDS = {
    X: "x xc nx xgrid xdim lon lons longitude easting eastings col cols column columns",
    Y: "y yc ny ygrid ydim lat lats latitude northing northings row rows line lines",
    TIME: "time times t date day nt tdim",
    HEIGHT: "z height depth level lev altitude",
}  # fmt: skip


@dataclass(frozen=True)
class Axis:
    """A dimension of a grid with its coordinates.

    Parameters
    ----------
    dim : str
        The dimension.
    name : str
        The coordinate variable.
    values : numpy.ndarray
        (cell,) float64, as the file's unit has them.
    unit : str
        As the file writes it.
    slack : float
        By how much packing may have moved a value.
    """

    dim: str
    name: str
    values: np.ndarray
    unit: str
    slack: float = 0.0


def role_of(variable: Variable) -> str:
    """Return which axis a coordinate variable is: one of ``x``, ``y``, ``time``, ``height``, or nothing."""
    attributes = variable.attributes
    letter = as_text(attributes.get("axis")).lower()
    if letter in ("x", "y", "t", "z"):
        return {"t": TIME, "z": HEIGHT}.get(letter, letter)
    standard = as_text(attributes.get("standard_name")).lower()
    if standard:
        return _STANDARD.get(standard, HEIGHT if "positive" in attributes else "")
    if "positive" in attributes:
        return HEIGHT
    if re.search(r"\bsince\b", variable.unit):
        return TIME
    if _EAST.fullmatch(variable.unit.strip()):
        return X
    if _NORTH.fullmatch(variable.unit.strip()):
        return Y
    return role_of_name(variable.name)


def role_of_name(name: str) -> str:
    """Return which axis a name means: ``x``, ``xc``, ``lon``, ``XDim``, ``projection_x_coordinate``."""
    parts = re.sub(r"[^a-z]+", " ", name.lower()).split()
    roles = {role for part in parts for role, words in _WORDS.items() if part in words.split()}
    return roles.pop() if len(roles) == 1 else ""


class Dimensions:
    """The dimensions of a file and the coordinate variables along them.

    Parameters
    ----------
    container : Container
        The file.
    """

    def __init__(self, container: Container) -> None:
        self._container = container
        lines = [container.variable(name) for name in container.names if len(container.shape(name)) == 1]
        self._lines = [variable for variable in lines if not variable.is_text]

    def coordinate(self, dim: str) -> Variable | None:
        """Return the coordinate variable of a dimension: of its name, else another one along it with a role."""
        if _NAMELESS.fullmatch(dim):
            return None
        along = [variable for variable in self._lines if variable.dims == (dim,)]
        own = [variable for variable in along if variable.name == dim]
        if own:
            return own[0]
        known = [variable for variable in along if role_of(variable) in (X, Y, TIME)]
        return known[0] if known else None

    def role(self, dim: str) -> str:
        """Return which axis a dimension is; nothing where neither attributes nor names say."""
        variable = self.coordinate(dim)
        return (role_of(variable) if variable is not None else "") or role_of_name(dim)

    def horizontal(self, variable: Variable) -> tuple[str, str] | None:
        """Return the dimensions of a variable along y and x; None where it is no map.

        Where they cannot be distinguished, the last two of more than one cell count as y and x: CF recommends
        this order.
        """
        roles = {dim: self.role(dim) for dim in variable.dims}
        maps = [dim for dim, size in zip(variable.dims, variable.shape) if size > 1]
        named = {role: [d for d in variable.dims if roles[d] == role] for role in (X, Y)}
        x, y = (named[role][0] if len(named[role]) == 1 else None for role in (X, Y))
        others = [dim for dim in maps if dim not in (x, y) and roles[dim] not in (TIME, HEIGHT)]
        if x is not None and y is not None:
            return y, x
        if x is None and y is None:
            return (others[-2], others[-1]) if len(others) >= 2 and len(set(others[-2:])) == 2 else None
        if len(others) != 1:
            return None
        return (others[0], x) if x is not None else (y, others[0])  # type: ignore[return-value]

    def axes(self, dims: tuple[str, str], shape: Sequence[int]) -> tuple[Axis, Axis] | None:
        """Return the axes along y and x; None where they have no coordinates.

        A file whose dimensions have no names (plain HDF5) may have axes all the same: they are taken in the
        order y, x where their lengths are those of the dimensions, and this is said.
        """
        coordinates = [self.coordinate(dim) for dim in dims]
        if all(variable is not None for variable in coordinates):
            y, x = (self._axis(dim, v) for dim, v in zip(dims, coordinates))  # type: ignore[arg-type]
            return y, x
        if any(variable is not None for variable in coordinates):
            return None
        lone: dict[str, list[Variable]] = {Y: [], X: []}
        for variable in self._lines:
            role = role_of(variable)
            if role in lone:
                lone[role].append(variable)
        if len(lone[Y]) != 1 or len(lone[X]) != 1:
            return None
        y_line, x_line = lone[Y][0], lone[X][0]
        if (y_line.shape[0], x_line.shape[0]) != tuple(shape):
            raise SceneError(
                f"{self._container.path} has axes of {y_line.shape[0]} (y) and {x_line.shape[0]} (x) cells, its maps "
                f"{shape[0]} x {shape[1]}: which of their dimensions is which is not said. Get the file with named "
                "dimensions."
            )
        self._container.warn(
            f"{self._container.path} does not name the dimensions of its maps: the first is taken for "
            f"'{y_line.name}', the second for '{x_line.name}'."
        )
        return self._axis(dims[0], y_line), self._axis(dims[1], x_line)

    def _axis(self, dim: str, variable: Variable) -> Axis:
        packing = variable.packing()
        slack = abs(packing.scale) if packing.scale is not None else 0.0
        values = variable.whole().astype(np.float64)
        if variable.attributes and np.dtype(packing.meant) == np.float32:
            finite = np.abs(values[np.isfinite(values)])
            slack = max(slack, 4.0 * float(np.finfo(np.float32).eps) * float(finite.max(initial=0.0)))
        return Axis(dim, variable.name, values, variable.unit.strip(), slack)
