"""What the import makes, all other algorithms take as it is; and what it refuses, it refuses in a sentence."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest
from floelens.plugin.ground.protocols import Silent
from floelens.plugin.io.geometry.grid import Grid
from floelens.plugin.jobs.importscene import ImportScene
from floelens.plugin.networks.standard_channels import MWR_CHANNELS
from floelens.tests.plugin.io.formats.amsr2.granules import Granule, smooth_field
from floelens.tests.plugin.io.formats.chart.files import FIELDS, box_rings, polygon, write_chart, write_zip
from floelens.tests.plugin.io.formats.netcdf.files import write_raw
from floelens.tests.plugin.io.formats.sentinel1.safe import make_safe, zip_safe
from qgis.core import QgsProcessingException, QgsProcessingFeedback, QgsRasterLayer, QgsVectorLayer


@pytest.fixture
def run(provider, context, packages, monkeypatch):
    """Return a function that runs an algorithm as QGIS does, with the trial models."""
    monkeypatch.setenv("FLOELENS_MODELS", str(packages))

    def call(name: str, **parameters) -> dict:
        algorithm = provider.algorithm(name).create()
        ok, message = algorithm.checkParameterValues(parameters, context)
        if not ok:
            raise QgsProcessingException(message)
        found, ok = algorithm.run(parameters, context, QgsProcessingFeedback(), {}, False)
        assert ok
        return found

    return call


def test_a_product_swaths_and_a_chart_go_through_every_algorithm_as_they_are(run, tmp_path):
    """From agencies' files at 40 m to Z-scores against a chart: no band is renamed, no code converted."""
    manifest = make_safe(tmp_path, rows=400, cols=500)
    swath = Granule(smooth_field(), middle=(15.0, 78.0), scans=30).write(tmp_path / "swath.h5")
    shapes = [polygon(ring) for ring in box_rings((15.0, 78.0), 0.25, 0.06)]
    codes = write_zip(tmp_path / "codes.imz", write_chart(tmp_path / "codes.shp", shapes=shapes))

    def at(name):
        return str(tmp_path / name)

    run(
        "importscene",
        INPUT=str(manifest),
        AMSR2=[swath],
        MULTILOOK=2,
        SAR=at("sar.tif"),
        MWR=at("mwr.tif"),
        FOOTPRINT=at("footprint.gpkg"),
    )
    run("importscene", INPUT=str(codes), SCENE=at("sar.tif"), CHART=at("chart.tif"))
    scene = {"SAR": at("sar.tif"), "MWR": at("mwr.tif"), "MODEL": "trial-concentration"}
    mapped = run("predict", **scene, OUTPUT=at("ice.tif"))
    explained = run(
        "relevance",
        **scene,
        SAR_RELEVANCE=at("relevance_sar.tif"),
        MWR_RELEVANCE=at("relevance_mwr.tif"),
    )
    tables = {"OUTPUT": at("scores.csv"), "REPORT": at("scores.html"), "CHANNEL_METHOD": "gated"}
    run("zscores", **scene, LABELS=at("chart.tif"), **tables)

    grid = Grid.from_file(at("sar.tif"))
    assert (grid.rows, grid.cols) == (200, 250)
    assert grid.pixel_size() == pytest.approx(80.0, rel=0.01)
    assert Grid.from_file(at("ice.tif")).same_as(grid)
    assert Grid.from_file(at("chart.tif")).same_as(grid)
    assert Grid.from_file(at("relevance_mwr.tif")).same_as(Grid.from_file(at("mwr.tif")))
    assert 0 < mapped["VALID_PIXELS"] <= grid.rows * grid.cols
    assert mapped["START_TIME"] == "2019-08-23T04:30:12Z"
    assert explained["PIXELS_EXPLAINED"] == mapped["VALID_PIXELS"]
    assert Path(at("scores.csv")).read_text().count("\n") > 10
    # Every layer knows when it is from, so that the temporal controller shows them together.
    layers = [QgsRasterLayer(at(f"{name}.tif"), name) for name in ("sar", "mwr", "ice", "relevance_sar")]
    layers.append(QgsVectorLayer(at("footprint.gpkg"), "footprint", "ogr"))
    for layer in layers:
        layer.loadDefaultStyle()
        assert layer.temporalProperties().isActive(), layer.name()
        begin = layer.temporalProperties().fixedTemporalRange().begin()
        assert begin.toString("yyyy-MM-ddTHH:mm:ss") == "2019-08-23T04:30:12", layer.name()


