"""Each kind of bad input: one clear sentence, and no file left, whatever outputs were asked for."""

from __future__ import annotations

import contextlib
import pickle
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
from floelens.tests.plugin.algorithms.damage import change, cut, fill, weights_of, with_weights
from floelens.tests.plugin.io.rasters import open_to_change
from qgis.core import QgsProcessingException, QgsProcessingFeedback

ROWS, COLS = 150, 175
OUTPUTS = {
    "predict": {"OUTPUT": "ice.tif", "PROBABILITIES": "p.tif", "UNCERTAINTY": "u.tif", "COVERAGE": "k.tif"},
    "relevance": {"SAR_RELEVANCE": "sar_r.tif", "MWR_RELEVANCE": "mwr_r.tif", "REPORT": "r.html"},
    "contributions": {"OUTPUT": "part.tif"},
    "ablation": {"OUTPUT": "lost.tif", "TABLE": "lost.csv"},
    "zscores": {"OUTPUT": "z.csv", "ZONE_ZSCORES": "z.gpkg", "REPORT": "z.html", "STATE": "z.npz"},
    "simulatescene": {"SAR": "s.tif", "MWR": "m.tif", "CHART": "c.tif"},
}
QUICK = {
    "zscores": {"CHANNEL_METHOD": "none"},
    "ablation": {"GROUPS": "sensor"},
    "contributions": {"METHOD": "gated"},
}
# Scenes and models are read in one way by all (`jobs/common/inputs.py`): one stands for them.
READING = ("predict",)


@pytest.fixture(scope="module")
def scene(provider, tmp_path_factory) -> dict[str, str]:
    """Return a small simulated scene, on an affine grid."""
    import processing

    folder = tmp_path_factory.mktemp("scene")
    paths = {name: str(folder / f"{name.lower()}.tif") for name in ("SAR", "MWR")}
    settings = {"SEED": 4, "ROWS": ROWS, "COLS": COLS, "GEOREFERENCING": "projected"}
    processing.run("floelens:simulatescene", {**settings, **paths})
    return paths


@pytest.fixture
def place(tmp_path) -> Path:
    """Return an empty folder for results."""
    folder = tmp_path / "results"
    folder.mkdir()
    return folder


@pytest.fixture
def good(scene, packages, tmp_path) -> dict[str, str]:
    """Return parameters with which a run succeeds, on copies that a test may spoil."""
    copies = {name: shutil.copy(path, tmp_path) for name, path in scene.items()}
    model = shutil.copytree(packages / "trial-concentration", tmp_path / "model")
    return {**copies, "MODEL": str(model)}


@pytest.fixture
def run(provider, context, place):
    """Return a function that runs an algorithm with every output it has, checked first as QGIS does."""

    def call(name: str, parameters: dict, feedback: QgsProcessingFeedback | None = None) -> dict:
        algorithm = provider.algorithm(name).create()
        outputs = {key: str(place / file) for key, file in OUTPUTS[name].items()}
        parameters = {**outputs, **QUICK.get(name, {}), **parameters}
        ok, message = algorithm.checkParameterValues(parameters, context)
        if not ok:
            raise QgsProcessingException(message)
        feedback = feedback or QgsProcessingFeedback()
        return algorithm.run(parameters, context, feedback, {}, False)[0]  # False: errors are raised

    return call


@pytest.fixture
def refused(run, place):
    """Return a function that runs what must fail and returns the sentence; nothing may be left."""

    def call(name: str, parameters: dict, feedback: QgsProcessingFeedback | None = None) -> str:
        with pytest.raises(QgsProcessingException) as caught:
            run(name, parameters, feedback)
        message = str(caught.value)
        assert "\n" not in message
        assert "unexpectedly" not in message
        assert "Traceback" not in message
        assert message.endswith((".", "?"))
        assert list(place.iterdir()) == []
        return message

    return call


@pytest.mark.parametrize("name", OUTPUTS)
def test_good_input_writes_every_output(run, good, place, name):
    run(name, good if name != "simulatescene" else {"ROWS": 60, "COLS": 60})
    assert {file.name for file in place.iterdir()} >= set(OUTPUTS[name].values())


