"""Similar places are those whose mean components are nearest, by a sum over components written out."""

from __future__ import annotations

import math

import numpy as np
import pytest
import rasterio
import torch
from floelens.plugin.core.places import similar as similar_module
from floelens.plugin.core.places.similar import BLOCK, block_around, distances, look, points
from floelens.plugin.ground.protocols import Silent
from floelens.plugin.ground.window import Window
from floelens.plugin.io.geometry.vector import Polygons
from floelens.plugin.jobs.importmodel import ImportModel
from floelens.plugin.jobs.places.loaded import LoadedScene
from floelens.plugin.jobs.places.similar import SimilarPlaces
from floelens.plugin.jobs.predict import Predict
from floelens.plugin.networks import registry
from floelens.tests.plugin.networks.families.definitions import Steps, drawn

ROW, COL = 120, 140


def point(loaded: LoadedScene, row: int = ROW, col: int = COL) -> Polygons:
    lon, lat = loaded.scene.grid.pixel_to_lonlat(row + 0.5, col + 0.5)
    return Polygons.point(float(lon), float(lat))


def test_the_distance_is_the_root_mean_square_difference_in_standard_deviations():
    draw = np.random.default_rng(2)
    blocks, place = draw.normal(3.0, 2.0, (6, 4)), draw.normal(3.0, 2.0, 4)
    blocks[:, 2] = 7.0  # does not vary
    expected = []
    for block in blocks:
        total = 0.0
        for k in (0, 1, 3):
            mean = sum(blocks[:, k]) / 6
            sd = math.sqrt(sum((value - mean) ** 2 for value in blocks[:, k]) / 6)
            total += ((block[k] - place[k]) / sd) ** 2
        expected.append(math.sqrt(total / 3))
    np.testing.assert_allclose(distances(place, blocks), expected, rtol=1e-12)


def test_a_block_without_numbers_is_far_from_all_and_changes_no_other_distance():
    blocks = np.random.default_rng(4).normal(size=(8, 3))
    whole = distances(blocks[0], blocks[:7])
    blocks[7, 1] = np.nan
    found = distances(blocks[0], blocks)
    np.testing.assert_array_equal(found[:7], whole)
    assert found[7] == np.inf
    assert np.isinf(distances(blocks[7], blocks)).all()


def test_a_block_holds_the_mean_probabilities_of_the_map(opened, scene, packages, tmp_path):
    paths = [str(tmp_path / name) for name in ("ice.tif", "p.tif")]
    Predict(scene.inputs, str(packages / "trial-type"), paths[0], probabilities=paths[1]).run(Silent())
    with rasterio.open(paths[1]) as raster:
        chances = raster.read().astype(np.float64)
    loaded = opened()
    window = block_around(ROW + 0.5, COL + 0.5, loaded.scene)
    assert (window.rows, window.cols) == (BLOCK, BLOCK)
    block = look(loaded.runner, loaded.scene, loaded.seeding, window)
    expected = chances[(slice(None), *window.slices())].mean((1, 2))
    np.testing.assert_allclose(block.probabilities, expected, atol=1e-5)


def test_the_most_similar_places_are_the_nearest_of_all_points_that_see_other_pixels(opened, monkeypatch):
    monkeypatch.setattr(similar_module, "LEAST_STEP", 36)
    loaded = opened()
    answer = loaded.explain(point(loaded), Silent())
    similar = SimilarPlaces(loaded)
    assert similar.find(answer) == ()  # nothing has been looked at
    while similar.look():
        pass
    assert similar.share == 1.0
    found = similar.find(answer)

    scene, runner, whole = loaded.scene, loaded.runner, Window(0, 0, loaded.scene.rows, loaded.scene.cols)
    components = runner.array(runner.components(runner.standardise(scene.read(whole)))[0]).astype(np.float64)
    centres = sorted(points(runner, scene))
    means = np.array(
        [components[(slice(None), *block_around(*at, scene).slices())].mean((1, 2)) for at in centres]
    )
    place = components[(slice(None), *block_around(ROW, COL, scene).slices())].mean((1, 2))
    varies = means.std(0) > 1e-6 * np.abs(means).max(0)  # some components are zero at all these points
    far = np.sqrt((((means - place)[:, varies] / means.std(0)[varies]) ** 2).mean(1))
    apart, chosen = BLOCK + 2 * runner.radius, []
    for index in np.argsort(far):
        others = [(ROW, COL), *(centres[i] for i in chosen)]
        if all(max(abs(a - b) for a, b in zip(centres[index], other)) >= apart for other in others):
            chosen.append(index)
    assert [each.distance for each in found] == pytest.approx([far[i] for i in chosen[:3]], rel=1e-3)
    for each, index in zip(found, chosen):
        row, col = (float(value) for value in loaded.scene.grid.lonlat_to_pixel(each.lon, each.lat))
        assert (int(row), int(col)) == centres[index]


def test_an_imported_network_explains_places_too(scene, tmp_path, monkeypatch):
    monkeypatch.setattr(registry, "user_folder", lambda: tmp_path / "user")
    torch.save(
        drawn(Steps(channels=4, filters=(4, 6, 6), transposed=True)).state_dict(), tmp_path / "unet.pt"
    )
    ImportModel(
        str(tmp_path / "unet.pt"),
        family="unet",
        name="trial-unet",
        channels="hh,btemp_18_7h,hv,btemp_36_5v",
        pixel_size=80.0,
        order="skip_first",
        licence="CC-BY-4.0",
    ).run(Silent())
    with LoadedScene(scene.inputs, "trial-unet", Silent()) as loaded:
        answer = loaded.explain(point(loaded), Silent())
        evidence = answer.evidence
        total = evidence.bias + sum(evidence.channels.values()) + evidence.missing
        assert total == pytest.approx(evidence.logit, abs=1e-4)
        assert sum(evidence.scales.values()) == pytest.approx(sum(evidence.channels.values()), abs=1e-4)
        similar = SimilarPlaces(loaded)
        assert similar.possible
        similar.look()
        assert similar.find(answer) is not None
