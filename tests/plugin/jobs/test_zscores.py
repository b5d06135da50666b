"""Scores of a scene are those of its components; states of parts add up to the whole."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from html import unescape
from pathlib import Path

import numpy as np
import pytest
import rasterio
from floelens.plugin.core.target.output_layer import Component, OutputLayer
from floelens.plugin.core.zscores.sampling import label_targets, sampling, sampling_step
from floelens.plugin.ground.errors import ParameterError, SceneError
from floelens.plugin.ground.protocols import Silent
from floelens.plugin.io.geometry.vector import read_polygons
from floelens.plugin.io.scene.reader import Scene
from floelens.plugin.jobs.scoring.channels import scene_identity, scene_place
from floelens.plugin.jobs.scoring.zones import automatic_size
from floelens.plugin.jobs.zscores import ZScores
from floelens.plugin.networks.package import load


def rows_of(path) -> list[dict]:
    with Path(path).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def column(rows: list[dict], name: str) -> np.ndarray:
    return np.array([float(row[name]) if row[name] else np.nan for row in rows])


@pytest.fixture
def job(scene, packages, tmp_path) -> ZScores:
    """Return a job on the concentration model, every eighth pixel, without labels."""
    return ZScores(
        str(packages / "trial-concentration"),
        str(tmp_path / "z.csv"),
        scene=scene.inputs,
        sample=8,
        channel_method="none",
    )


def sampled_components(model: str, scene, step: int) -> tuple[np.ndarray, np.ndarray]:
    """Return components (pixel, component) and logits of the plain network on a sample, float64."""
    import torch

    card, module = load(model)
    with Scene.open(card, scene.sar, scene.mwr) as opened:
        patch = opened.read(opened.grid.window)

    def standard(values, channels):
        mean, sd = (np.array([getattr(c, name) for c in channels])[:, None, None] for name in ("mean", "sd"))
        return torch.from_numpy(np.nan_to_num((values.astype(float) - mean) / sd))[None]

    module = module.double()
    with torch.no_grad():
        inputs = standard(patch.fine, card.fine_channels), standard(patch.coarse, card.coarse_channels)
        components = module.components(*inputs)[0].numpy()
    chosen = np.zeros(patch.valid.shape, bool)
    chosen[step // 2 :: step, step // 2 :: step] = True
    x = components[:, chosen & patch.valid].T
    return x, x @ module.output.weight.detach().numpy()[0, :, 0, 0] + float(module.output.bias[0])


def test_z_is_weight_over_the_error_of_the_fisher_information(job, scene):
    job.run(Silent())
    rows = rows_of(job.output)
    x, logits = sampled_components(job.model, scene, 8)
    design = np.column_stack([np.ones(len(x)), x])
    p = 1 / (1 + np.exp(-logits))
    information = (design * (p * (1 - p))[:, None]).T @ design
    scale = np.sqrt(np.diag(information))
    covariance = np.linalg.inv(information / np.outer(scale, scale)) / np.outer(scale, scale)
    scored = np.isfinite(column(rows, "z"))
    assert scored.sum() > 70
    expected = column(rows, "weight") / np.sqrt(np.diag(covariance))[1:]
    np.testing.assert_allclose(column(rows, "z")[scored], expected[scored], rtol=2e-3)
    assert {row["n"] for row in rows} == {str(len(x))}
    assert not any(row["z_robust"] for row in rows)


def test_the_table_has_typed_fields(job, tmp_path):
    job.run(Silent())
    types = (tmp_path / "z.csvt").read_text(encoding="utf-8").strip().split(",")
    header = (tmp_path / "z.csv").read_text(encoding="utf-8").splitlines()[0].split(",")
    assert len(types) == len(header)
    assert types[header.index("z")] == '"Real"'
    assert types[header.index("component")] == '"String"'
    assert header[:4] == ["head", "class", "component", "channel"]


def test_labels_bring_robust_errors(job, scene):
    replace(job, labels=scene.chart, block_size_km=2.5).run(Silent())
    rows = rows_of(job.output)
    assert np.isfinite(column(rows, "z_robust")).sum() > 60


def test_robust_errors_are_the_sandwich_over_blocks_with_percent_as_fractions(job, scene, tmp_path):
    """Computed anew from the network's components, the chart's % and blocks counted by hand."""
    # A chart of its own: polygons of 0 to 100 %, where the simulated one has little but open water.
    generator = np.random.default_rng(3)
    polygons = generator.integers(0, 101, (11, 14)).astype("uint8")
    chart = polygons.repeat(30, axis=0).repeat(30, axis=1)[:255, :285]
    with rasterio.open(scene.chart) as raster:
        profile, gcps = raster.profile, raster.gcps
    path = str(tmp_path / "polygons.tif")
    profile.update(count=1)
    with rasterio.open(path, "w", **{**profile, "gcps": gcps[0], "crs": gcps[1]}) as out:
        out.write(chart, 1)
    replace(job, labels=path, block_size_km=2.5).run(Silent())
    rows = rows_of(job.output)
    x, logits = sampled_components(job.model, scene, 8)
    with Scene.open(load(job.model)[0], scene.sar, scene.mwr) as opened:
        valid = opened.read(opened.grid.window).valid
        pixel_size = opened.grid.pixel_size()
    chosen = np.zeros(valid.shape, bool)
    chosen[4::8, 4::8] = True
    at_row, at_col = np.nonzero(chosen & valid)
    y = chart[at_row, at_col] / 100.0
    down, across = int(255 * pixel_size / 2500), int(285 * pixel_size / 2500)
    block = at_row * down // 255 * across + at_col * across // 285
    kept = np.isfinite(column(rows, "z"))
    design = np.column_stack([np.ones(len(x)), x[:, kept]])
    p = 1 / (1 + np.exp(-logits))
    information = (design * (p * (1 - p))[:, None]).T @ design
    scale = np.sqrt(np.diag(information))
    bread = np.linalg.inv(information / np.outer(scale, scale)) / np.outer(scale, scale)
    scores = np.array([(design * (y - p)[:, None])[block == g].sum(axis=0) for g in np.unique(block)])
    count, (n, q) = len(scores), design.shape
    scores -= scores.mean(axis=0)
    factor = count / (count - 1) * (n - 1) / (n - q)
    expected = np.sqrt(factor * np.diag(bread @ scores.T @ scores @ bread))[1:]
    np.testing.assert_allclose(column(rows, "se_robust")[kept], expected, rtol=5e-3)


def labels_like(scene, path, change, unit="") -> str:
    """Write labels made of the scene's concentration in %, (row, column), masked where there is none."""
    with rasterio.open(scene.chart) as raster:
        values, profile, gcps = raster.read(1, masked=True), raster.profile, raster.gcps
    profile.update(count=1, dtype="float32", nodata=-1.0)
    with rasterio.open(path, "w", **{**profile, "gcps": gcps[0], "crs": gcps[1]}) as out:
        out.write(change(values.astype("float32")).filled(-1.0), 1)
        out.units = (unit,)
    return str(path)


