"""Bad input gives one clear sentence before anything is read or written."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest
from floelens.plugin.algorithms.framework.base import Destinations, in_words
from floelens.tests.plugin.conftest import write_raster
from osgeo import gdal
from qgis.core import (
    QgsCoordinateReferenceSystem,
    QgsProcessingOutputLayerDefinition,
    QgsProject,
    QgsRectangle,
    QgsReferencedRectangle,
    QgsVectorLayer,
)


@pytest.fixture
def check(provider, context, backscatter, tmp_path):
    """Return a function that checks `predict`, good but for what it is given."""
    algorithm = provider.algorithm("predict").create()

    def run(**changes: object) -> str:
        parameters = {"SAR": str(backscatter), "OUTPUT": str(tmp_path / "ice.tif"), **changes}
        ok, message = algorithm.checkParameterValues(parameters, context)
        assert ok == (not message)
        return message

    return run


@pytest.fixture
def radiometry(tmp_path) -> str:
    """Return a raster of all fourteen radiometer channels."""
    from floelens.plugin.networks import registry

    names = [c.name for c in registry.load_card("aspp-concentration-sim").coarse_channels]
    bands = {name: np.full((6, 8), 200, np.float32) for name in names}
    return str(write_raster(tmp_path / "mwr.tif", bands, pixel=800.0))


def test_good_parameters_pass(check, radiometry):
    assert check(MWR=radiometry) == ""
    extent = "0,4000,-1004000,-1000000 [EPSG:3413]"
    assert check(MWR=radiometry, EXTENT=extent, DEVICE="cpu", MEMORY=256) == ""


def test_what_the_model_needs_and_the_scene_lacks_is_said_before_the_run(check, radiometry, backscatter):
    assert check().startswith("Model 'aspp-concentration-sim' needs 14 radiometer channels (btemp_6_9h")
    assert "interchanged" in check(SAR=radiometry, MWR=str(backscatter))
    assert "has no channel 'vv'" in check(MWR=radiometry, CHANNELS="vv=1")
    assert check(MODEL="no-such-model").startswith("There is no model 'no-such-model'")


def test_a_raster_on_another_machine_is_not_opened_before_the_run(
    provider, context, backscatter, monkeypatch
):
    looked = []
    monkeypatch.setattr(
        "floelens.plugin.io.scene.reader.check_headers", lambda *rasters: looked.append(rasters)
    )
    algorithm = provider.algorithm("predict").create()
    for mwr, times in (("/vsicurl/http://127.0.0.1:9/mwr.tif", 0), (None, 1)):
        assert algorithm._lacking({"SAR": str(backscatter), "MWR": mwr}, context) is None
        assert len(looked) == times


def test_a_mistyped_parameter_is_refused_with_the_nearest_name(check):
    assert check(EXTEND="0,1,0,1") == "Unknown parameter EXTEND. Did you mean EXTENT?"
    assert check(sar="x.tif") == "Unknown parameter sar. Did you mean SAR?"
    assert check(QWXYZ=1).startswith("Unknown parameter QWXYZ. Known are: SAR, MWR")


def test_a_character_that_no_path_can_have_is_a_sentence(check):
    for name in ("MODEL", "SAR", "CHANNELS"):
        assert check(**{name: "a\0b"}).startswith(f"{name} holds a NUL")


def test_a_missing_file_is_named(check, tmp_path):
    assert check(SAR=str(tmp_path / "no.tif")) == f"SAR: there is no file {tmp_path}/no.tif. Check the path."
    assert check(ANCILLARY=[str(tmp_path / "a.tif")]).startswith("ANCILLARY: there is no file")


@pytest.mark.parametrize(
    ("name", "parameter"),
    [
        ("relevance", "AOI"),
        ("predict", "LAND"),
        ("zscores", "ZONES"),
        ("zscores", "LABELS"),
        ("predict", "EXTENT"),
    ],
)
@pytest.mark.parametrize("file", ["no.gpkg", "no.tif", "in no folder/no.shp|layername=ice", "no.geojson"])
def test_a_missing_file_of_polygons_or_labels_is_named(provider, context, tmp_path, name, parameter, file):
    path = f"{tmp_path}/{file}"
    accepted, message = provider.algorithm(name).create().checkParameterValues({parameter: path}, context)
    assert not accepted
    assert message == f"{parameter}: there is no file {path.split('|')[0]}. Check the path."


def test_a_layer_that_is_called_like_a_file_is_no_missing_file(provider, context):
    project, layer = QgsProject.instance(), QgsVectorLayer("Polygon?crs=EPSG:4326", "aoi.gpkg", "memory")
    project.addMapLayer(layer)
    try:
        for value in ("aoi.gpkg", layer.id()):
            assert provider.algorithm("relevance").create().problem({"AOI": value}) is None
            assert provider.algorithm("relevance").create().problem({"SAR": value}) is None
    finally:
        project.removeMapLayer(layer.id())


def test_a_file_that_is_no_raster_is_named(check, tmp_path):
    text = tmp_path / "notes.tif"
    text.write_text("not a raster")
    assert (
        check(MWR=str(text))
        == f"MWR: {text} is no raster that GDAL can read, or it is damaged. Check the file."
    )


def test_what_is_no_single_raster_is_sent_to_the_import(check, tmp_path):
    archive = tmp_path / "product.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        packed.writestr("manifest.safe", "")
    message = check(MWR=str(archive))
    assert message.endswith(" is a zip. Give it to 'Import scene', and choose the raster that it writes.")
    netcdf = str(tmp_path / "grid.nc")
    dataset = gdal.GetDriverByName("netCDF").CreateMultiDimensional(netcdf)
    group = dataset.GetRootGroup()
    dims = [group.CreateDimension(name, None, None, 5) for name in "yx"]
    for name in ("btemp_6_9h", "btemp_6_9v"):
        group.CreateMDArray(name, dims, gdal.ExtendedDataType.Create(gdal.GDT_Float32))
    dims = group = dataset = None
    message = check(MWR=netcdf)
    assert message.startswith(f"MWR: QGIS cannot open {netcdf} as one raster")
    assert "Import scene" in message


@pytest.mark.parametrize(
    ("destination", "words"),
    [
        ("{}/no/ice.tif", "the folder {}/no does not exist"),
        ("{}/ice.png", "must be a .tif file"),
        ("{}/ice", "must be a .tif file"),
        ("ogr:dbname='{}/x.gpkg' table=\"ice\"", "plain files, not ogr: connections"),
        ("memory:", "plain files, not memory: connections"),
    ],
)
def test_a_destination_must_be_a_plain_file_in_a_folder_that_exists(check, tmp_path, destination, words):
    path = destination.format(tmp_path)
    for value in (path, QgsProcessingOutputLayerDefinition(path)):
        message = check(OUTPUT=value)
        assert message.startswith("OUTPUT: ")
        assert words.format(tmp_path) in message


def test_a_folder_in_place_of_a_file_is_refused(check, tmp_path):
    (tmp_path / "taken.tif").mkdir()
    assert "is a folder" in check(OUTPUT=str(tmp_path / "taken.tif"))


def test_a_temporary_output_and_an_optional_one_left_out_are_fine(check, radiometry):
    assert check(MWR=radiometry, OUTPUT="TEMPORARY_OUTPUT", PROBABILITIES="", UNCERTAINTY=None) == ""


@pytest.mark.parametrize("extent", ["0,1,0,1 []", "0,1,0,1 [ ]"])
def test_an_extent_in_an_empty_reference_system_is_refused(check, extent):
    assert check(EXTENT=extent).startswith("EXTENT names an empty coordinate reference system")


def test_a_drawn_rectangle_without_a_reference_system_is_refused(check):
    nowhere = QgsReferencedRectangle(QgsRectangle(0, 0, 1, 1), QgsCoordinateReferenceSystem())
    assert check(EXTENT=nowhere).startswith("EXTENT names an empty coordinate reference system")


def test_an_enum_of_several_words_takes_the_numbers_by_which_qgis_lists_them(provider):
    algorithm = provider.algorithm("artifacts").create()
    definitions = algorithm.parameterDefinitions()
    for value in ([0, 5], "0,5", ["null_input", "5"], (0, "focus")):
        assert in_words(definitions, {"TESTS": value})["TESTS"] == ["null_input", "focus"]
    for value in ("null_input,focus", [99], ["zero"], True):
        assert in_words(definitions, {"TESTS": value})["TESTS"] == value


def test_a_number_beyond_the_list_of_an_enum_of_several_words_is_refused(
    provider, context, backscatter, radiometry, tmp_path
):
    algorithm = provider.algorithm("artifacts").create()
    given = {"SAR": str(backscatter), "MWR": radiometry, "ARTIFACT": str(tmp_path / "a.tif")}
    assert algorithm.checkParameterValues({**given, "TESTS": [0, 5]}, context) == (True, "")
    _, message = algorithm.checkParameterValues({**given, "TESTS": "0,99"}, context)
    assert message.startswith("TESTS is '99'; it must be one of: null_input, translation")


def test_a_word_that_an_enum_does_not_know_is_refused_with_those_it_knows(check):
    for value in ("gpu", 7, ["cpu"]):
        assert check(DEVICE=value) == f"DEVICE is '{value}'; it must be one of: auto, cpu, cuda."


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"CLASS": ""}, "CLASS is empty. Leave it out for its default, predicted."),
        ({"STEPS": 0}, "STEPS is 0; it must be a number from 1 to 4096."),
        (
            {"POINT": "abc"},
            "POINT cannot be 'abc'. One place instead of a region, as in -39,69.5 [EPSG:4326]",
        ),
        ({"POINT": "91,1 [EPSG:4326]", "EPSILON": "x"}, "EPSILON is x; it must be a number from 1e-12 to 1."),
    ],
)
def test_a_value_that_qgis_refuses_is_told_with_what_would_do(
    provider, context, backscatter, tmp_path, changes, sentence
):
    algorithm = provider.algorithm("relevance").create()
    parameters = {"SAR": str(backscatter), "SAR_RELEVANCE": str(tmp_path / "r.tif"), **changes}
    accepted, message = algorithm.checkParameterValues(parameters, context)
    assert not accepted
    assert message.startswith(sentence)


def test_qgis_still_checks_what_we_do_not(provider, context):
    ok, message = provider.algorithm("predict").checkParameterValues({}, context)
    assert not ok
    assert "SAR" in message


def test_an_enum_of_one_word_takes_the_number_by_which_qgis_lists_it(
    provider, context, backscatter, radiometry, tmp_path
):
    algorithm = provider.algorithm("features").create()
    definitions = algorithm.parameterDefinitions()
    for value in (1, "1", "gradcam"):
        assert in_words(definitions, {"CAM": value}) == {"CAM": "gradcam"}
    assert in_words(definitions, {"CAM": None, "SEED": 1}) == {"CAM": None, "SEED": 1}
    given = {"SAR": str(backscatter), "MWR": radiometry, "OUTPUT": str(tmp_path / "a.tif")}
    assert algorithm.checkParameterValues({**given, "CAM": 1, "DEVICE": "0"}, context) == (True, "")
    _, message = algorithm.checkParameterValues({**given, "CAM": 9}, context)
    assert message.startswith("CAM is '9'; it must be one of: full, gradcam")


def test_an_empty_pattern_of_radiometry_is_the_usual_one(
    provider, context, backscatter, radiometry, tmp_path
):
    algorithm = provider.algorithm("features").create()
    for name in ("a_sar.tif", "b_sar.tif"):
        (tmp_path / name).write_bytes(backscatter.read_bytes())
    for name in ("a_mwr.tif", "b_mwr.tif"):
        (tmp_path / name).write_bytes(Path(radiometry).read_bytes())
    given = {"SAR": str(tmp_path / "a_sar.tif"), "MWR": str(tmp_path / "a_mwr.tif"), "MWR_PATTERN": ""}
    given |= {"SCENES": [str(tmp_path / "b_sar.tif")], "OUTPUT": str(tmp_path / "a.tif")}
    assert algorithm.checkParameterValues(given, context) == (True, "")
    values = Destinations(algorithm, given, context)
    assert algorithm.job(values).mwr_pattern == "sar=mwr"
    assert str(tmp_path / "b_mwr.tif") in values.found
