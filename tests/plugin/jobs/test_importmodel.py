"""A file of weights becomes a model that all jobs take; a dry run says what is missing and writes nothing."""

from __future__ import annotations

import dataclasses
import json
import re

import numpy as np
import pytest
import rasterio
import torch
from floelens.plugin.core.selftest import run as selftest
from floelens.plugin.ground.errors import ModelError, OutputError, ParameterError
from floelens.plugin.ground.protocols import Silent
from floelens.plugin.io.transaction import replacement
from floelens.plugin.jobs.common.inputs import Compute, SceneInputs
from floelens.plugin.jobs.importmodel import ImportModel
from floelens.plugin.jobs.inspect import InspectModel
from floelens.plugin.jobs.predict import Predict
from floelens.plugin.jobs.relevance import Relevance
from floelens.plugin.networks import registry
from floelens.plugin.networks.card import ModelCard
from floelens.plugin.networks.package import load
from floelens.tests.plugin.networks.families.definitions import StarterKit, Steps, drawn


@pytest.fixture(autouse=True)
def own_models(monkeypatch, tmp_path):
    """Let models be installed into a folder of the test alone."""
    monkeypatch.setattr(registry, "user_folder", lambda: tmp_path / "user")
    monkeypatch.setenv(registry.VARIABLE, "")


def saved(path, network, **beside):
    weights = drawn(network).state_dict()
    torch.save({**beside, "model_state_dict": weights} if beside else weights, path)
    return str(path)


