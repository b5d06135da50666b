"""The algorithms as `qgis_process` runs them: exit codes, sentences, files."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from floelens.plugin.algorithms.framework.job_threads import JOB_THREADS
from floelens.tools.headless import ROOT, HeadlessQgis, results
from qgis.core import (
    Qgis,
    QgsCoordinateReferenceSystem,
    QgsCoordinateTransform,
    QgsCoordinateTransformContext,
    QgsProcessingModelAlgorithm,
    QgsRasterLayer,
    QgsVectorLayer,
)

MODEL_FILE = ROOT / "resources" / "processing_models" / "explain_simulated_scene.model3"


@pytest.fixture(scope="module")
def qgis(qgis_process: HeadlessQgis, packages: Path) -> HeadlessQgis:
    """Return a QGIS that knows the two trial models and uses one core."""
    return replace(qgis_process, variables={"FLOELENS_MODELS": str(packages), "OMP_NUM_THREADS": "1"})


@pytest.fixture(scope="module")
def scene(qgis: HeadlessQgis, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return a small simulated scene, made on the command line."""
    folder = tmp_path_factory.mktemp("scene")
    paths = {name: str(folder / f"{name.lower()}.tif") for name in ("SAR", "MWR", "CHART")}
    results(qgis.run("floelens:simulatescene", SEED=11, ROWS=220, COLS=250, **paths))
    return paths


@pytest.fixture(scope="module")
def inputs(scene: dict[str, str]) -> dict[str, str]:
    """Return the parameters of every run on the scene."""
    return {"SAR": scene["SAR"], "MWR": scene["MWR"], "MODEL": "trial-concentration"}


@pytest.fixture
def run(provider, packages, monkeypatch):
    """Return a function that runs an algorithm in this process: it gives the same bytes, as is tested below."""
    import processing

    monkeypatch.setenv("FLOELENS_MODELS", str(packages))

    def call(name: str, **parameters) -> dict:
        given = {key: str(value) if isinstance(value, Path) else value for key, value in parameters.items()}
        return processing.run(f"floelens:{name}", given)

    return call


def said(done) -> str:
    """Return everything that a run printed."""
    return done.stdout + done.stderr


def test_a_concentration_map_has_its_style_beside_it(run, inputs, tmp_path):
    output = tmp_path / "ice.tif"
    found = run("predict", **inputs, OUTPUT=output)
    assert found["OUTPUT"] == str(output)
    assert found["VALID_PIXELS"] == 220 * 250
    layer = QgsRasterLayer(str(output), "opened by hand")
    assert layer.renderer().type() == "singlebandpseudocolor"
    labels = [i.label for i in layer.renderer().shader().rasterShaderFunction().colorRampItemList()]
    assert "9/10 to 10/10 (above 85 %)" in labels


def test_a_map_of_types_has_the_classes_of_the_card(run, inputs, tmp_path):
    output = tmp_path / "type.tif"
    run("predict", **{**inputs, "MODEL": "trial-type"}, OUTPUT=output)
    layer = QgsRasterLayer(str(output), "opened by hand")
    assert layer.renderer().type() == "paletted"
    shown = {c.value: c.label for c in layer.renderer().classes() if c.color.alpha()}
    assert shown == {0: "open water", 1: "young ice", 2: "old ice"}


def test_relevance_comes_with_styles_and_a_report_in_three_forms(run, inputs, tmp_path):
    sar, mwr, report = (tmp_path / name for name in ("sar_rel.tif", "mwr_rel.tif", "evidence.html"))
    found = run("relevance", **inputs, SAR_RELEVANCE=sar, MWR_RELEVANCE=mwr, REPORT=report)
    assert found["REPORT_JSON"] == str(tmp_path / "evidence_report.json")
    assert json.loads((tmp_path / "evidence_report.json").read_text())
    assert (tmp_path / "evidence_report.csv").stat().st_size
    assert found["RELATIVE_RESIDUAL"] < 1e-4
    for path in (sar, mwr):
        layer = QgsRasterLayer(str(path), "opened by hand")
        settings = layer.renderer().shader().rasterShaderFunction().legendSettings()
        assert settings.maximumLabel().startswith("≥ ")
        assert "speaks for ice (logit per SAR pixel)" in settings.maximumLabel()
    assert " km" in settings.maximumLabel()  # the radiometer's footprint


def test_a_point_and_an_extent_in_their_own_reference_systems_are_understood(run, inputs, tmp_path):
    output = tmp_path / "part.tif"
    layer = QgsRasterLayer(inputs["SAR"], "sar")
    geographic = QgsCoordinateReferenceSystem("EPSG:4326")
    transform = QgsCoordinateTransform(layer.crs(), geographic, QgsCoordinateTransformContext())
    middle = transform.transform(layer.extent().center())
    extent = f"{middle.x() - 0.1},{middle.x() + 0.1},{middle.y() - 0.03},{middle.y() + 0.03} [EPSG:4326]"
    point = f"{middle.x()},{middle.y()} [EPSG:4326]"
    found = run("relevance", **inputs, SAR_RELEVANCE=output, EXTENT=extent, POINT=point)
    assert found["PIXELS_EXPLAINED"] == 1
    part = QgsRasterLayer(str(output), "part")
    assert 0 < part.width() * part.height() < 0.6 * layer.width() * layer.height()


