"""Values of parameters become plain values: paths GDAL opens, geometry in its own CRS."""

from __future__ import annotations

import re

import numpy as np
import pytest
from floelens.plugin.algorithms.framework import declare
from floelens.plugin.algorithms.framework.base import Destinations, FloeLensAlgorithm
from floelens.plugin.algorithms.framework.destinations import named_sources
from floelens.plugin.ground.errors import ParameterError, SceneError
from qgis.core import (
    QgsCoordinateReferenceSystem,
    QgsCoordinateTransform,
    QgsCoordinateTransformContext,
    QgsFeature,
    QgsGeometry,
    QgsPointXY,
    QgsProcessingFeatureSourceDefinition,
    QgsProcessingOutputLayerDefinition,
    QgsProcessingParameterRasterLayer,
    QgsProject,
    QgsProperty,
    QgsRasterLayer,
    QgsRectangle,
    QgsReferencedPointXY,
    QgsReferencedRectangle,
    QgsVectorLayer,
)


class Everything(FloeLensAlgorithm):
    """An algorithm with one parameter of each kind."""

    ID = "everything"
    NEEDS = ()

    def declare(self) -> None:
        """Add the parameters."""
        self.addParameter(declare.raster("SAR", "SAR", "A raster.", optional=True))
        self.addParameter(declare.rasters("ANCILLARY", "Rasters", "Some."))
        self.addParameter(declare.raster_or_polygons("LAND", "Land", "Either."))
        self.addParameter(declare.files("STATE_IN", "States", "Files."))
        self.addParameter(declare.polygons("ZONES", "Zones", "Polygons."))
        self.addParameter(declare.field("ZONE_FIELD", "Field", "Names.", "ZONES"))
        self.addParameter(declare.extent("EXTENT", "Extent", "Part."))
        self.addParameter(declare.point("POINT", "Point", "Place."))
        self.addParameter(declare.point("CENTER", "Centre", "Place.", default="20.0,79.0 [EPSG:4326]"))
        self.addParameter(declare.flag("REFIT", "Refit", "Or not."))
        self.addParameter(declare.raster_output("OUTPUT", "Output", "Made."))
        self.addParameter(declare.raster_output("EXTRA", "Extra", "Made.", optional=True))
        self.addParameter(declare.file_output("REPORT", "Report", "Told.", "HTML files (*.html)"))


@pytest.fixture
def read(context, qgis_processing):
    """Return a function that reads parameters."""
    algorithm = Everything()
    algorithm.initAlgorithm()

    def make(**parameters: object) -> Destinations:
        return Destinations(algorithm, parameters, context)

    return make


def zone_layer(crs: str = "EPSG:3413", kind: str = "Polygon") -> QgsVectorLayer:
    """Return two zones with a name, one of which has none."""
    layer = QgsVectorLayer(f"{kind}?crs={crs}&field=name:string&field=n:int", "zones", "memory")
    for number, name in ((1, "Fram Strait"), (2, None)):
        feature = QgsFeature(layer.fields())
        feature.setGeometry(
            QgsGeometry.fromRect(QgsRectangle(number, 0, number + 1, 1))
            if "Polygon" in kind
            else QgsGeometry.fromPointXY(QgsPointXY(number, 0))
        )
        feature.setAttributes([name, number])
        layer.dataProvider().addFeature(feature)
    return layer


def ring(wkb: bytes) -> list[tuple[float, float]]:
    """Return the corners of a polygon."""
    geometry = QgsGeometry()
    geometry.fromWkb(wkb)
    return [(p.x(), p.y()) for p in geometry.vertices()]


@pytest.mark.parametrize(
    ("value", "meant"),
    [(True, True), (False, False), ("true", True), ("No", False), ("0", False), (1, True), ("", False)],
)
def test_a_yes_or_no_may_be_written_out(read, value, meant):
    assert read(REFIT=value).flag("REFIT") is meant


def test_another_word_for_yes_or_no_is_a_sentence(read):
    with pytest.raises(
        ParameterError, match="REFIT is 'maybe'; it must be one of: true, yes, 1, false, no, 0"
    ):
        read(REFIT="maybe").flag("REFIT")


