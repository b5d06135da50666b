"""A place is explained as the whole scene is: mapped as `predict` maps it, split as `contributions` splits it."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import rasterio
from floelens.plugin.core.streaming.windows import plan_windows
from floelens.plugin.ground.errors import Cancelled, ParameterError
from floelens.plugin.ground.protocols import Silent
from floelens.plugin.ground.window import Window
from floelens.plugin.io.geometry.vector import Polygons, polygon_wkb
from floelens.plugin.jobs.ablation import Ablation
from floelens.plugin.jobs.common.inputs import SceneInputs
from floelens.plugin.jobs.contributions import Contributions
from floelens.plugin.jobs.places.loaded import LoadedScene
from floelens.plugin.jobs.predict import Predict
from floelens.plugin.jobs.relevance import Relevance
from floelens.plugin.networks.card import ImageWindow
from floelens.plugin.networks.card_checks import WHOLE_IMAGE
from floelens.plugin.report.places.sentences import alternatives, as_sentences, headline, reasons, rows

ROW, COL = 120, 140


def read(path) -> np.ndarray:
    with rasterio.open(path) as raster:
        return raster.read().astype(np.float64)


def point(loaded: LoadedScene, row: float = ROW + 0.5, col: float = COL + 0.5) -> Polygons:
    lon, lat = loaded.scene.grid.pixel_to_lonlat(row, col)
    return Polygons.point(float(lon), float(lat))


def box(loaded: LoadedScene, rows: tuple[int, int], cols: tuple[int, int]) -> Polygons:
    """Return the polygon of pixels from the first to before the last row and column."""
    corners = np.array([(rows[0], cols[0]), (rows[0], cols[1]), (rows[1], cols[1]), (rows[1], cols[0])])
    x, y = loaded.scene.grid.pixel_to_map(*(corners[[0, 1, 2, 3, 0]].T.astype(float)))
    return Polygons((polygon_wkb([np.column_stack([x, y])]),), loaded.scene.grid.crs)


def test_a_point_shows_the_maps_class_and_probability(opened, scene, packages, tmp_path):
    paths = [str(tmp_path / name) for name in ("ice.tif", "p.tif")]
    Predict(scene.inputs, str(packages / "trial-type"), paths[0], probabilities=paths[1]).run(Silent())
    loaded = opened()
    answer = loaded.explain(point(loaded), Silent())
    chances = read(paths[1])[:, ROW, COL]
    order = np.argsort(-chances)
    names = [entry.name for entry in loaded.card.heads[0].classes]
    assert (answer.mapped.name, answer.second.name) == (names[order[0]], names[order[1]])
    assert answer.mapped.value == pytest.approx(chances[order[0]], abs=1e-6)
    assert answer.second.value == pytest.approx(chances[order[1]], abs=1e-6)
    assert (answer.position.pixels, int(answer.position.row), int(answer.position.col)) == (1, ROW, COL)


def test_contributions_are_those_of_the_contributions_tool_and_add_up(opened, scene, packages, tmp_path):
    path = str(tmp_path / "split.tif")
    Contributions(scene.inputs, str(packages / "trial-type"), path, groups="channel").run(Silent())
    *channels, bias, logit = read(path)[:, ROW, COL]
    loaded = opened()
    evidence = loaded.explain(point(loaded), Silent()).evidence
    size = np.abs(channels).sum()
    np.testing.assert_allclose(list(evidence.channels.values()), channels, atol=0.01 * size)
    assert evidence.logit == pytest.approx(logit, abs=1e-4)
    assert evidence.bias == pytest.approx(bias, abs=1e-4)
    total = evidence.bias + sum(evidence.channels.values()) + evidence.missing
    assert total == pytest.approx(evidence.logit, abs=1e-5)
    assert abs(evidence.missing) < 1e-3 * size


def test_the_map_around_a_place_is_that_of_relevance_with_the_place_as_region(
    opened, scene, packages, tmp_path
):
    loaded = opened("trial-concentration")
    place = box(loaded, (100, 110), (90, 130))
    answer = loaded.explain(place, Silent())
    path = str(tmp_path / "sar.tif")
    Relevance(
        scene.inputs,
        str(packages / "trial-concentration"),
        path,
        aoi=place,
        method="integrated_gradients",
        steps=16,
    ).run(Silent())
    expected = read(path)[(slice(None), *answer.around.slices())]
    size = np.nanmax(np.abs(expected))
    np.testing.assert_allclose(answer.relevance, expected, atol=0.01 * size)
    assert answer.position.pixels == 400
    assert answer.relevance.shape[1:] == (answer.around.rows, answer.around.cols)


def test_without_a_sensor_the_map_is_that_of_ablation(opened, scene, packages, tmp_path):
    model, paths = str(packages / "trial-concentration"), [str(tmp_path / n) for n in ("a.tif", "a.csv")]
    Ablation(scene.inputs, model, paths[0], groups="sensor", table=paths[1]).run(Silent())
    lost = read(paths[0])[:, 100:110, 90:130].mean((1, 2))
    loaded = opened("trial-concentration")
    answer = loaded.explain(box(loaded, (100, 110), (90, 130)), Silent())
    with rasterio.open(paths[0]) as raster:
        names = raster.descriptions
    found = {name: answer.mapped.value - shown.value for name, shown in answer.without.items()}
    np.testing.assert_allclose([found[name] for name in names[: len(found)]], lost[: len(found)], atol=2e-3)


def test_the_contrast_is_the_difference_of_two_logits(opened):
    loaded = opened()
    answer = loaded.explain(point(loaded), Silent())
    assert answer.contrast.target == f"{answer.mapped.name} rather than {answer.second.name}"
    odds = np.log(answer.mapped.value / answer.second.value)
    assert answer.contrast.logit == pytest.approx(odds, abs=1e-4)


def test_a_chart_is_read_at_the_same_place(opened, scene):
    loaded = opened("trial-concentration", labels=scene.chart)
    answer = loaded.explain(point(loaded), Silent())
    with rasterio.open(scene.chart) as raster:
        expected = raster.read(raster.descriptions.index("concentration") + 1)[ROW, COL]
    assert answer.charted.value == pytest.approx(expected)
    assert f"the chart shows {answer.charted.text()}" in headline(answer)


def test_groups_hold_every_channel_once(opened):
    loaded = opened()
    answer = loaded.explain(point(loaded), Silent())
    total = sum(answer.evidence.channels.values())
    for kind in ("channel", "sensor", "frequency", "polarisation"):
        *groups, bias = rows(answer, kind)
        assert sum(value for _, value in groups) == pytest.approx(total), kind
        assert bias == ("bias", answer.evidence.bias)
        sizes = [abs(value) for _, value in groups]
        assert sizes == sorted(sizes, reverse=True)
    *scales, _ = rows(answer, "scale")
    assert sum(value for _, value in scales) == pytest.approx(total, abs=1e-4)
    assert scales[0][0].startswith("SAR within")


def test_sentences_name_place_class_reasons_and_what_would_be_without_a_sensor(opened):
    loaded = opened()
    answer = loaded.explain(point(loaded), Silent())
    text = as_sentences(answer)
    assert headline(answer) in text
    assert reasons(answer) in text
    assert alternatives(answer) in text
    assert answer.mapped.name in headline(answer)
    assert f"rather than {answer.second.name}".lower() in reasons(answer).lower()
    assert "° N, " in text
    assert "ithout SAR it would" in text
    assert "without radiometry it would" in text


def test_a_place_outside_of_the_scene_is_refused_in_a_sentence(opened):
    loaded = opened()
    with pytest.raises(ParameterError, match="lies outside of the scene"):
        loaded.explain(Polygons.point(100.0, 10.0), Silent())


def test_a_newer_question_stops_an_older_one(opened, stopping):
    loaded = opened()
    with pytest.raises(Cancelled):
        loaded.explain(point(loaded), stopping)
    assert loaded.explain(point(loaded), Silent()).position.pixels == 1


def with_land(scene, land) -> SceneInputs:
    return replace(scene.inputs, land=land)


def test_land_within_a_footprint_is_a_warning_and_unknown_land_is_one_too(opened, scene, packages):
    loaded = opened()
    unknown = loaded.explain(point(loaded), Silent()).warnings
    assert [text for text in unknown if text.startswith("Land is not known")]
    land = box(loaded, (ROW - 5, ROW + 5), (COL + 70, COL + 100))  # 5.6 km at 80 m
    with LoadedScene(with_land(scene, land), str(packages / "trial-type"), Silent()) as near:
        answer = near.explain(point(near), Silent())
    (warning,) = (text for text in answer.warnings if "Land is" in text)
    assert warning.startswith(
        "Land is 6 km away: footprints of 36.5, 18.7,"
    )  # 7 x 12 km and wider, not 3 x 5
    assert warning in as_sentences(answer)


def test_missing_pixels_around_a_place_are_a_warning_with_their_share(opened, scene, packages):
    loaded = opened()
    radius = loaded.card.receptive_field_radius
    around = box(loaded, (ROW - radius, ROW + radius + 1), (COL + 10, COL + radius + 1))
    assert not [text for text in loaded.explain(point(loaded), Silent()).warnings if "missing" in text]
    with LoadedScene(with_land(scene, around), str(packages / "trial-type"), Silent()) as masked:
        answer = masked.explain(point(masked), Silent())
    share = (radius - 9) / (2 * radius + 1)
    assert [text for text in answer.warnings if text.startswith(f"{100 * share:.0f} % of the pixels around")]


def test_what_is_unusual_about_the_scene_and_about_the_relevance_stands_in_the_answer(opened, monkeypatch):
    from floelens.plugin.core.relevance import run

    loaded = opened()
    loaded.scene.warnings = ("The scene is out of the network's experience.",)
    whole = run.run_relevance

    def leaking(*given):
        given[-1].warn("Relevance does not add up.")
        return whole(*given)

    monkeypatch.setattr(run, "run_relevance", leaking)
    answer = loaded.explain(point(loaded), Silent())
    for text in ("The scene is out of the network's experience.", "Relevance does not add up."):
        assert answer.warnings.count(text) == 1
        assert text in as_sentences(answer)


def test_a_network_that_runs_in_windows_answers_a_place_in_the_windows_of_its_map():
    scene = SimpleNamespace(rows=100, cols=130, region=Window(0, 0, 100, 130))
    runner = SimpleNamespace(window=ImageWindow(48, 16), alignment=8, radius=WHOLE_IMAGE)
    loaded = SimpleNamespace(runner=runner, _scene=scene)
    place = Window(40, 60, 20, 20)
    tiles = [tile for strip in LoadedScene._plan(loaded, place).strips() for tile in strip]
    mapped = plan_windows(scene.region, scene.region, runner.window, runner.alignment)
    whole = [tile for strip in mapped.strips() for tile in strip]
    for tile in tiles:
        (same,) = [other for other in whole if not tile.output.intersection(other.output).empty]
        assert tile.input == same.input