def test_a_checkpoint_becomes_a_model_that_predicts_and_explains(tmp_path, scene):
    """HH and HV of a simulated scene, radiometry of two channels; the map equals the network's own."""
    network = Steps(channels=4, filters=(4, 6, 6), transposed=True)
    file = saved(
        tmp_path / "last.ckpt", network, epoch=7, optimizer_state_dict={"state": {}, "param_groups": []}
    )
    results = ImportModel(
        file,
        family="unet",
        name="Our U-Net 3",
        channels="hh,btemp_18_7h,hv,btemp_36_5v",
        pixel_size=80.0,
        order="skip_first",
        licence="CC-BY-4.0",
        report=str(tmp_path / "import.html"),
    ).run(Silent())
    assert results["MODEL_ID"] == "our-u-net-3"
    assert results["TESTS_FAILED"] == 0
    assert (tmp_path / "user" / "our-u-net-3" / "README.md").exists()
    page = (tmp_path / "import.html").read_text(encoding="utf-8")
    assert all(words in page for words in ("Self-test", "ORDER=skip_first", "btemp_36_5v", "CC-BY-4.0"))

    inspected = InspectModel("our-u-net-3", str(tmp_path / "page.html")).run(Silent())
    assert (inspected["ALIGNMENT"], inspected["PARAMETERS"]) == (100, results["PARAMETERS"])
    predicted = str(tmp_path / "ice.tif")
    Predict(scene=scene.inputs, model="our-u-net-3", output=predicted).run(Silent())
    with rasterio.open(predicted) as raster, rasterio.open(scene.sar) as sar, rasterio.open(scene.mwr) as mwr:
        mapped = raster.read(1)
        assert mapped.shape == sar.shape
        card, _ = load("our-u-net-3")
        stats = {channel.name: (channel.mean, channel.sd) for channel in card.channels}
        bands = {
            name: raster.read(place + 1)
            for raster in (sar, mwr)
            for place, name in enumerate(raster.descriptions)
        }
    assert mwr.shape == tuple(-(-side // 25) for side in mapped.shape)
    # Cells of the network are those of the raster.
    full = [
        np.kron(bands[name], np.ones((25, 25)))[: mapped.shape[0], : mapped.shape[1]]
        if name.startswith("btemp")
        else bands[name]
        for name in ("hh", "btemp_18_7h", "hv", "btemp_36_5v")
    ]
    standard = np.stack(
        [(v - stats[n][0]) / stats[n][1] for n, v in zip(("hh", "btemp_18_7h", "hv", "btemp_36_5v"), full)]
    )
    standard = torch.from_numpy(np.nan_to_num(standard))[None].float()
    expected = 100 / (1 + np.exp(-network(standard)[0, 0].numpy()))
    inside = np.isfinite(mapped)
    np.testing.assert_allclose(mapped[inside], expected[inside], atol=1e-2)
    explained = Relevance(
        scene=scene.inputs, model="our-u-net-3", sar_relevance=str(tmp_path / "relevance.tif")
    ).run(Silent())
    assert explained["RELATIVE_RESIDUAL"] < 1e-5


def test_package_and_report_are_written_together_or_not_at_all(tmp_path, monkeypatch):
    """The last file that gets its name is refused: what was there stays, and nothing new does."""
    file = saved(tmp_path / "w.pt", Steps(channels=3, filters=(4, 4), transposed=True))
    job = ImportModel(file, name="mine", pixel_size=40.0, report=str(tmp_path / "reports" / "r.html"))
    with pytest.raises(OutputError):  # the folder of the report is missing
        job.run(Silent())
    assert not (tmp_path / "user" / "mine").exists()
    (tmp_path / "reports").mkdir()
    job.run(Silent())
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    put = replacement.Entry.put

    def refused(entry):
        if entry.final.name == "card.json":
            raise PermissionError(13, "in use", str(entry.final))
        put(entry)

    monkeypatch.setattr(replacement.Entry, "put", refused)
    with pytest.raises(OutputError, match="cannot be replaced"):
        dataclasses.replace(job, licence="CC0-1.0").run(Silent())
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_the_page_of_an_inspection_shows_what_the_import_found_and_the_same_self_test(tmp_path):
    file = saved(tmp_path / "w.pt", Steps(channels=3, filters=(4, 4), transposed=True))
    ImportModel(file, name="mine", pixel_size=40.0, report=str(tmp_path / "import.html")).run(Silent())
    results = InspectModel("mine", str(tmp_path / "page.html")).run(Silent())
    assert results["TESTS_FAILED"] == 0
    pages = [(tmp_path / name).read_text(encoding="utf-8") for name in ("import.html", "page.html")]

    def section(page: str, title: str) -> str:
        return page.split(f">{title}</h2>")[1].split("<h2")[0]

    for title in (
        "Found in the file",
        "Assumed, since the file does not tell",
        "Channels",
        "Heads and classes",
    ):
        assert section(pages[0], title) == section(pages[1], title), title
    rows = [re.findall(r"<td[^>]*>([^<]*)</td>", section(page, "Self-test"))[::4] for page in pages]
    assert rows[0] == rows[1]
    assert len(rows[0]) > 10
    assert "was measured." not in pages[1]  # a card that allows for more than was measured is no difference


def test_a_network_that_depends_on_the_whole_image_runs_on_whole_scenes_or_says_what_it_needs(
    tmp_path, scene
):
    file = saved(tmp_path / "w.pt", Steps(channels=2, filters=(4, 4)))
    options = {"channels": "hh,hv", "pixel_size": 80.0, "order": "skip_first", "name": "aligned"}
    ImportModel(file, family="unet", **options).run(Silent())
    with pytest.raises(ParameterError, match="run at once"):
        Predict(
            scene=SceneInputs(scene.sar),
            model="aligned",
            output=str(tmp_path / "no.tif"),
            compute=Compute(memory_mib=16),
        ).run(Silent())
    maps = []
    for memory in (400, 4000):
        path = str(tmp_path / f"{memory}.tif")
        Predict(
            scene=SceneInputs(scene.sar), model="aligned", output=path, compute=Compute(memory_mib=memory)
        ).run(Silent())
        with rasterio.open(path) as raster:
            maps.append(raster.read(1))
    np.testing.assert_array_equal(*maps)
    network = drawn(Steps(channels=2, filters=(4, 4)))
    with rasterio.open(scene.sar) as sar:
        values = sar.read()[:2]
    card, _ = load("aligned")
    standard = np.stack([(v - c.mean) / c.sd for v, c in zip(values, card.channels)])
    standard = torch.from_numpy(np.nan_to_num(standard))[None].float()
    expected = 100 / (1 + np.exp(-network(standard)[0, 0].numpy()))
    inside = np.isfinite(maps[0])
    np.testing.assert_allclose(maps[0][inside], expected[inside], atol=1e-2)


def test_a_network_that_depends_on_the_whole_image_runs_in_windows_and_says_what_their_seams_are(
    tmp_path, scene, recorder
):
    file = saved(tmp_path / "w.pt", Steps(channels=2, filters=(4, 4)))
    options = {"channels": "hh,hv", "pixel_size": 80.0, "order": "skip_first", "name": "aligned"}
    results = ImportModel(file, family="unet", window=64, **options).run(recorder)
    assert "windows of 64 x 64 pixels that overlap by 16 at least" in results["FOUND"]
    card, _ = load("aligned")
    assert (card.window.size, card.window.overlap) == (64, 16)
    assert ModelCard.from_json(card.to_dict()) == card
    path = str(tmp_path / "map.tif")
    Predict(scene=SceneInputs(scene.sar), model="aligned", output=path).run(recorder)
    with rasterio.open(path) as raster:
        tags = raster.tags()
    assert tags["FLOELENS_WINDOW"] == "64 x 64, every 48 pixels"
    numbers = re.fullmatch(
        r"median (\S+), 95 % (\S+), largest (\S+) % \(\d+ pixels\)", tags["FLOELENS_SEAMS"]
    )
    median, high, largest = map(float, numbers.groups())
    assert 0 <= median <= high <= largest < 100
    assert largest > 0
    page = tmp_path / "report.html"
    Relevance(
        scene=SceneInputs(scene.sar), model="aligned", sar_relevance=str(tmp_path / "r.tif"), report=str(page)
    ).run(recorder)
    assert "Where windows overlap" in page.read_text(encoding="utf-8")
    with rasterio.open(tmp_path / "r.tif") as raster:
        assert raster.tags()["FLOELENS_SEAMS"].startswith("median")
    assert (
        "WINDOW is not needed"
        in (
            ImportModel(file, family="unet", upsampling="nearest", check_only=True, window=64, **options).run(
                recorder
            )["FOUND"]
        )
    )


def test_a_dry_run_lists_what_is_found_and_needed_and_writes_no_package(tmp_path, recorder):
    file = saved(tmp_path / "w.pt", Steps(channels=5))
    job = ImportModel(file, family="unet", check_only=True, report=str(tmp_path / "dry.html"))
    results = job.run(recorder)
    assert not (tmp_path / "user").exists()
    assert "4-6-8-8 filters" in results["FOUND"]
    assert all(name in results["NEEDED"] for name in ("ORDER", "CHANNELS", "PIXEL_SIZE"))
    assert len(recorder.warnings) == 3
    assert "Still needed" in (tmp_path / "dry.html").read_text(encoding="utf-8")
    with pytest.raises(ModelError, match="CHANNELS: the names of the 5 inputs"):
        ImportModel(file, family="unet").run(recorder)


def test_a_card_by_hand_holds_before_what_is_published(tmp_path):
    card = {
        "title": "Types",
        "licence": "CC0-1.0",
        "pixel_size_m": 40,
        "channels": [
            {"name": name, "sensor": "sar", "grid": "fine", "unit": "dB", "mean": -1, "sd": 2, "fill": 3}
            for name in ("hh", "hv")
        ],
        "heads": [
            {
                "name": "type",
                "kind": "softmax",
                "classes": [
                    {"name": n, "value": v, "colour": "#00ff00"} for v, n in enumerate(("a", "b", "c"))
                ],
            }
        ],
    }
    (tmp_path / "card.json").write_text(json.dumps(card), encoding="utf-8")
    file = saved(tmp_path / "w.pt", Steps(channels=2, filters=(4, 4), outputs=4))
    job = ImportModel(file, family="uit", card=str(tmp_path / "card.json"), upsampling="nearest")
    assert job.run(Silent())["TESTS_FAILED"] == 0
    made, module = load("types")
    assert [(c.name, c.mean, c.fill) for c in made.channels] == [("hh", -1.0, 3.0), ("hv", -1.0, 3.0)]
    assert made.head("type").outputs == 3  # the fourth output stands for masked pixels
    assert module(torch.zeros(1, 2, 16, 16), None).shape == (1, 3, 16, 16)


def test_a_model_that_is_installed_elsewhere_is_not_replaced(tmp_path):
    file = saved(tmp_path / "w.pt", Steps(channels=3, filters=(4, 4), transposed=True))
    ImportModel(file, name="mine", pixel_size=40.0).run(Silent())
    again = ImportModel(file, name="mine", pixel_size=40.0).run(Silent())  # the same place: replaced
    assert again["MODEL_ID"] == "mine"
    network = drawn(Steps(channels=3, filters=(4, 4), transposed=True), seed=2)
    torch.save(network.state_dict(), tmp_path / "other.pt")
    other = ImportModel(str(tmp_path / "other.pt"), name="mine", pixel_size=40.0)
    kept = (tmp_path / "user" / "mine" / "weights.safetensors").read_bytes()
    with pytest.raises(ModelError, match="'mine' of other weights is installed"):
        other.run(Silent())
    assert (tmp_path / "user" / "mine" / "weights.safetensors").read_bytes() == kept
    dataclasses.replace(other, output=str(tmp_path / "user" / "mine")).run(Silent())  # as asked for
    assert (tmp_path / "user" / "mine" / "weights.safetensors").read_bytes() != kept
    with pytest.raises(ModelError, match="installed already"):
        ImportModel(file, name="mine", pixel_size=40.0, output=str(tmp_path / "other")).run(Silent())
    with pytest.raises(ModelError, match="holds the model 'mine'"):
        ImportModel(file, name="yours", pixel_size=40.0, output=str(tmp_path / "user" / "mine")).run(Silent())


def test_no_model_is_put_into_the_plugins_own_folder(tmp_path):
    """It is deleted when the plugin is updated."""
    file = saved(tmp_path / "w.pt", Steps(channels=3, filters=(4, 4), transposed=True))
    with pytest.raises(ModelError, match="deleted when the plugin is updated"):
        ImportModel(file, name="mine", pixel_size=40.0, output=str(registry.BUNDLED / "mine")).run(Silent())
    assert not (registry.BUNDLED / "mine").exists()


def test_the_self_test_finds_a_receptive_field_that_is_too_small_and_weights_that_overflow(tmp_path):
    file = saved(tmp_path / "w.pt", Steps(channels=3, filters=(4, 4), transposed=True))
    ImportModel(file, name="mine", pixel_size=40.0).run(Silent())
    card, module = load("mine")
    small = dataclasses.replace(card, receptive_field_radius=3)
    checks = selftest.run_selftest(small, module, Silent())
    failed = {check.name.split(" (")[0] for check in checks if check.passed is False}
    assert {"receptive-field radius", "tiles against the whole image"} <= failed
    module.get_submodule(
        next(name for name, _ in module.named_children() if name.startswith("head"))
    ).bias.fill_(1e38)
    module.get_submodule("level_0_1_conv").weight.fill_(1e38)
    failed = {check.name for check in selftest.run_selftest(card, module, Silent()) if check.passed is False}
    assert "logits of random inputs of the card's statistics" in failed


def test_the_starter_kits_network_gets_three_heads_and_its_channels(tmp_path):
    file = saved(tmp_path / "best_model.pth", StarterKit(filters=(4, 4)), epoch=1)
    results = ImportModel(file, check_only=True).run(Silent())
    assert (results["FAMILY_FOUND"], results["NEEDED"]) == ("autoice", "")


def test_an_onnx_file_becomes_a_model_once_its_channels_and_heads_are_given(tmp_path, scene):
    from floelens.tests.plugin.io.models.onnx import test_onnx_networks as onnx

    file = tmp_path / "net.onnx"
    file.write_bytes(
        onnx.model([*onnx.BODY, *onnx.PADDED, *onnx.ENDS], onnx.WEIGHTS, outputs=("kind", "ice"))
    )
    dry = ImportModel(str(file), check_only=True).run(Silent())
    assert all(name in dry["NEEDED"] for name in ("CHANNELS", "PIXEL_SIZE", "CARD"))
    classes = [{"name": n, "value": v, "colour": "#00ff00"} for v, n in enumerate("abc")]
    ice = [{"name": "ice", "value": 1, "colour": "#ff0000"}]
    heads = [
        {"name": "type", "kind": "softmax", "classes": classes},
        {"name": "ice", "kind": "sigmoid", "classes": ice, "unit": "%"},
    ]
    (tmp_path / "card.json").write_text(json.dumps({"heads": heads}), encoding="utf-8")
    given = {
        "card": str(tmp_path / "card.json"),
        "channels": "hh,hv",
        "pixel_size": 80.0,
        "name": "From ONNX",
    }
    results = ImportModel(str(file), **given).run(Silent())
    assert (results["FAMILY_FOUND"], results["MODEL_ID"], results["TESTS_FAILED"]) == ("onnx", "from-onnx", 0)
    card, module = load("from-onnx")
    assert (len(card.components), card.alignment) == (4, 2)
    values = onnx.image(40, 50)
    with torch.no_grad():
        torch.testing.assert_close(
            module.double()(values, None), onnx.unet_in_torch(values), rtol=1e-5, atol=1e-6
        )
    Predict(
        scene=SceneInputs(scene.sar), model="from-onnx", head="ice", output=str(tmp_path / "ice.tif")
    ).run(Silent())
    with pytest.raises(ModelError, match="CHANNELS names 3"):
        ImportModel(str(file), **{**given, "channels": "hh,hv,t2m"}).run(Silent())


def test_an_onnx_output_for_masked_pixels_is_never_mapped(tmp_path, scene, monkeypatch):
    """Its head has a class less than outputs; at each pixel the largest of the others is mapped, and explained."""
    from floelens.tests.plugin.io.models.onnx import test_onnx_networks as onnx

    monkeypatch.setattr(selftest, "run_selftest", lambda *_given, **_options: ())
    weights = {**onnx.WEIGHTS, "b4": np.array([0, 0, 1e4], np.float32)}  # masked is always the likeliest
    ends = [
        onnx.node("Conv", ["last", "w4", "b4"], "classes") if node == onnx.ENDS[3] else node
        for node in onnx.ENDS
    ]
    file = tmp_path / "net.onnx"
    file.write_bytes(onnx.model([*onnx.BODY, *onnx.PADDED, *ends], weights, outputs=("kind", "ice")))
    classes = [{"name": n, "value": v, "colour": "#00ff00"} for v, n in ((0, "water"), (7, "ice"))]
    heads = [
        {"name": "type", "kind": "softmax", "classes": classes},
        {"name": "share", "kind": "sigmoid", "classes": [{"name": "ice", "value": 1, "colour": "#ff0000"}]},
    ]
    (tmp_path / "card.json").write_text(json.dumps({"heads": heads}), encoding="utf-8")
    given = {"card": str(tmp_path / "card.json"), "channels": "hh,hv", "pixel_size": 80.0, "name": "masked"}
    ImportModel(str(file), **given).run(Silent())
    card, module = load("masked")
    assert "stands for masked pixels" in " ".join(card.training.details["import"]["assumed"])
    values = onnx.image(40, 50)
    with torch.no_grad():
        torch.testing.assert_close(
            module.double()(values, None), onnx.unet_in_torch(values)[:, [0, 1, 3]], rtol=1e-5, atol=1e-6
        )
    Predict(scene=SceneInputs(scene.sar), model="masked", output=str(tmp_path / "t.tif")).run(Silent())
    with rasterio.open(tmp_path / "t.tif") as raster:
        assert set(np.unique(raster.read(1))) <= {0, 7, 255}
    heads[0]["classes"] = classes[:1]
    heads[0]["kind"] = "sigmoid"
    (tmp_path / "card.json").write_text(json.dumps({"heads": heads}), encoding="utf-8")
    with pytest.raises(ModelError, match="have 2 outputs, but the network has 4"):
        ImportModel(str(file), **given).run(Silent())


def test_onnx_radiometry_as_last_channels_of_one_input_is_read_on_cells(tmp_path):
    from floelens.tests.plugin.io.models.onnx import test_onnx_networks as onnx

    file = tmp_path / "net.onnx"
    nodes = [
        onnx.node("Conv", ["image", "w1", "b1"], "c1", **onnx.CONV),
        onnx.node("Conv", ["c1", "w5"], "ice"),
    ]
    file.write_bytes(onnx.model(nodes, onnx.WEIGHTS, outputs=("ice",)))
    ice = {"name": "ice", "kind": "sigmoid", "classes": [{"name": "ice", "value": 1, "colour": "#ff0000"}]}
    (tmp_path / "card.json").write_text(json.dumps({"heads": [ice]}), encoding="utf-8")
    given = {"card": str(tmp_path / "card.json"), "pixel_size": 400.0, "name": "cells"}
    ImportModel(str(file), **given, channels="hh,btemp_36_5v").run(Silent())
    card, _ = load("cells")
    assert ([c.grid for c in card.channels], card.ratio) == (["fine", "coarse"], 5)
    with pytest.raises(ModelError, match="stands before a fine one"):
        ImportModel(str(file), **{**given, "channels": "btemp_36_5v,hh"}).run(Silent())


def test_nerscs_network_needs_its_channels_and_gets_its_four_types(tmp_path, recorder):
    from floelens.plugin.networks.standard_channels import MWR_CHANNELS
    from floelens.tests.plugin.networks.graph.test_nersc import random_tensors

    np.savez(tmp_path / "w.npz", **random_tensors())
    dry = ImportModel(str(tmp_path / "w.npz"), check_only=True).run(Silent())
    assert (dry["FAMILY_FOUND"], dry["PARAMETERS"]) == ("nersc", 95_060)
    assert "CHANNELS" in dry["NEEDED"]
    sar = {"sensor": "sar", "grid": "fine", "unit": "dB", "mean": 0, "sd": 1}
    mwr = {"sensor": "mwr", "grid": "coarse", "unit": "K", "mean": 200, "sd": 40, "ratio": 5}
    channels = [{"name": name, **sar} for name in ("hh", "hv", "hh_smooth", "hv_smooth")]
    channels += [{"name": name, **mwr} for name in MWR_CHANNELS]
    card = {"channels": channels, "pixel_size_m": 400, "id": "types"}
    (tmp_path / "card.json").write_text(json.dumps(card), encoding="utf-8")
    results = ImportModel(str(tmp_path / "w.npz"), card=str(tmp_path / "card.json")).run(recorder)
    assert results["TESTS_FAILED"] == 0, recorder.warnings
    made, _ = load("types")
    assert [entry.name for entry in made.heads[0].classes][::3] == ["open water", "multi-year ice"]


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"a": np.array([{}], object)}, "without pickles"),
        ({"a": np.array([np.nan])}, "finite real numbers"),
        ({"a": np.array(["text"])}, "finite real numbers"),
        ({"a": np.zeros(20_000)}, "unpacks to more"),
        ({"a": np.ones(3)}, "not those of NERSC"),
    ],
)
def test_archives_that_hold_something_else_are_a_sentence(tmp_path, monkeypatch, arrays, words):
    from floelens.plugin.networks.families import arrays as reader

    monkeypatch.setattr(reader, "MOST_BYTES", 100_000)
    np.savez_compressed(tmp_path / "w.npz", **arrays)
    with pytest.raises(ModelError, match=words):
        ImportModel(str(tmp_path / "w.npz")).run(Silent())
    (tmp_path / "cut.npz").write_bytes((tmp_path / "w.npz").read_bytes()[:60])
    with pytest.raises(ModelError, match="NumPy archive"):
        ImportModel(str(tmp_path / "cut.npz")).run(Silent())