@pytest.mark.parametrize("name", READING)
class TestTheScene:
    def test_a_missing_band_is_named(self, refused, good, name):
        change(good["SAR"], bands=[1])
        message = refused(name, good)
        assert "hv" in message
        assert good["SAR"] in message

    def test_a_missing_band_of_the_radiometer_is_named(self, refused, good, name):
        change(good["MWR"], bands=list(range(1, 14)))
        assert "btemp_89_0v" in refused(name, good)

    def test_a_wrong_number_of_unnamed_bands_is_told(self, refused, good, name):
        change(good["SAR"], bands=[1, 2, 2], names=False)
        message = refused(name, good)
        assert "3" in message
        assert good["SAR"] in message

    def test_a_file_that_is_no_raster(self, refused, good, name):
        Path(good["MWR"]).write_text("not a raster")
        assert refused(name, good).startswith("MWR: ")

    @pytest.mark.parametrize("which", ["SAR", "MWR"])
    @pytest.mark.parametrize("share", [0.001, 0.5, 0.97])
    def test_a_truncated_file(self, refused, good, name, which, share):
        cut(good[which], share)
        assert good[which] in refused(name, good)

    @pytest.mark.parametrize("which", ["SAR", "MWR"])
    def test_a_raster_without_georeferencing(self, refused, good, name, which):
        change(good[which], transform=None, crs=None)
        message = refused(name, good)
        assert "georeferenc" in message
        assert good[which] in message

    def test_radiometry_of_another_place(self, refused, good, name):
        with rasterio.open(good["MWR"]) as raster:
            moved = rasterio.Affine.translation(1e6, 0) * raster.transform
        change(good["MWR"], transform=moved)
        message = refused(name, good)
        assert "does not overlap" in message
        assert good["MWR"] in message

    @pytest.mark.parametrize("which", ["SAR", "MWR"])
    def test_a_scene_without_data(self, refused, good, name, which):
        fill(good[which], np.nan)
        assert "data" in refused(name, good)

    def test_a_scene_of_the_declared_nodata_value(self, refused, good, name):
        change(good["SAR"], nodata=-9999.0)
        fill(good["SAR"], -9999.0)
        assert "No pixel of" in refused(name, good)

    def test_an_unknown_parameter(self, refused, good, name):
        assert refused(name, {**good, "EXTEND": "0,1,0,1"}).startswith("Unknown parameter EXTEND")

    def test_a_missing_folder(self, refused, good, place, name):
        output = next(iter(OUTPUTS[name]))
        path = str(place / "no" / OUTPUTS[name][output])
        assert "does not exist" in refused(name, {**good, output: path})


@pytest.mark.parametrize("name", ["relevance", "contributions", "ablation", "zscores"])
def test_the_other_algorithms_refuse_a_spoilt_scene_and_a_spoilt_model_too(refused, good, name):
    with_weights(good["MODEL"], pickle.dumps({"output.weight": 1}))
    assert "hold pickled code" in refused(name, good)
    Path(good["MWR"]).write_text("not a raster")  # seen before the model is read
    assert refused(name, good).startswith("MWR: ")


@pytest.mark.parametrize(
    ("changes", "said"), [({"HEAD": "floe"}, "'floe'"), ({"CHANNELS": "hh=7,hv=8"}, "7")]
)
def test_a_head_or_a_band_that_is_not_there_is_named(refused, good, changes, said):
    assert said in refused("predict", {**good, **changes})