def test_concentrations_given_to_a_head_of_classes_are_refused(job, scene, packages, tmp_path):
    percent = labels_like(scene, tmp_path / "percent.tif", lambda values: values)
    with pytest.raises(
        SceneError, match=r"hold 3, .* no classes of head 'icetype' \(0 open water, 1 young ice, 2 old"
    ):
        replace(job, model=str(packages / "trial-type"), labels=percent).run(Silent())
    assert not list(tmp_path.glob("*.csv"))


def test_codes_beside_those_of_the_classes_are_told_and_left_out(job, scene, packages, recorder, tmp_path):
    def codes(values):
        return np.ma.where(values > 80, 9, np.ma.where(values > 50, 2, np.ma.where(values > 20, 1, 0)))

    labels = labels_like(scene, tmp_path / "codes.tif", codes)
    replace(job, model=str(packages / "trial-type"), labels=labels, block_size_km=2.5).run(recorder)
    assert any("hold 9, no class of head 'icetype'" in warning for warning in recorder.warnings)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda values: np.ma.round(values / 10),
            "fit tenths or class codes as well as %.*turn them into % first",
        ),
        (lambda values: values / 100, "fit fractions or a mask as well as %.*multiply them by 100"),
    ],
    ids=["tenths", "fractions"],
)
def test_labels_that_may_be_percents_or_another_unit_are_refused_unless_accepted(
    job, scene, recorder, tmp_path, change, said
):
    labels = labels_like(scene, tmp_path / "labels.tif", change)
    with pytest.raises(SceneError, match=said):
        replace(job, labels=labels, block_size_km=2.5).run(recorder)
    assert not list(tmp_path.glob("*.csv"))
    page = tmp_path / "z.html"
    accepted = replace(job.scene, accept_range=True)
    replace(job, scene=accepted, labels=labels, block_size_km=2.5, report=str(page)).run(recorder)
    assert "are taken for %" in page.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("change", "unit", "coarseness"),
    [
        (lambda values: np.ma.round(values / 10), "tenths", 5.0),
        (lambda values: values / 100, "1", 0.01),
        (lambda values: values / 100, "fraction", 0.01),
        (lambda values: values, "1", 0.0),  # % whose unit says nothing
    ],
)
def test_labels_with_a_declared_unit_become_percents(
    job, scene, tmp_path, recorder, change, unit, coarseness
):
    found = []
    for name, labels in (
        ("right", scene.chart),
        ("other", labels_like(scene, tmp_path / "a.tif", change, unit)),
    ):
        content = tmp_path / f"{name}.json"
        replace(job, labels=labels, block_size_km=2.5, report_json=str(content)).run(recorder)
        found.append(json.loads(content.read_text(encoding="utf-8")))
    right, other = (each["skill"][0] for each in found)
    assert abs(right["bias"] - other["bias"]) <= coarseness
    converted = found[1]["provenance"].get("FLOELENS_LABELS_UNIT", "")
    assert converted == (f"converted from '{unit}' to %" if coarseness else "")