def test_what_was_not_asked_for_is_none(read):
    values = read(ANCILLARY=[""], STATE_IN=[""], EXTENT="", POINT=None, OUTPUT="x.tif")
    assert values.raster("SAR") is None
    assert values.rasters("ANCILLARY") == () == values.files("STATE_IN")
    assert values.raster_or_polygons("LAND") is None
    assert values.extent("EXTENT", None) is None
    assert values.lonlat("POINT") is None  # an unset point reads (0, 0)
    assert values.polygons("ZONES", "ZONE_FIELD") is None
    assert values.layer("EXTRA") is None
    assert values.file("REPORT") is None
    assert values.written == {}


def test_a_raster_is_what_gdal_opens_whatever_form_it_comes_in(read, backscatter):
    path = str(backscatter)
    layer = QgsRasterLayer(path, "sar")
    assert read(SAR=path).raster("SAR") == path
    assert read(SAR=f"{path}|option:NUM_THREADS=2").raster("SAR") == path
    assert read(SAR=layer).raster("SAR") == path
    assert read(SAR=QgsProperty.fromValue(path)).raster("SAR") == path
    assert read(ANCILLARY=[path, layer]).rasters("ANCILLARY") == (path, path)
    assert read(ANCILLARY=[path, ""]).rasters("ANCILLARY") == (path,)


def test_a_layer_of_the_project_is_found_by_its_id(read, context, backscatter):
    project = QgsProject()
    layer = QgsRasterLayer(str(backscatter), "sar")
    project.addMapLayer(layer)
    context.setProject(project)
    assert read(SAR=layer.id()).raster("SAR") == str(backscatter)


