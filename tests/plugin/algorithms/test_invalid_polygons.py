"""Polygons that a person can choose, run as Processing runs a tool: none may end the process.

Where Processing checks geometries (its default, other than that of `qgis_process`), the check throws
through Python while features are read. A test that fails here may end pytest.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass

import pytest
from floelens.plugin.algorithms.framework import declare
from floelens.plugin.algorithms.framework.base import FloeLensAlgorithm
from qgis.core import (
    QgsCoordinateReferenceSystem,
    QgsFeature,
    QgsFeatureRequest,
    QgsField,
    QgsGeometry,
    QgsProcessingContext,
    QgsProcessingFeedback,
    QgsProcessingOutputNumber,
    QgsProject,
    QgsProperty,
    QgsVectorLayer,
    QgsVectorLayerJoinInfo,
)
from qgis.PyQt.QtCore import QVariant

BOW = "Polygon ((0 0, 9 9, 9 0, 0 9, 0 0))"
GOOD = "Polygon ((20 0, 29 0, 29 9, 20 0))"
NAN, INFINITE = "777", "888"


@dataclass(frozen=True)
class Counting:
    """Counts the geometries that were read."""

    count: int

    def run(self, _progress) -> dict[str, object]:
        """Do it."""
        return {"COUNT": self.count}


class Reader(FloeLensAlgorithm):
    """Reads polygons, as an AOI and as land are read."""

    ID = "reader"
    NEEDS = ()

    def declare(self) -> None:
        """Add the parameters."""
        self.addParameter(declare.polygons("AOI", "Area", "Polygons."))
        self.addParameter(declare.raster_or_polygons("LAND", "Land", "Either."))
        self.addOutput(QgsProcessingOutputNumber("COUNT", "Polygons"))

    def createInstance(self):  # noqa: N802
        """Return a fresh one."""
        return Reader()

    def job(self, values) -> Counting:
        """Return the job."""
        found = [values.polygons("AOI"), values.raster_or_polygons("LAND")]
        return Counting(sum(len(polygons.wkb) for polygons in found if polygons is not None))


def layer_of(*wkts: str, kind: str = "MultiPolygon", crs: str = "EPSG:3413") -> QgsVectorLayer:
    """Return a layer of geometries; 777 stands for NaN, and 888 for infinity."""
    layer = QgsVectorLayer(f"{kind}?crs={crs}&field=n:int", "drawn", "memory")
    for number, wkt in enumerate(wkts):
        feature = QgsFeature(layer.fields())
        feature.setAttributes([number])
        if wkt:
            data = bytes(QgsGeometry.fromWkt(wkt).asWkb())
            for stand_in, value in ((NAN, math.nan), (INFINITE, math.inf)):
                data = data.replace(struct.pack("<d", float(stand_in)), struct.pack("<d", value))
            geometry = QgsGeometry()
            geometry.fromWkb(data)
            assert not geometry.isNull(), wkt
            feature.setGeometry(geometry)
        layer.dataProvider().addFeature(feature)
    layer.setCrs(QgsCoordinateReferenceSystem(crs))  # a layer of collections does not take it from above
    layer.updateExtents()
    return layer


@pytest.fixture
def run(qgis_processing):
    """Return a function that runs the reader and returns the count, or None, and the log."""
    algorithm = Reader()
    algorithm.initAlgorithm()

    def call(parameters: dict, check=QgsFeatureRequest.GeometryAbortOnInvalid):
        context, feedback = QgsProcessingContext(), QgsProcessingFeedback(False)
        context.setProject(QgsProject.instance())
        context.setInvalidGeometryCheck(check)
        results, succeeded = algorithm.run(parameters, context, feedback)
        return results.get("COUNT") if succeeded else None, feedback.textLog()

    return call


@pytest.mark.parametrize("name", ["AOI", "LAND"])
@pytest.mark.parametrize(
    "check",
    [
        QgsFeatureRequest.GeometryNoCheck,
        QgsFeatureRequest.GeometrySkipInvalid,
        QgsFeatureRequest.GeometryAbortOnInvalid,
    ],
)
def test_an_invalid_polygon_is_used_and_named_whatever_processing_is_set_to(run, name, check):
    for _ in range(3):  # a process may end only later
        count, log = run({name: layer_of(GOOD, BOW)}, check)
        assert count == 2
        assert f"{name}: 1 feature is no valid polygon (feature 2: Self-intersection" in log


@pytest.mark.parametrize(
    ("wkt", "kind", "words"),
    [
        (f"Polygon ((0 0, 9 {NAN}, 9 9, 0 0))", "Polygon", "feature 2 has a vertex at (9, nan)"),
        (f"Polygon ((0 0, {INFINITE} 0, 9 9, 0 0))", "Polygon", "feature 2 has a vertex at (inf, 0)"),
        (
            f"CurvePolygon (CircularString (0 0, {NAN} 1, 2 0, 1 -1, 0 0))",
            "CurvePolygon",
            "feature 2 has a curve through a point that is no place",
        ),
        ("LineString (0 0, 9 9)", "GeometryCollection", "the layer holds no polygons"),
    ],
)
def test_what_cannot_be_used_is_one_sentence_that_names_the_feature(run, wkt, kind, words):
    good = f"GeometryCollection ({GOOD})" if kind == "GeometryCollection" else GOOD
    wkt = f"GeometryCollection ({wkt})" if kind == "GeometryCollection" else wkt
    count, log = run({"AOI": layer_of(good, wkt, kind=kind)})
    assert count is None
    assert words in log
    assert "unexpectedly" not in log


@pytest.mark.parametrize(
    ("wkt", "kind"),
    [
        ("Polygon ((0 0, 9 0, 9 9, 9 0, 9 5, 0 5, 0 0))", "Polygon"),
        ("Polygon ((0 0, 4 4, 0 0))", "Polygon"),
        ("Polygon ((0 0, 1 1))", "Polygon"),
        ("Polygon Empty", "Polygon"),
        ("", "Polygon"),
        ("MultiPolygon (((0 0, 9 0, 9 9, 0 0)), ((3 0, 9 0, 9 9, 3 0)))", "MultiPolygon"),
        ("MultiPolygonZM (((0 0 1 2, 9 0 1 2, 9 9 1 2, 0 0 1 2)))", "MultiPolygonZM"),
        ("CurvePolygon (CompoundCurve (CircularString (0 0, 1 1, 2 0), (2 0, 0 0)))", "CurvePolygon"),
        ("CurvePolygon (CircularString (0 0, 1e-300 1e-300, 1e300 0, 1 -1, 0 0))", "CurvePolygon"),
        ("CurvePolygon (CircularString (0 0, 0 0, 0 0))", "CurvePolygon"),
        (f"GeometryCollection (Point (1 1), {BOW}, GeometryCollection ({GOOD}))", "GeometryCollection"),
        ("Polygon ((0 0, 1e300 0, 1e300 1e300, -1e300 1e308, 0 0))", "Polygon"),
    ],
)
def test_no_drawing_ends_the_process(run, wkt, kind):
    good = f"GeometryCollection ({GOOD})" if kind == "GeometryCollection" else GOOD
    for name in ("AOI", "LAND"):
        count, log = run({name: layer_of(good, wkt, kind=kind)})
        assert count in (1, 2) or "feature 2 has a vertex at (nan, nan)" in log, log


def test_a_layer_whose_file_is_gone_is_no_layer_without_polygons(run, tmp_path):
    layer = QgsVectorLayer(f"{tmp_path}/gone.gpkg", "gone", "ogr")
    for name in ("AOI", "LAND"):
        count, log = run({name: layer})
        assert count is None
        assert name in log
        assert "unexpectedly" not in log
        assert "Check its file" in log or "neither a raster" in log


def test_filtered_joined_and_virtual_layers_are_read(run):
    project = QgsProject.instance()
    layer, table = layer_of(GOOD, BOW, BOW), QgsVectorLayer("None?field=n:int&field=b:string", "t", "memory")
    project.addMapLayers([layer, table])
    try:
        join = QgsVectorLayerJoinInfo()
        join.setJoinLayer(table)
        join.setJoinFieldName("n")
        join.setTargetFieldName("n")
        layer.addJoin(join)
        layer.addExpressionField("n / 0", QgsField("wrong", QVariant.Double))
        assert run({"AOI": layer.id()})[0] == 3
        virtual = QgsVectorLayer("?query=select n, geometry from drawn where n > 0", "v", "virtual")
        assert virtual.isValid()
        assert run({"AOI": virtual})[0] == 2 == run({"LAND": virtual})[0]
        layer.setSubsetString("n = 0")
        assert run({"AOI": QgsProperty.fromValue(layer.id())})[0] == 1
        layer.setSubsetString("n > 9")
        assert "holds no polygon" in run({"AOI": layer})[1]
        table_alone, log = run({"AOI": table})
        assert table_alone is None
        assert "holds no polygon" in log
    finally:
        project.removeMapLayers([layer.id(), table.id()])


def test_a_layer_with_a_reference_system_of_no_place_is_a_sentence(run):
    layer = layer_of(GOOD)
    layer.setCrs(QgsCoordinateReferenceSystem())
    assert "no coordinate reference system" in run({"AOI": layer})[1]