def test_labels_that_are_all_the_same_are_a_warning(job, scene, recorder, tmp_path):
    water = labels_like(scene, tmp_path / "water.tif", lambda values: 0 * values)
    replace(job, labels=water, block_size_km=2.5).run(recorder)
    assert any("All labels of head 'concentration' are the same" in text for text in recorder.warnings)


def test_labels_without_any_value_are_a_sentence_before_channels_are_split(job, scene, recorder, tmp_path):
    empty = labels_like(scene, tmp_path / "empty.tif", lambda values: np.ma.masked_all_like(values))
    with pytest.raises(SceneError, match="no usable value"):
        replace(job, labels=empty, channel_method="gated").run(recorder)


def polygons_of_ice(scene, path) -> str:
    """Write a chart of polygons of 0 to 100 %."""
    generator = np.random.default_rng(3)
    chart = generator.integers(0, 101, (11, 14)).astype("uint8").repeat(30, axis=0).repeat(30, axis=1)
    with rasterio.open(scene.chart) as raster:
        profile, gcps = raster.profile, raster.gcps
    profile.update(count=1)
    with rasterio.open(path, "w", **{**profile, "gcps": gcps[0], "crs": gcps[1]}) as out:
        out.write(chart[:255, :285], 1)
    return str(path)


def test_a_refit_fills_columns_of_its_own_with_the_fit_of_a_plain_regression(job, scene, tmp_path):
    chart = polygons_of_ice(scene, tmp_path / "polygons.tif")
    labelled = replace(job, labels=chart, block_size_km=2.5)
    labelled.run(Silent())
    plain = rows_of(job.output)
    replace(labelled, refit=True).run(Silent())
    rows = rows_of(job.output)
    assert [row["z"] for row in rows] == [row["z"] for row in plain]
    fitted = np.isfinite(column(rows, "refit_z"))
    assert fitted.sum() > 60
    assert np.isfinite(column(rows, "refit_z_robust"))[fitted].all()
    # the fractions are noise: what fits them best predicts next to nothing, other than the trained weights
    assert np.median(np.abs(column(rows, "refit_z_robust")[fitted])) < 3
    assert all(not row["refit_weight"] for row in plain)


def test_a_refit_without_labels_is_refused(job, tmp_path):
    with pytest.raises(ParameterError, match="give a scene and LABELS"):
        replace(job, refit=True).run(Silent())
    state = str(tmp_path / "unlabelled.npz")
    replace(job, state=state).run(Silent())
    with pytest.raises(ParameterError, match="the states of STATE_IN do not carry"):
        replace(job, scene=None, refit=True, state_in=(state,)).run(Silent())