@pytest.mark.parametrize("name", [*READING, "inspectmodel"])
class TestTheModel:
    @pytest.fixture(autouse=True)
    def page(self, monkeypatch):
        monkeypatch.setitem(OUTPUTS, "inspectmodel", {"OUTPUT": "model.html"})

    @pytest.fixture
    def refusing(self, refused, good, name):
        """Return a function that runs the algorithm with the model and returns the sentence."""
        parameters = {"MODEL": good["MODEL"]} if name == "inspectmodel" else good
        return lambda **changes: refused(name, {**parameters, **changes})

    def test_an_unknown_id_lists_the_known_ones(self, refusing):
        message = refusing(MODEL="no-such-model")
        assert message.startswith("There is no model 'no-such-model'")
        assert "aspp-concentration-sim" in message

    def test_weights_of_another_checksum(self, refusing, good):
        content = bytearray(weights_of(Path(good["MODEL"])))
        content[-1] ^= 1
        with_weights(good["MODEL"], bytes(content), checksum=False)
        assert "are not those of the card: their sha256 is" in refusing()

    def test_a_card_that_does_not_match_its_weights(self, refusing, good, packages):
        with_weights(good["MODEL"], weights_of(packages / "trial-type"))
        assert "does not match its weights" in refusing()

    def test_a_pickle_in_place_of_safetensors(self, refusing, good):
        with_weights(good["MODEL"], pickle.dumps({"output.weight": 1}))
        assert "hold pickled code" in refusing()

    def test_a_pickle_given_as_the_model(self, refusing, tmp_path):
        (tmp_path / "network.pt").write_bytes(pickle.dumps({}))
        assert "may hold pickled code" in refusing(MODEL=str(tmp_path / "network.pt"))

    def test_truncated_weights_and_a_truncated_card(self, refusing, good):
        content = weights_of(Path(good["MODEL"]))
        with_weights(good["MODEL"], content[: len(content) // 2])
        assert "are no valid safetensors file" in refusing()
        cut(str(Path(good["MODEL"]) / "card.json"), 0.5)
        assert "card.json" in refusing()


@contextlib.contextmanager
def largest_file(size: int):
    """Let no file grow beyond `size` bytes, as on a full disk."""
    resource = pytest.importorskip("resource", reason="limits of file sizes need POSIX")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("name", OUTPUTS)
@pytest.mark.parametrize("room", [0, 6000])
def test_no_room_on_the_disk(refused, good, name, room):
    parameters = good if name != "simulatescene" else {"ROWS": ROWS, "COLS": COLS}
    with largest_file(room):
        message = refused(name, parameters)
    assert "Check that the disk has room" in message


@pytest.mark.parametrize(("room", "file"), [(20_000, "z.npz"), (60_000, "z.gpkg"), (150_000, "z.html")])
def test_no_room_for_a_later_output_names_it_and_leaves_none(refused, good, place, room, file):
    with largest_file(room):
        message = refused("zscores", good)
    assert message.startswith(f"{place / file} could not be written")


@pytest.fixture
def with_a_map(good, tmp_path) -> dict[str, str]:
    """Return good parameters with a model that reads an ancillary channel."""
    import torch
    from floelens.plugin.io.transaction.packages import save_package
    from floelens.plugin.networks.aspp.card import aspp_card
    from floelens.plugin.networks.card import Head, HeadClass
    from floelens.plugin.networks.package import build
    from floelens.plugin.networks.standard_channels import MWR_CHANNELS, standard_channels

    torch.manual_seed(1)
    head = Head("concentration", "sigmoid", (HeadClass("ice", 1, "#ff0000", percent=100),), unit="%")
    channels = standard_channels(("hh", "hv", "distance_map", *MWR_CHANNELS), 25)
    settings = {"title": "trial", "pixel_size_m": 80.0, "channels": channels}
    card = aspp_card("trial-map", "interpretability_small", 25, [head], **settings)
    save_package(tmp_path / "map-model", card, build(card).eval())
    path = str(shutil.copy(good["SAR"], tmp_path / "map.tif"))
    change(path, bands=[1])
    with open_to_change(path) as raster:
        raster.descriptions = ("distance_map",)
    return {**good, "MODEL": str(tmp_path / "map-model"), "ANCILLARY": [path]}


def test_a_folder_for_ancillary_channels_is_made_and_goes_again_where_the_run_fails(
    run, refused, with_a_map, place
):
    folder = place / "ancillary"
    parameters = {**with_a_map, "ANCILLARY_RELEVANCE_FOLDER": str(folder)}
    assert "walrus" in refused("relevance", {**parameters, "CLASS": "walrus"})
    with largest_file(6000):
        refused("relevance", parameters)
    run("relevance", parameters)
    assert {path.name for path in folder.iterdir()} == {
        "relevance_distance_map.tif",
        "relevance_distance_map.qml",
    }
    made = run("relevance", {**parameters, "ANCILLARY_RELEVANCE_FOLDER": "TEMPORARY_OUTPUT"})
    assert (Path(made["ANCILLARY_RELEVANCE_FOLDER"]) / "relevance_distance_map.tif").is_file()


def test_an_output_the_network_cannot_make_is_refused(refused, good, place):
    folder = str(place / "ancillary")
    message = refused("relevance", {**good, "ANCILLARY_RELEVANCE_FOLDER": folder})
    assert "leave ANCILLARY_RELEVANCE_FOLDER empty" in message


def test_the_second_style_of_zones_overwrites_nothing(refused, good, place):
    zones = str(place / "zones.gpkg")
    parameters = {**good, "OUTPUT": str(place / "z.csv"), "ZONE_ZSCORES": zones}
    message = refused("zscores", {**parameters, "STANDARDISED": str(place / "zones_z.tif")})
    assert "The style of ZONE_ZSCORES by z" in message
    assert "zones_z.qml" in message


def test_a_loaded_layer_is_not_overwritten_by_a_result(refused, context, good):
    """A dialog gives a layer by its id."""
    from qgis.core import QgsProject, QgsRasterLayer

    project = QgsProject()
    layer = QgsRasterLayer(good["SAR"], "my sar")
    project.addMapLayer(layer)
    context.setProject(project)
    before = Path(good["SAR"]).read_bytes()
    message = refused("predict", {**good, "SAR": layer.id(), "OUTPUT": good["SAR"]})
    assert "OUTPUT and an input are the same file" in message
    assert Path(good["SAR"]).read_bytes() == before


def test_a_very_long_text_is_told_as_any_other(refused, good):
    assert "walrus" in refused("predict", {**good, "CHANNELS": "hh=1,hv=2,walrus=3," + "x" * 5000})


@pytest.mark.parametrize("name", OUTPUTS)
def test_cancel_half_way(refused, good, name):
    parameters = good if name != "simulatescene" else {"ROWS": ROWS, "COLS": COLS}
    feedback = QgsProcessingFeedback()
    feedback.progressChanged.connect(lambda percent: feedback.cancel() if percent > 0 else None)
    message = refused(name, parameters, feedback)
    assert message.startswith("Stopped")


@pytest.mark.parametrize("name", OUTPUTS)
def test_cancel_before_the_beginning(refused, good, name):
    parameters = good if name != "simulatescene" else {"ROWS": ROWS, "COLS": COLS}
    feedback = QgsProcessingFeedback()
    feedback.cancel()
    refused(name, parameters, feedback)


@pytest.mark.parametrize("method", ["gradient_x_input", "integrated_gradients", "lrp_epsilon"])
def test_cancel_while_a_tile_is_explained_stops_within_it(refused, good, monkeypatch, method):
    from floelens.plugin.core.streaming import engine

    feedback = QgsProcessingFeedback()
    asked = []

    def ask(progress, check=engine.check_cancelled):
        asked.append(feedback.isCanceled())
        check(progress)
        feedback.cancel()  # the first question comes with the first tile

    for module in ("streaming.engine", "relevance.run", "relevance.steps"):
        monkeypatch.setattr(f"floelens.plugin.core.{module}.check_cancelled", ask)
    refused("relevance", {**good, "METHOD": method}, feedback)
    assert asked in ([False], [False, True])  # the next question, or report, was the last


@pytest.mark.parametrize("name", OUTPUTS)
def test_what_was_not_asked_for_is_not_made(provider, context, good, place, name):
    first, file = next(iter(OUTPUTS[name].items()))
    given = good if name != "simulatescene" else {"ROWS": 60, "COLS": 60}
    parameters = {**given, **QUICK.get(name, {}), first: str(place / file)}
    algorithm = provider.algorithm(name).create()
    results, ok = algorithm.run(parameters, context, QgsProcessingFeedback())
    assert ok
    assert not {"REPORT_JSON", "REPORT_CSV", *list(OUTPUTS[name])[1:]} & set(results)
    stem = Path(file).stem
    assert {path.stem for path in place.iterdir()} == {stem}
    assert {path.suffix for path in place.iterdir()} <= {".tif", ".qml", ".csv", ".csvt"}


class TestTheCommandLine:
    """The same sentences with exit code 1, for one case of each place that can refuse."""

    @pytest.fixture
    def said(self, qgis_process, good, place):
        def call(name: str, **changes: object) -> str:
            qgis = replace(qgis_process, variables={"OMP_NUM_THREADS": "1"})
            outputs = {key: place / file for key, file in OUTPUTS[name].items()}
            done = qgis.run(f"floelens:{name}", **{**outputs, **good, **changes})
            assert done.returncode == 1
            assert list(place.iterdir()) == []
            assert "Traceback" not in done.stdout + done.stderr
            return done.stdout + done.stderr

        return call

    @pytest.mark.parametrize(
        ("spoil", "sentence"),
        [
            # The same sentences are tested above, in this process.
            *(
                pytest.param(*case, id=name, marks=pytest.mark.slow)
                for name, *case in (
                    ("missing band", lambda good: change(good["SAR"], bands=[1]), "No band named 'hv'"),
                    ("band count", lambda good: change(good["SAR"], bands=[1, 2, 2], names=False), "3"),
                    ("unreadable", lambda good: cut(good["MWR"], 0.001), "MWR: "),
                    ("truncated", lambda good: cut(good["SAR"], 0.97), "sar.tif"),
                    (
                        "no georeferencing",
                        lambda good: change(good["SAR"], transform=None, crs=None),
                        "georeferenc",
                    ),
                    ("all nodata", lambda good: fill(good["SAR"], np.nan), "No pixel of"),
                )
            ),
        ],
    )
    def test_spoilt_scenes(self, said, good, spoil, sentence):
        spoil(good)
        assert sentence in said("predict")

    @pytest.mark.slow
    def test_weights_of_another_checksum(self, said, good):
        content = bytearray(weights_of(Path(good["MODEL"])))
        content[-1] ^= 1
        with_weights(good["MODEL"], bytes(content), checksum=False)
        assert "are not those of the card: their sha256 is" in said("relevance")

    @pytest.mark.slow
    def test_a_card_that_does_not_match_its_weights(self, said, good, packages):
        with_weights(good["MODEL"], weights_of(packages / "trial-type"))
        assert "does not match its weights" in said("zscores")

    def test_no_room(self, said):
        with largest_file(6000):
            assert "Check that the disk has room" in said("predict")

    @pytest.mark.slow  # `test_killed_runs` kills jobs; this one goes through the command line
    def test_a_run_that_is_killed_leaves_nothing_under_its_name_and_the_next_one_sweeps(
        self, qgis_process, good, place
    ):
        """A terminal's Ctrl-C or a batch system's kill is the only cancel that a command line knows."""
        outputs = {key: place / file for key, file in OUTPUTS["predict"].items()}
        command = qgis_process.command("floelens:predict", **{**good, **outputs})
        running = subprocess.Popen(
            command, env=qgis_process.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        while running.poll() is None and not any(place.iterdir()):  # until its first temporary file is there
            with contextlib.suppress(subprocess.TimeoutExpired):
                running.wait(timeout=0.01)
        running.terminate()
        assert running.wait() != 0
        assert not {file.name for file in place.iterdir()} & set(OUTPUTS["predict"].values())
        done = qgis_process.run("floelens:predict", **{**good, "OUTPUT": outputs["OUTPUT"]})
        assert done.returncode == 0
        assert {file.name for file in place.iterdir()} == {"ice.tif", "ice.qml"}

    @pytest.mark.slow
    def test_no_overlap(self, said, good):
        with rasterio.open(good["MWR"]) as raster:
            moved = rasterio.Affine.translation(1e6, 0) * raster.transform
        change(good["MWR"], transform=moved)
        assert "does not overlap" in said("zscores")

    def test_a_pickle(self, said, good):
        with_weights(good["MODEL"], pickle.dumps({"output.weight": 1}))
        assert "hold pickled code" in said("relevance")
