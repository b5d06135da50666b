"""From the values of parameters to the plain values that jobs take.

:class:`Reading` turns each into paths, numbers, and geometry as WKB in its own CRS. It needs no project
and loads nothing into one.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from typing import TypeVar

from qgis.core import (
    QgsCoordinateReferenceSystem,
    QgsGeometry,
    QgsMapLayer,
    QgsProcessingAlgorithm,
    QgsProcessingContext,
    QgsProcessingFeatureSource,
    QgsProperty,
    QgsRasterLayer,
    QgsVectorLayer,
)

from ...ground.errors import ParameterError, SceneError
from .geometries import check_order, flat_wkb, grid_crs, unchecked_request, wkt
from .job_threads import JOB_THREADS
from .loaded_layers import release
from .parameter_values import called, given, is_static, plain, source_problem

Value = TypeVar("Value")
_PLACE = re.compile(r"\s*[-+]?[\d.]+\s*,\s*[-+]?[\d.]")
# What a yes or no may be called where it is text.
FLAG_WORDS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


def needed(name: str, value: Value | None) -> Value:
    """Return the value of a parameter.

    Raises
    ------
    ParameterError
        There is none.
    """
    if value is None:
        raise ParameterError(f"{name} is missing. Give it.")
    return value


class Reading:
    """Reads the parameters of one run.

    Parameters
    ----------
    algorithm : QgsProcessingAlgorithm
        Whose parameters they are.
    parameters : dict
        Values by name.
    context : QgsProcessingContext
        Where layers and expressions are looked up.
    """

    def __init__(
        self, algorithm: QgsProcessingAlgorithm, parameters: dict, context: QgsProcessingContext
    ) -> None:
        self._algorithm = algorithm
        self._parameters = parameters
        self._context = context
        self.warnings: list[str] = []  # about what was read, for the log

    def given(self, name: str) -> bool:
        """Return whether the parameter was asked for."""
        return given(self._parameters.get(name))

    def text(self, name: str) -> str:
        """Return a line of text without blanks around it."""
        return (self._algorithm.parameterAsString(self._parameters, name, self._context) or "").strip()

    def choice(self, name: str) -> str:
        """Return the word of an enum."""
        return self._algorithm.parameterAsEnumString(self._parameters, name, self._context)

    def choices(self, name: str) -> tuple[str, ...]:
        """Return the words of an enum of which several may be chosen."""
        return tuple(self._algorithm.parameterAsEnumStrings(self._parameters, name, self._context))

    def flag(self, name: str) -> bool:
        """Return a yes or no; on the command line true, yes, 1 or false, no, 0.

        Raises
        ------
        ParameterError
            If it is another word, which QGIS would take for a yes.
        """
        value = plain(self._parameters.get(name))
        if isinstance(value, str) and value.strip():
            word = value.strip().lower()
            if word not in FLAG_WORDS:
                raise ParameterError(f"{name} is '{value}'; it must be one of: {', '.join(FLAG_WORDS)}.")
            return FLAG_WORDS[word]
        return bool(self._algorithm.parameterAsBool(self._parameters, name, self._context))

    def whole(self, name: str) -> int:
        """Return a whole number."""
        return int(self._algorithm.parameterAsInt(self._parameters, name, self._context))

    def number(self, name: str) -> float:
        """Return a real number."""
        return float(self._algorithm.parameterAsDouble(self._parameters, name, self._context))

    def raster(self, name: str) -> str | None:
        """Return what GDAL opens for a raster; None where it was not asked for."""
        if not self.given(name):
            return None
        return self._raster_source(name, self._parameters[name])

    def needed_raster(self, name: str) -> str:
        """Return what GDAL opens for a raster without which there is nothing to do."""
        return needed(name, self.raster(name))

    def rasters(self, name: str) -> tuple[str, ...]:
        """Return what GDAL opens for each of several rasters."""
        if not self.given(name):
            return ()
        value = plain(self._parameters[name])
        if isinstance(value, (list, tuple)) and all(isinstance(item, str) for item in value):
            return tuple(self._raster_source(name, item) for item in value if item)
        layers = self._algorithm.parameterAsLayerList(self._parameters, name, self._context)
        return tuple(self._gdal_source(name, layer) for layer in layers)

    def path(self, name: str) -> str:
        """Return the path of a file that exists, or one under GDAL's virtual file systems."""
        path = self.text(name)
        if not path.startswith("/vsi") and not os.path.exists(path):
            raise ParameterError(f"{name}: there is no file {path}. Check the path.")
        return path

    def files(self, name: str) -> tuple[str, ...]:
        """Return the paths of several files, each of which exists."""
        if not self.given(name):
            return ()
        paths = tuple(
            path
            for path in self._algorithm.parameterAsFileList(self._parameters, name, self._context)
            if path
        )
        for path in paths:
            if not os.path.isfile(path):
                raise ParameterError(f"{name}: there is no file {path}. Check the path.")
        return paths

    def raster_or_polygons(self, name: str):
        """Return a raster's source, `Polygons`, or None."""
        if not self.given(name):
            return None
        layer = self._algorithm.parameterAsLayer(self._parameters, name, self._context)
        if isinstance(layer, QgsRasterLayer):
            return self._gdal_source(name, layer)
        if isinstance(layer, QgsVectorLayer) and layer.isValid():
            # Its features come by a feature source: a layer of the project belongs to another thread.
            return self.polygons(name)
        raise SceneError(f"{name}: {self._parameters[name]} is neither a raster nor a polygon layer.")

    def polygons(self, name: str, name_field: str | None = None, numbered: bool = True):
        """Return the polygons of a layer in its own CRS, named by a field, or None.

        Parameters
        ----------
        name : str
            The parameter of the layer.
        name_field : str, optional
            The parameter that names the field.
        numbered : bool
            Whether polygons without a value are named by their number; else their name is empty.
        """
        if not self.given(name):
            return None
        source = self._algorithm.parameterAsSource(self._parameters, name, self._context)
        if source is None:
            raise SceneError(f"{name}: {self._parameters[name]} is no polygon layer that QGIS can read.")
        names_from = self.text(name_field) if name_field and self.given(name_field) else ""
        if names_from and source.fields().lookupField(names_from) < 0:
            fields = ", ".join(field.name() for field in source.fields())
            raise ParameterError(f"{name_field}: {name} has no field '{names_from}' (fields: {fields}).")
        # QGIS's own check of geometries throws through Python, which ends the process.
        unchecked = QgsProcessingFeatureSource.Flag.FlagSkipGeometryValidityChecks
        features = source.getFeatures(unchecked_request(), unchecked)
        layer = self._polygons(name, features, source.sourceCrs(), names_from, numbered)
        del features, source
        release(self._context, self._algorithm.parameterAsVectorLayer(self._parameters, name, self._context))
        return layer

    def extent(self, name: str, sar: str | None, ordered: bool = True):
        """Return a rectangle as a polygon in its own CRS, in the SAR raster's where it names none.

        `ordered`: whether numbers are refused that are a part of the raster in another order only.
        """
        if not self.given(name):
            return None
        from ...io.geometry.vector import Polygons

        rectangle = self._algorithm.parameterAsExtent(self._parameters, name, self._context)
        crs = self._algorithm.parameterAsExtentCrs(self._parameters, name, self._context)
        if ordered:
            check_order(name, plain(self._parameters[name]), crs, sar)
        if rectangle.isNull() or rectangle.isEmpty() or not rectangle.isFinite():
            raise ParameterError(
                f"{name}: {plain(self._parameters[name])} is no rectangle: "
                "write xmin,xmax,ymin,ymax [EPSG:code], the smaller number first."
            )
        wkb = bytes(QgsGeometry.fromRect(rectangle).asWkb())
        return Polygons(wkb=(wkb,), crs=self._crs_text(name, crs, sar))

    def lonlat(self, name: str, sar: str | None = None) -> tuple[float, float] | None:
        """Return a point as longitude and latitude.

        A point that names no CRS is in the SAR raster's; without `sar` it is taken as longitude,
        latitude.
        """
        value, default = self._parameters.get(name), self._algorithm.parameterDefinition(name).defaultValue()
        if not given(value) and not given(default):
            return None
        shown = plain(value) or default
        if isinstance(value, QgsProperty) and not is_static(value):
            shown = self._algorithm.parameterAsString(self._parameters, name, self._context)
            if not _PLACE.match(shown):  # QGIS would read it as 0,0
                raise ParameterError(
                    f"{name}: its expression gives '{shown}', no place. "
                    "It has to give text, as in '-39,69.5 [EPSG:4326]'."
                )
        position = self._algorithm.parameterAsPoint(self._parameters, name, self._context)
        crs = self._algorithm.parameterAsPointCrs(self._parameters, name, self._context)
        source = wkt(crs) if crs.isValid() else grid_crs(sar) if sar else "EPSG:4326"

        def transformed(_caller: object) -> tuple[float, float]:
            from ...io.environment.crs import LONLAT, transform

            lon, lat = transform(source, LONLAT, position.x(), position.y())
            return float(lon), float(lat)

        # As polygons are: QGIS's own transformation may fetch grids from a server.
        lon, lat = JOB_THREADS.run(transformed)
        if not (abs(lon) <= 360 and abs(lat) <= 90):
            system = crs.authid() or "its CRS"
            raise ParameterError(
                f"{name}: {shown} is no place on the Earth in {system}: "
                "write x,y [EPSG:code], as in -39,69.5 [EPSG:4326]."
            )
        return lon, lat

    def _polygons(
        self,
        name: str,
        features: Iterable,
        crs: QgsCoordinateReferenceSystem,
        names_from: str,
        numbered: bool,
    ):
        from ...io.geometry.validity import usable_polygons
        from ...io.geometry.vector import Polygons

        shapes, identities, names = [], [], []
        for number, feature in enumerate(features, start=1):
            geometry = feature.geometry()
            if geometry.isNull() or geometry.isEmpty():
                continue
            identity = f"feature {feature.id()}"
            shapes.append(flat_wkb(geometry, name, identity))
            identities.append(identity)
            value = feature[names_from] if names_from else None
            names.append(str(value) if given(value) else str(number) if numbered else "")
        usable, warnings = usable_polygons(name, shapes, identities)
        self.warnings += warnings
        kept = [(wkb, called) for wkb, called in zip(usable, names) if wkb is not None]
        if not kept:
            raise SceneError(f"{name}: the layer holds no polygon. Check its file, filter and selection.")
        if not crs.isValid():
            raise SceneError(
                f"{name}: the layer has no coordinate reference system. Assign one in its properties."
            )
        return Polygons(
            wkb=tuple(wkb for wkb, _ in kept), crs=wkt(crs), names=tuple(called for _, called in kept)
        )

    def _raster_source(self, name: str, value: object) -> str:
        problem = source_problem(name, value)
        if problem:
            raise SceneError(problem)
        held = plain(value)
        layer = held if isinstance(held, QgsMapLayer) else called(held, self._context)
        if layer is None and isinstance(held, str) and os.path.isfile(held.split("|")[0]):
            return held.split("|")[0]
        if layer is None:
            layer = self._algorithm.parameterAsRasterLayer({name: value}, name, self._context)
        return self._gdal_source(name, layer, held)

    @staticmethod
    def _gdal_source(name: str, layer: QgsMapLayer | None, value: object = "") -> str:
        if layer is None:
            raise SceneError(f"{name}: {value} is no raster that QGIS can read. Check the path.")
        if not isinstance(layer, QgsRasterLayer) or layer.providerType() != "gdal":
            raise SceneError(
                f"{name}: layer '{layer.name()}' is no raster file that GDAL reads. Save it as GeoTIFF first."
            )
        source = layer.source().split("|")[0]
        problem = source_problem(name, source)
        if problem:
            raise SceneError(problem)
        return source

    @staticmethod
    def _crs_text(name: str, crs: QgsCoordinateReferenceSystem, sar: str | None) -> str:
        if crs.isValid():
            return wkt(crs)
        if sar is None:
            raise ParameterError(f"{name} names no coordinate reference system: add one, as in [EPSG:4326].")
        return grid_crs(sar)