def test_a_refit_over_states_is_that_of_the_scenes_they_come_from(job, scene, tmp_path):
    chart = polygons_of_ice(scene, tmp_path / "polygons.tif")
    state = str(tmp_path / "state.npz")
    labelled = replace(job, labels=chart, block_size_km=2.5, refit=True)
    replace(labelled, state=state).run(Silent())
    direct = rows_of(job.output)
    replace(labelled, scene=None, labels=None, state_in=(state,)).run(Silent())
    merged = rows_of(job.output)
    for name in ("refit_weight", "refit_z", "refit_z_robust"):
        np.testing.assert_allclose(column(merged, name), column(direct, name), rtol=1e-5)
    assert np.isfinite(column(merged, "refit_z")).sum() > 60


def test_all_pixels_are_scored_where_there_are_no_labels(job, scene, tmp_path):
    path = str(tmp_path / "zones.gpkg")
    replace(job, sample=-1, zone_zscores=path).run(Silent())
    rows = rows_of(job.output)
    x, logits = sampled_components(job.model, scene, 1)
    assert int(rows[0]["n"]) == len(x)
    p = 1 / (1 + np.exp(-logits))
    design = np.column_stack([np.ones(len(x)), x])
    live = np.flatnonzero(np.ptp(x, axis=0) > 0)
    design = design[:, np.append(0, live + 1)]
    covariance = np.linalg.inv(design.T @ ((p * (1 - p))[:, None] * design))
    found = column(rows, "se")[live]
    np.testing.assert_allclose(found, np.sqrt(np.diag(covariance))[1:], rtol=1e-3)
    from osgeo import ogr

    layer = ogr.Open(path)
    fields = [dict(feature.items()) for feature in layer.GetLayer(0)]
    assert len(fields) >= 4
    assert all(row["strongest_component"] for row in fields)
    assert sum(row["pixels"] for row in fields) == len(x)


def test_the_sample_follows_from_the_labels_unless_it_is_given():
    assert [sampling_step(-1, labelled) for labelled in (False, True)] == [1, 0]
    assert [sampling_step(given, True) for given in (0, 1, 7)] == [0, 1, 7]
    assert [sampling_step(given, False) for given in (0, 1, 7)] == [0, 1, 7]


@pytest.mark.parametrize(
    ("rows", "cols", "step", "components", "scored"),
    [
        (1000, 1000, 1, 84, "components"),
        (1000, 1000, 50, 84, "sensors"),  # 400 pixels: one a cell
        (5241, 5353, 1, 140, "components"),
        (5241, 5353, 50, 84, "components"),
        (330, 410, 8, 84, "components"),
        (200, 200, 1, 84, "components"),
        (1200, 90, 1, 84, "components"),
    ],
)
def test_zones_of_automatic_size_hold_the_pixels_that_scores_need(rows, cols, step, components, scored):
    parts = tuple(Component(f"c{at}", "sar" if at % 2 else "mwr") for at in range(components))
    output = OutputLayer("ice", "sigmoid", ("ice",), parts, np.ones((1, components)), np.zeros(1))
    size = automatic_size((rows, cols), 0.08, step, (output,))
    needed = {"components": 10 * (components + 1), "sensors": 30}[scored]
    down, across = (max(1, round(length * 0.08 / size)) for length in (rows, cols))
    assert rows * cols / step**2 / (down * across) >= needed
    assert size <= max(100.0, 0.08 * max(rows, cols))
    if (rows, step) == (5241, 1):
        assert size == 100.0


def test_zones_of_automatic_size_hold_more_radiometer_cells_than_channels():
    parts = tuple(Component(f"c{at}", "mwr", channel=f"c{at}" if at < 14 else "") for at in range(84))
    output = OutputLayer("ice", "sigmoid", ("ice",), parts, np.ones((1, 84)), np.zeros(1))
    size = automatic_size((400, 400), 0.08, 1, (output,), 25)
    assert (size / (0.08 * 25)) ** 2 >= 15 * 2


def test_scenes_of_one_name_place_and_time_are_told_apart_by_their_values(job, scene, tmp_path):
    from shutil import copy

    other = tmp_path / "other"
    other.mkdir()
    changed = str(other / "sar.tif")
    copy(scene.sar, changed)
    with rasterio.open(changed, "r+") as raster:
        raster.write(raster.read() + np.float32(0.5))
    card, _ = load(job.model)
    with Scene.open(card, scene.sar, scene.mwr) as one, Scene.open(card, changed, scene.mwr) as two:
        assert one.name == two.name
        assert scene_place(one) == scene_place(two)
        assert scene_identity(one) != scene_identity(two)
        assert scene_identity(one) == scene_identity(one)