def test_scores_give_a_typed_table_zones_and_a_state_that_merges(run, inputs, scene, tmp_path):
    table, zones, state = (tmp_path / name for name in ("z.csv", "zones.gpkg", "z.npz"))
    common = {"MODEL": inputs["MODEL"], "OUTPUT": table}
    run(
        "zscores",
        **inputs,
        OUTPUT=table,
        ZONE_ZSCORES=zones,
        ZONE_SIZE=10,
        STATE=state,
        LABELS=scene["CHART"],
    )
    layer = QgsVectorLayer(str(table), "scores", "ogr")
    types = {field.name(): field.typeName() for field in layer.fields()}
    assert types["component"] == "String"
    assert types["z"] == "Real"
    assert types["n"].startswith("Integer")
    opened = QgsVectorLayer(str(zones), "zones", "ogr")
    assert opened.isValid()
    assert opened.featureCount() > 1
    assert opened.renderer().type() in ("graduatedSymbol", "categorizedSymbol")
    counts = [feature["n"] for feature in layer.getFeatures()]
    merged = {**common, "OUTPUT": tmp_path / "both.csv", "STATE_IN": [str(state), str(state)]}
    run("zscores", **merged)
    both = QgsVectorLayer(str(tmp_path / "both.csv"), "scores", "ogr")
    assert [feature["n"] for feature in both.getFeatures()] == [2 * n for n in counts]


def test_pages_about_models_and_environment_are_written(run, tmp_path):
    page = tmp_path / "model.html"
    found = run("inspectmodel", MODEL="trial-type", OUTPUT=page)
    assert found["RECEPTIVE_FIELD_RADIUS"] == 30
    assert "trial-type" in page.read_text(encoding="utf-8")
    page = tmp_path / "environment.html"
    assert run("environment", OUTPUT=page)["MISSING"] == ""
    assert Qgis.version() in page.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [  # one that is refused before the run, and one in it; `test_checks` and `test_bad_input` have the others
        ({"EXTEND": "0,1,0,1"}, "Unknown parameter EXTEND. Did you mean EXTENT?"),
        ({"EXTENT": "-20,-19,-60,-59 [EPSG:4326]"}, "EXTENT"),
    ],
)
def test_bad_input_is_one_sentence_exit_code_1_and_no_file(qgis, inputs, tmp_path, changes, sentence):
    parameters = {**inputs, "OUTPUT": tmp_path / "ice.tif", **changes}
    done = qgis.run("floelens:predict", **parameters)
    assert done.returncode == 1
    assert sentence in said(done)
    assert "Traceback" not in said(done)
    assert list(tmp_path.iterdir()) == []


def test_python_and_the_command_line_give_the_same_bytes(qgis, scene, tmp_path, provider):
    import processing

    (tmp_path / "python").mkdir()
    made = {name: str(tmp_path / "python" / Path(path).name) for name, path in scene.items()}
    processing.run("floelens:simulatescene", {"SEED": 11, "ROWS": 220, "COLS": 250, **made})
    for name, path in scene.items():
        assert Path(path).read_bytes() == Path(made[name]).read_bytes(), name


@pytest.mark.parametrize("model", ["trial-concentration", pytest.param("trial-type", marks=pytest.mark.slow)])
def test_a_model_of_the_designer_gives_by_python_the_bytes_of_the_command_line(
    qgis, tmp_path, provider, monkeypatch, packages, model
):
    """It chains four algorithms. As many threads in both, since the order of sums depends on their number."""
    import processing

    # In this process other tests may have changed the number.
    threads = JOB_THREADS.run(lambda _caller: torch.get_num_threads())
    qgis = replace(qgis, variables={"FLOELENS_MODELS": str(packages), "OMP_NUM_THREADS": str(threads)})
    monkeypatch.setenv("FLOELENS_MODELS", str(packages))
    files = {
        "prediction:Predicted ice": "ice.tif",
        "evidence:Relevance of SAR": "sar_relevance.tif",
        "evidence:Relevance of MWR": "mwr_relevance.tif",
        "evidence:Relevance report": "relevance.html",
        "scores:Z-scores": "scores.csv",
        "scores:Z-scores by zone": "zones.gpkg",
        "scores:Z-score report": "scores.html",
    }
    folders = {name: tmp_path / name for name in ("command", "python")}
    outputs = {}
    for name, folder in folders.items():
        folder.mkdir()
        outputs[name] = {output: str(folder / file) for output, file in files.items()}
    settings = {"SEED": 2, "SIZE": 150, "MODEL": model}
    found = results(qgis.run(str(MODEL_FILE), **settings, **outputs["command"]))
    assert {name: found[name] for name in files} == outputs["command"]
    chain = QgsProcessingModelAlgorithm()
    assert chain.fromFile(str(MODEL_FILE))
    chain.initAlgorithm()
    processing.run(chain, {**settings, **outputs["python"]})
    names = sorted(path.name for path in folders["command"].iterdir())
    assert names == sorted(path.name for path in folders["python"].iterdir())
    assert set(files.values()) < set(names)
    assert all(path.stat().st_size for path in folders["command"].iterdir())
    alike = [name for name in names if name.endswith((".tif", ".csv", ".csvt", ".qml"))]
    assert len(alike) >= 8
    for name in alike:  # reports name their files, a GeoPackage the time
        assert (folders["command"] / name).read_bytes() == (folders["python"] / name).read_bytes(), name