def test_other_polarisations_import_with_a_warning_and_a_network_refuses_them_by_name(run, tmp_path):
    folder = tmp_path / "results"
    folder.mkdir()
    sar, found = str(folder / "sar.tif"), tmp_path / "found.json"
    manifest = make_safe(tmp_path, pols=("vv", "vh"))
    ImportScene(str(manifest), sar=sar, summary=str(found)).run(Silent())
    facts = json.loads(found.read_text())
    assert facts["channels"] == {"found": ["vv", "vh", "incidence_angle"], "missing": ["hh", "hv"]}
    assert any("has no HH and no HV" in text for text in facts["warnings"])
    before = sorted(folder.iterdir())
    with pytest.raises(QgsProcessingException, match="No bands named 'hh', 'hv'"):
        run("predict", SAR=sar, MWR=sar, MODEL="trial-concentration", OUTPUT=str(folder / "ice.tif"))
    assert sorted(folder.iterdir()) == before


def _traversal(folder: Path) -> dict[str, object]:
    packed = zip_safe(make_safe(folder))
    with zipfile.ZipFile(packed, "a") as archive:
        archive.writestr("../../evil.sh", b"boo")
    return {"INPUT": packed, "SAR": "sar.tif"}


def _bomb(folder: Path) -> dict[str, object]:
    packed = zip_safe(make_safe(folder))
    with zipfile.ZipFile(packed, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.SAFE/preview/zeros.xml", bytes(70 << 20))
    return {"INPUT": packed, "SAR": "sar.tif"}


def _cut_zip(folder: Path) -> dict[str, object]:
    packed = zip_safe(make_safe(folder))
    packed.write_bytes(packed.read_bytes()[:-5000])
    return {"INPUT": packed, "SAR": "sar.tif"}


def _no_tie_points(folder: Path) -> dict[str, object]:
    return {"INPUT": write_raw(folder / "scene.nc", drop=("sar_grid_latitude",)), "SAR": "sar.tif"}


def _no_amsr2(folder: Path) -> dict[str, object]:
    return {"INPUT": write_raw(folder / "scene.nc", drop=MWR_CHANNELS), "SAR": "sar.tif", "MWR": "mwr.tif"}


def _no_concentration(folder: Path) -> dict[str, object]:
    chart = write_chart(folder / "codes.shp", fields=[name for name in FIELDS if name != "CT"])
    return {"INPUT": chart, "CHART_POLYGONS": "polygons.gpkg"}


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (_traversal, "holds a file that would lie outside of it ('../../evil.sh')"),
        (_bomb, "a zip bomb. It is not read"),
        (_cut_zip, "is a damaged or truncated zip"),
        (_no_tie_points, "has no tie points"),
        (_no_amsr2, "holds no AMSR2 brightness temperatures"),
        (_no_concentration, "has no field CT, the total concentration"),
    ],
)
def test_bad_input_is_one_sentence_and_no_file(run, tmp_path, make, sentence):
    """The command line ends with exit code 1 after it, as `test_importscene` tries."""
    given, place = make(tmp_path), tmp_path / "results"
    place.mkdir()
    paths = {name: str(value if name == "INPUT" else place / str(value)) for name, value in given.items()}
    with pytest.raises(QgsProcessingException) as caught:
        run("importscene", **paths)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "Traceback" not in str(caught.value)
    assert list(place.iterdir()) == []