def test_the_table_compares_with_a_reference_class_on_request(job, packages):
    softmax = replace(job, model=str(packages / "trial-type"))
    softmax.run(Silent())
    centred = rows_of(job.output)
    classes = list(dict.fromkeys(row["class"] for row in centred))
    replace(softmax, reference_class=classes[0]).run(Silent())
    rows = rows_of(job.output)
    assert {row["class"] for row in rows} == {f"{name} - {classes[0]}" for name in classes[1:]}
    m = len(centred) // len(classes)
    expected = column(centred[m : 2 * m], "weight") - column(centred[:m], "weight")
    np.testing.assert_allclose(column(rows[:m], "weight"), expected, rtol=1e-6, atol=1e-8)
    with pytest.raises(ParameterError, match="'ice' is no class of a softmax head"):
        replace(softmax, reference_class="ice").run(Silent())
    with pytest.raises(ParameterError, match="it has no softmax head"):
        replace(job, reference_class="ice").run(Silent())


def test_errors_are_told_at_several_block_sizes_in_one_run(job, scene, tmp_path):
    chart, content = polygons_of_ice(scene, tmp_path / "polygons.tif"), tmp_path / "z.json"
    replace(job, labels=chart, block_size_km=2.5, report_json=str(content)).run(Silent())
    found = json.loads(content.read_text(encoding="utf-8"))["heads"][0]["clusterings"]
    sizes = {row["block_km"]: row["clusters"] for row in found}
    assert sizes[2.5] > sizes[8.0] > 1
    assert all(row["ratio_median"] > 0 for row in found)


def test_a_scene_is_added_to_the_states_given(job, recorder, tmp_path):
    state = str(tmp_path / "state.npz")
    replace(job, state=state).run(Silent())
    once = rows_of(job.output)
    replace(job, state_in=(state,)).run(recorder)
    twice = rows_of(job.output)
    np.testing.assert_array_equal(column(twice, "n"), 2 * column(once, "n"))
    np.testing.assert_allclose(column(twice, "z"), np.sqrt(2) * column(once, "z"), rtol=1e-7)
    assert any("more than once" in warning for warning in recorder.warnings)


def test_states_that_sample_scenes_in_different_ways_are_told(job, recorder, scene, tmp_path):
    """Of a scene without labels all pixels are taken, of a labelled one a pixel a cell: hundreds for one."""
    chart = polygons_of_ice(scene, tmp_path / "polygons.tif")
    states = [str(tmp_path / name) for name in ("plain.npz", "labelled.npz", "even.npz")]
    short = replace(job, channel_method="none", sample=-1)
    for state, labels, sample in zip(states, (None, chart, None), (-1, -1, 0)):
        replace(short, labels=labels, sample=sample, state=state).run(Silent())
    content = tmp_path / "z.json"
    for given, told in ((states[:2], True), (states[1:], False), (states[:1], False)):
        merged = replace(short, scene=None, state_in=tuple(given), report_json=str(content))
        recorder.warnings.clear()
        merged.run(recorder)
        assert any("sampled in different ways" in sentence for sentence in recorder.warnings) == told
        assert ("sampled in different ways" in content.read_text(encoding="utf-8")) == told


def test_states_of_two_parts_hold_all_pixels_and_merge_in_any_order(job, scene, tmp_path):
    """Land hides the upper part from one run, the lower part from the other."""
    with rasterio.open(scene.sar) as raster:
        profile, gcps = raster.profile, raster.gcps
    states = []
    profile.update(count=1, dtype="uint8", nodata=None)
    for name, rows in (("upper", slice(0, 175)), ("lower", slice(175, 255))):
        land = np.zeros((255, 285), np.uint8)
        land[rows] = 1
        path = tmp_path / f"{name}.tif"
        with rasterio.open(path, "w", **{**profile, "gcps": gcps[0], "crs": gcps[1]}) as out:
            out.write(land, 1)
        states.append(str(tmp_path / f"{name}.npz"))
        inputs = replace(scene.inputs, land=str(path))
        replace(job, scene=inputs, state=states[-1]).run(Silent())
    # Filled land changes the SAR components within reach: compare what the radiometer saw.
    replace(job, scene=None, state_in=tuple(states)).run(Silent())
    merged = rows_of(job.output)
    job.run(Silent())
    whole = rows_of(job.output)
    assert column(merged, "n")[0] == column(whole, "n")[0]
    backwards = replace(job, scene=None, state_in=tuple(reversed(states)))
    backwards.run(Silent())
    np.testing.assert_allclose(column(rows_of(job.output), "z"), column(merged, "z"), rtol=1e-9)