def test_a_stac_item_beside_a_file_says_what_the_file_does_not(tmp_path, monkeypatch):
    """Channels with statistics, heads, pixel size and licence come from it; a parameter holds before it."""
    monkeypatch.setattr(selftest, "run_selftest", lambda *_given, **_options: ())
    file = saved(tmp_path / "net.pt", Steps(channels=2, filters=(4, 4), outputs=3, transposed=True))
    scaling = [{"type": "z-score", "mean": mean, "stddev": 4} for mean in (-15, -25)]
    classes = [
        {"value": v, "name": n, "color_hint": "00FF00"} for v, n in enumerate(("water", "young", "old"))
    ]
    properties = {
        "title": "Types of ice",
        "license": "CC-BY-4.0",
        "gsd": 80,
        "mlm:input": [{"name": "sar", "bands": ["hv", "hh"], "value_scaling": scaling}],
        "mlm:output": [{"name": "type", "tasks": ["segmentation"], "classification:classes": classes}],
    }
    item = {"type": "Feature", "stac_version": "1.1.0", "properties": properties}
    (tmp_path / "net.json").write_text(json.dumps(item), encoding="utf-8")
    results = ImportModel(file, family="unet", order="skip_first").run(Silent())
    assert (results["MODEL_ID"], results["NEEDED"]) == ("types-of-ice", "")
    assert "From the STAC item net.json beside the file: " in results["FOUND"]
    card, _ = load("types-of-ice")
    assert [(c.name, c.mean, c.sd, c.unit) for c in card.channels] == [
        ("hv", -15.0, 4.0, "dB"),
        ("hh", -25.0, 4.0, "dB"),
    ]
    assert [entry.name for entry in card.heads[0].classes] == ["water", "young", "old"]
    assert (card.licence, card.pixel_size_m) == ("CC-BY-4.0", 80.0)
    given = {
        "family": "unet",
        "order": "skip_first",
        "pixel_size": 40.0,
        "channels": "hh,hv",
        "name": "other",
    }
    ImportModel(file, **given).run(Silent())
    card, _ = load("other")
    assert ([c.name for c in card.channels], card.pixel_size_m, card.title) == (["hh", "hv"], 40.0, "other")
    properties["mlm:input"] = [{"bands": ["hh"], "value_scaling": [{"type": "min-max"}]}]
    (tmp_path / "net.json").write_text(json.dumps(item), encoding="utf-8")
    with pytest.raises(ModelError, match="not by mean and stddev"):
        ImportModel(file, family="unet", order="skip_first").run(Silent())