def test_a_layer_called_like_a_file_is_the_layer_and_its_file_an_input(
    read, context, backscatter, tmp_path, monkeypatch
):
    """As QGIS does: a file of that name in the folder it was started in is another one."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "S1.tif").write_bytes(backscatter.read_bytes())
    assert read(SAR="S1.tif").raster("SAR") == "S1.tif"
    project = QgsProject()
    project.addMapLayer(QgsRasterLayer(str(backscatter), "S1.tif"))
    context.setProject(project)
    assert read(SAR="S1.tif").raster("SAR") == str(backscatter)
    assert read(ANCILLARY=["S1.tif"]).rasters("ANCILLARY") == (str(backscatter),)
    definition = QgsProcessingParameterRasterLayer("SAR")
    assert named_sources([definition], {"SAR": "S1.tif"}, context) == [str(backscatter)]


def test_a_layer_that_gdal_does_not_read_is_refused(read):
    layer = QgsRasterLayer("type=xyz&url=http://localhost/{x}/{y}/{z}.png", "tiles", "wms")
    with pytest.raises(SceneError, match="no raster file that GDAL reads"):
        read(SAR=layer).raster("SAR")


def test_a_raster_that_vanished_after_it_was_loaded_is_named(read, backscatter):
    layer = QgsRasterLayer(str(backscatter), "sar")
    backscatter.unlink()
    with pytest.raises(SceneError, match=r"there is no file .*sar\.tif"):
        read(SAR=layer).raster("SAR")


def test_land_may_be_a_raster_or_polygons(read, backscatter):
    assert read(LAND=str(backscatter)).raster_or_polygons("LAND") == str(backscatter)
    polygons = read(LAND=zone_layer()).raster_or_polygons("LAND")
    assert len(polygons.wkb) == 2


def test_zones_keep_their_names_and_a_nameless_one_gets_its_number(read):
    polygons = read(ZONES=zone_layer(), ZONE_FIELD="name").polygons("ZONES", "ZONE_FIELD")
    assert polygons.names == ("Fram Strait", "2")
    assert read(ZONES=zone_layer()).polygons("ZONES", "ZONE_FIELD").names == ("1", "2")
    assert read(ZONES=zone_layer(), ZONE_FIELD="n").polygons("ZONES", "ZONE_FIELD").names == ("1", "2")
    assert set(ring(polygons.wkb[0])) == {(1, 0), (2, 0), (2, 1), (1, 1)}


def test_a_field_that_the_zones_do_not_have_is_refused_with_those_they_have(read):
    with pytest.raises(ParameterError, match=r"no field 'nome' \(fields: name, n\)"):
        read(ZONES=zone_layer(), ZONE_FIELD="nome").polygons("ZONES", "ZONE_FIELD")


def test_polygons_keep_a_reference_system_that_has_no_code(read):
    crs = QgsCoordinateReferenceSystem.fromProj("+proj=laea +lat_0=80 +lon_0=-17 +R=6370000 +units=m")
    assert not crs.authid()
    layer = zone_layer()
    layer.setCrs(crs)
    found = QgsCoordinateReferenceSystem.fromWkt(read(ZONES=layer).polygons("ZONES").crs)
    assert {"+proj=laea", "+lat_0=80", "+lon_0=-17", "+R=6370000"} <= set(found.toProj().split())


def test_only_selected_zones_are_taken_where_asked(read, context):
    layer = zone_layer()
    project = QgsProject()
    project.addMapLayer(layer)
    context.setProject(project)
    layer.selectByExpression("n = 2")
    definition = QgsProcessingFeatureSourceDefinition(layer.id(), True)
    assert read(ZONES=definition, ZONE_FIELD="n").polygons("ZONES", "ZONE_FIELD").names == ("2",)


def test_a_subset_in_the_source_is_honoured(read, tmp_path):
    from osgeo import ogr, osr

    path = tmp_path / "aoi.gpkg"
    source = ogr.GetDriverByName("GPKG").CreateDataSource(str(path))
    system = osr.SpatialReference()
    system.ImportFromEPSG(3413)
    layer = source.CreateLayer("ice", system, ogr.wkbPolygon)
    layer.CreateField(ogr.FieldDefn("n", ogr.OFTInteger))
    for number in (1, 2):
        feature = ogr.Feature(layer.GetLayerDefn())
        feature["n"] = number
        feature.SetGeometry(ogr.CreateGeometryFromWkt(f"POLYGON (({number} 0, 9 0, 9 9, {number} 0))"))
        layer.CreateFeature(feature)
    source = layer = None
    values = read(ZONES=f"{path}|layername=ice|subset=n=2", ZONE_FIELD="n")
    assert values.polygons("ZONES", "ZONE_FIELD").names == ("2",)


def test_polygons_without_a_reference_system_are_refused(read):
    layer = zone_layer()
    layer.setCrs(QgsCoordinateReferenceSystem())
    with pytest.raises(SceneError, match="no coordinate reference system"):
        read(ZONES=layer).polygons("ZONES")


def test_points_are_no_polygons(read):
    with pytest.raises(SceneError, match="holds no polygon"):
        read(LAND=zone_layer(kind="Point")).raster_or_polygons("LAND")


def test_curves_and_heights_become_flat_polygons(read):
    layer = QgsVectorLayer("CurvePolygonZ?crs=EPSG:3413", "lens", "memory")
    feature = QgsFeature()
    feature.setGeometry(
        QgsGeometry.fromWkt("CurvePolygonZ (CircularStringZ (0 0 5, 1 1 5, 2 0 5, 1 -1 5, 0 0 5))")
    )
    layer.dataProvider().addFeature(feature)
    geometry = QgsGeometry()
    geometry.fromWkb(read(ZONES=layer).polygons("ZONES").wkb[0])
    assert not geometry.constGet().is3D()
    assert geometry.area() == pytest.approx(np.pi, rel=1e-3)


def test_a_rectangle_stays_in_its_own_reference_system(read):
    polygons = read(EXTENT="10,12,78,79 [EPSG:4326]").extent("EXTENT", None)
    assert QgsCoordinateReferenceSystem.fromWkt(polygons.crs).authid() == "EPSG:4326"
    assert set(ring(polygons.wkb[0])) == {(10, 78), (12, 78), (12, 79), (10, 79)}
    drawn = QgsReferencedRectangle(QgsRectangle(1, 2, 3, 4), QgsCoordinateReferenceSystem("EPSG:3413"))
    assert "3413" in read(EXTENT=drawn).extent("EXTENT", None).crs


def test_a_rectangle_without_a_reference_system_is_in_that_of_the_sar_raster(read, backscatter):
    polygons = read(EXTENT="0,800,-1000800,-1000000").extent("EXTENT", str(backscatter))
    assert QgsCoordinateReferenceSystem.fromWkt(polygons.crs).authid() == "EPSG:3413"


def placed(path) -> tuple[QgsRectangle, QgsCoordinateReferenceSystem]:
    """Return extent and CRS of a raster; its layer must not outlive QGIS in the frame of a caught error."""
    layer = QgsRasterLayer(str(path), "sar")
    return layer.extent(), layer.crs()


@pytest.mark.parametrize(
    ("order", "written"),
    [
        ("xmin,ymin,xmax,ymax", "{left},{bottom},{right},{top}"),
        ("ymin,xmin,ymax,xmax", "{bottom},{left},{top},{right} "),
        ("ymin,ymax,xmin,xmax", "{bottom}, {top}, {left}, {right}"),
    ],
)
@pytest.mark.parametrize("crs", ["", "[EPSG:3413]", " [EPSG:4326]"])
def test_a_rectangle_in_another_order_is_refused_with_the_right_one(read, backscatter, order, written, crs):
    box, system = placed(backscatter)
    box.scale(0.5)
    if "4326" in crs:
        geographic = QgsCoordinateReferenceSystem("EPSG:4326")
        to = QgsCoordinateTransform(system, geographic, QgsCoordinateTransformContext())
        box = to.transformBoundingBox(box)
    sides = {"left": box.xMinimum(), "right": box.xMaximum(), "bottom": box.yMinimum(), "top": box.yMaximum()}
    with pytest.raises(ParameterError, match=f"but is one as {order}") as error:
        read(EXTENT=written.format(**sides) + crs).extent("EXTENT", str(backscatter))
    right = re.search(r"Write EXTENT=(.*) if", str(error.value))[1]
    assert ring(read(EXTENT=right).extent("EXTENT", str(backscatter)).wkb[0])[0] == pytest.approx(
        (box.xMinimum(), box.yMinimum()), rel=1e-12
    )
    assert len(str(error.value)) < 500


def test_the_whole_world_in_another_order_is_told_too(read, backscatter):
    with pytest.raises(ParameterError, match=r"Write EXTENT=-180,180,-90,90 \[EPSG:4326\] if"):
        read(EXTENT="-180,-90,180,90 [EPSG:4326]").extent("EXTENT", str(backscatter))


@pytest.mark.parametrize("extent", ["-90000,70000,-1090000,-990000", "-180,180,-90,90 [EPSG:4326]"])
def test_a_rectangle_larger_than_the_scene_or_of_the_whole_world_stays(read, backscatter, extent):
    assert read(EXTENT=extent).extent("EXTENT", str(backscatter)) is not None


@pytest.mark.parametrize("extent", ["5,5,0,1 [EPSG:4326]", "nonsense"])
def test_a_rectangle_without_area_is_refused(read, extent):
    with pytest.raises(ParameterError, match=r"EXTENT.* no rectangle"):
        read(EXTENT=extent).extent("EXTENT", None)


def test_a_point_becomes_longitude_and_latitude(read):
    assert read(POINT="-39,69.5 [EPSG:4326]").lonlat("POINT") == pytest.approx((-39, 69.5))
    pole = QgsReferencedPointXY(QgsPointXY(0, -1_000_000), QgsCoordinateReferenceSystem("EPSG:3413"))
    assert read(POINT=pole).lonlat("POINT") == pytest.approx((-45.0, 80.8), abs=0.1)


def test_a_point_without_a_reference_system_is_in_that_of_the_sar_raster(read, backscatter):
    found = read(POINT="0,-1000000").lonlat("POINT", str(backscatter))
    assert found == pytest.approx((-45.0, 80.8), abs=0.1)


def test_a_point_has_its_default_where_nothing_is_given(read):
    assert read().lonlat("CENTER") == pytest.approx((20.0, 79.0))


def test_a_point_off_the_earth_is_refused(read):
    with pytest.raises(ParameterError, match="no place on the Earth"):
        read(POINT="-39,169.5 [EPSG:4326]").lonlat("POINT")


def test_missing_state_files_are_named(read, tmp_path):
    state = tmp_path / "a.npz"
    state.write_bytes(b"")
    assert read(STATE_IN=[str(state)]).files("STATE_IN") == (str(state),)
    with pytest.raises(ParameterError, match=r"STATE_IN: there is no file .*b\.npz"):
        read(STATE_IN=[str(state), str(tmp_path / "b.npz")]).files("STATE_IN")


def test_what_is_written_is_noted_and_a_temporary_output_gets_a_name(read, tmp_path):
    output = QgsProcessingOutputLayerDefinition(str(tmp_path / "a.tif"))
    values = read(OUTPUT=output, EXTRA="TEMPORARY_OUTPUT", REPORT=str(tmp_path / "r.html"))
    assert values.layer("OUTPUT") == str(tmp_path / "a.tif")
    assert values.layer("EXTRA").endswith(".tif")
    assert values.file("REPORT") == str(tmp_path / "r.html")
    assert list(values.written) == ["OUTPUT", "EXTRA", "REPORT"]