def test_zones_cover_the_scene_and_say_which_sensor_leads(job, tmp_path):
    path = str(tmp_path / "zones.gpkg")
    replace(job, zone_zscores=path, zone_size_km=7).run(Silent())
    zones = read_polygons(path)
    assert len(zones.wkb) == 9
    from osgeo import ogr

    layer = ogr.Open(path)
    fields = [dict(feature.items()) for feature in layer.GetLayer(0)]
    assert all(row["leading_sensor"] in ("sar", "mwr") for row in fields)
    assert sum(row["pixels"] for row in fields) == int(rows_of(job.output)[0]["n"])
    assert all(abs(row["contribution_sar"]) < 100 and row["information_mwr"] > 0 for row in fields)
    style = (tmp_path / "zones.qml").read_text(encoding="utf-8")
    assert 'attr="leading_sensor"' in style
    assert "Mean part of the logit from SAR" in style
    assert "largest_z" in (tmp_path / "zones_z.qml").read_text(encoding="utf-8")


def test_polygons_of_one_name_are_one_zone(job, tmp_path):
    """As the polygons of a chart that are of one class."""
    grid, path = str(tmp_path / "grid.gpkg"), str(tmp_path / "zones.gpkg")
    replace(job, zone_zscores=grid, zone_size_km=10).run(Silent())
    squares = read_polygons(grid, name_field="zone")
    named = replace(squares, names=tuple("ice" if n % 2 else "water" for n in range(len(squares.wkb))))
    replace(job, zone_zscores=path, zones=named).run(Silent())
    from osgeo import ogr

    layer = ogr.Open(path)
    rows = [dict(feature.items()) for feature in layer.GetLayer(0)]
    assert [row["zone"] for row in rows] == ["water", "ice"]
    assert sum(row["pixels"] for row in rows) == int(rows_of(job.output)[0]["n"])


def test_a_state_of_another_model_is_refused(job, packages, tmp_path):
    state = str(tmp_path / "state.npz")
    replace(job, state=state).run(Silent())
    other = replace(job, model=str(packages / "trial-type"), scene=None, state_in=(state,))
    with pytest.raises(ParameterError, match="belongs to model 'trial-concentration'"):
        other.run(Silent())


def test_the_report_is_written_with_its_json(job, scene, packages, tmp_path):
    page, content = tmp_path / "z.html", tmp_path / "z.json"
    softmax = replace(
        job,
        model=str(packages / "trial-type"),
        labels=scene.chart,
        report=str(page),
        report_json=str(content),
    )
    softmax.run(Silent())
    said = json.loads(content.read_text(encoding="utf-8"))
    assert [head["head"] for head in said["heads"]] == ["icetype"]
    assert len(said["heads"][0]["summary"]) == 3
    text = page.read_text(encoding="utf-8")
    assert said["heads"][0]["summary"][0] in unescape(text)
    assert "http://" not in text.replace("http://www.w3.org", "")


def test_the_sample_depends_on_the_place_in_the_scene_alone():
    from floelens.plugin.ground.window import Window

    choose = sampling(0, 25)
    valid = np.ones((40, 60), bool)
    rows, cols = np.nonzero(choose(Window(30, 10, 40, 60), valid))
    assert set(rows + 30) == {37, 62}
    assert set(cols + 10) == {12, 37, 62}


def test_percent_become_fractions_and_codes_become_positions(packages):
    ice = load(str(packages / "trial-concentration"))[0].head()
    np.testing.assert_array_equal(
        label_targets(ice, np.array([0, 50, 100, 254, np.nan], np.float32)), [0, 0.5, 1, np.nan, np.nan]
    )
    kind = load(str(packages / "trial-type"))[0].head()
    np.testing.assert_array_equal(label_targets(kind, np.array([2, 0, 7, 255.0])), [2, 0, np.nan, np.nan])
