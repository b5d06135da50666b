"""The jobs whose results are fingerprinted: every algorithm with every word of its choices, on small scenes."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

ROOT = Path(__file__).resolve().parent.parent
BASELINE = "hh=-22,hv=-29"
VARIED = "-varied"
MODELS = ("aspp-concentration-sim", "aspp-icetype-sim")
SCENES = {"projected": (235, 310, 80.0), "gcps": (210, 285, 80.0)}  # rows, columns, pixel size in m
WITH_BASELINE = ("integrated_gradients", "deeplift", "occlusion")
SAMPLES = {"projected": (0, 1, 7), "gcps": (1,)}


def words(algorithm: str, parameter: str) -> list[str]:
    """Return the published words of a parameter."""
    published = json.loads((ROOT / "tests" / "published.json").read_text(encoding="utf-8"))
    return published[algorithm]["words"][parameter]


def part_of_checkout(name: str, *modules: str):
    """Return a name from the first of some modules that the checkout has: where it lies today, then where it lay."""
    for module in modules:
        full = f"floelens.{module[2:]}" if module.startswith("..") else f"floelens.plugin.{module}"
        try:
            return getattr(importlib.import_module(full), name)
        except (ModuleNotFoundError, AttributeError):
            continue
    raise ImportError(f"The checkout has no {name} in {', '.join(modules)}.")


class Job(Protocol):
    """What every job is: parameters, and a run of them."""

    def run(self, progress: object) -> dict[str, object]:
        """Write files; return paths and numbers."""


@dataclass(frozen=True)
class Case:
    """A job under a name.

    Parameters
    ----------
    name : str
        Folder of what it writes; ``/`` separates the algorithm from its settings.
    kind : str
        Class of the job.
    settings : dict
        Its parameters.
    files : dict
        Those of its parameters that name files to write, as file names.
    """

    name: str
    kind: str
    settings: Mapping[str, object] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)

    def job(self, folder: Path) -> Job:
        """Return the job, writing into `folder`."""
        from floelens.plugin import jobs  # noqa: F401  (the package must be known before its modules)

        module, name = self.kind.rsplit(".", 1)
        made = getattr(__import__(f"floelens.plugin.jobs.{module}", fromlist=[name]), name)
        return made(**self.settings, **{key: str(folder / value) for key, value in self.files.items()})


def simulations() -> Iterator[Case]:
    """Yield the scenes."""
    for name, (rows, cols, size) in SCENES.items():
        settings = {"seed": 5, "rows": rows, "cols": cols, "pixel_size": size, "georeferencing": name}
        files = {"sar": "sar.tif", "mwr": "mwr.tif", "chart": "chart.tif"}
        yield Case(f"simulatescene/{name}", "simulate.SimulateScene", settings, files)


def cases(scenes: Path, models: Path, data: Path | None) -> Iterator[Case]:
    """Yield all cases: every algorithm with every word of its choices, on every scene and model."""
    yield from simulations()
    if data is not None:
        yield from imports(data)
    for model in MODELS:
        package = str(models / model)
        yield Case(
            f"inspectmodel/{model}", "inspect.InspectModel", {"model": package}, {"output": "page.html"}
        )
        for folder in sorted(path for path in scenes.iterdir() if path.is_dir()):
            for case in (
                *predictions(folder, package),
                *relevances(folder, package, models),
                *contributions(folder, package),
                *ablations(folder, package),
                *zscores(folder, package),
            ):
                algorithm, rest = case.name.split("/", 1)
                yield Case(f"{algorithm}/{model}/{folder.name}/{rest}", case.kind, case.settings, case.files)


def inputs_of(folder: Path, **more: object) -> object:
    """Return the inputs of a scene that lies in a folder."""
    SceneInputs = part_of_checkout("SceneInputs", "jobs.common.inputs", "jobs.inputs")  # noqa: N806

    return SceneInputs(str(folder / "sar.tif"), str(folder / "mwr.tif"), **more)


def part_of(folder: Path, top: float, left: float, bottom: float, right: float) -> object:
    """Return a polygon over a part of a scene, given as shares of its rows and columns."""
    import numpy as np

    Grid = part_of_checkout("Grid", "io.geometry.grid", "io.grid")  # noqa: N806
    Polygons, polygon_wkb = (  # noqa: N806
        part_of_checkout(name, "io.geometry.vector", "io.vector") for name in ("Polygons", "polygon_wkb")
    )

    grid = Grid.from_file(folder / "sar.tif")
    rows = np.array([top, top, bottom, bottom, top]) * grid.rows
    cols = np.array([left, right, right, left, left]) * grid.cols
    lon, lat = grid.pixel_to_lonlat(rows, cols)
    return Polygons((polygon_wkb([np.stack([lon, lat], axis=-1)]),), "EPSG:4326")


def middle(folder: Path) -> tuple[float, float]:
    """Return longitude and latitude of a pixel near the middle of a scene."""
    Grid = part_of_checkout("Grid", "io.geometry.grid", "io.grid")  # noqa: N806

    grid = Grid.from_file(folder / "sar.tif")
    lon, lat = grid.pixel_to_lonlat(grid.rows // 2 + 3.5, grid.cols // 2 + 7.5)
    return float(lon), float(lat)


def vary(models: Path) -> None:
    """Write a slightly different network beside each one, as the other member of an ensemble."""
    import torch

    load = part_of_checkout("load", "networks.package", "..models.network")
    save_package = part_of_checkout(
        "save_package", "io.transaction.packages", "io.packages", "..models.network"
    )

    for name in MODELS:
        card, module = load(str(models / name))
        with torch.no_grad():
            for weights in module.parameters():
                weights.mul_(1.01)
        save_package(models / f"{name}{VARIED}", replace(card, id=f"{name}{VARIED}"), module)


def predictions(folder: Path, model: str) -> Iterator[Case]:
    """Yield maps: of a whole scene, and of a part with land."""
    files = {
        "output": "map.tif",
        "probabilities": "probabilities.tif",
        "uncertainty": "uncertainty.tif",
        "coverage": "coverage.tif",
    }
    yield Case("predict/whole", "predict.Predict", {"scene": inputs_of(folder), "model": model}, files)
    some = inputs_of(
        folder, extent=part_of(folder, 0.2, 0.1, 0.9, 0.8), land=part_of(folder, 0.4, 0.3, 0.6, 0.7)
    )
    yield Case("predict/part with land", "predict.Predict", {"scene": some, "model": model}, files)


def relevances(folder: Path, model: str, models: Path) -> Iterator[Case]:
    """Yield relevance by every method: everywhere, at a point, in a region, against another class."""
    files = {"sar_relevance": "sar.tif", "mwr_relevance": "mwr.tif"}
    files |= {"report": "report.html", "report_json": "report.json", "report_csv": "report.csv"}
    common = {"scene": inputs_of(folder), "model": model}
    others = classes_of(model)
    contrast = {"class_name": others[-1], "reference_class": others[0]} if len(others) > 1 else {}
    point, region = middle(folder), part_of(folder, 0.25, 0.3, 0.7, 0.65)
    for method in words("relevance", "METHOD"):
        places = {"everywhere": {}, "point": {"point": point}, "region": {"aoi": region, **contrast}}
        for where, more in places.items():
            if where != "region" or method not in WITH_BASELINE:  # these follow below
                settings = {**common, "method": method, **more}
                yield Case(f"relevance/{method} {where}", "relevance.Relevance", settings, files)
    for word in words("relevance", "FIRST_LAYER")[1:]:
        settings = {**common, "method": "lrp_composite", "first_layer": word, "aoi": region}
        yield Case(f"relevance/first layer {word}", "relevance.Relevance", settings, files)
    for method in WITH_BASELINE:
        settings = {**common, "method": method, "baseline": BASELINE, "aoi": region, **contrast}
        yield Case(f"relevance/{method} baseline", "relevance.Relevance", settings, files)
    for word in words("relevance", "UNCERTAINTY")[1:]:
        members = (str(models / f"{Path(model).name}{VARIED}"),) if word == "ensemble" else ()
        settings = {**common, "uncertainty": word, "ensemble": members, "samples": 3, "aoi": region}
        yield Case(f"relevance/uncertainty {word}", "relevance.Relevance", settings, files)
    for method in ("gradient_x_input", "lrp_epsilon"):
        settings = {**common, "method": method, "faithfulness": True}
        yield Case(f"relevance/{method} faithfulness", "relevance.Relevance", settings, files)


def classes_of(model: str) -> list[str]:
    """Return the classes of a model's first head, where it has several."""
    card = json.loads((Path(model) / "card.json").read_text(encoding="utf-8"))
    head = card["heads"][0]
    return [entry["name"] for entry in head["classes"]] if head["kind"] == "softmax" else []


def contributions(folder: Path, model: str) -> Iterator[Case]:
    """Yield splits by every method and grouping."""
    common = {"scene": inputs_of(folder), "model": model}
    others = classes_of(model)
    for method in ("integrated", "gated"):
        for groups in (*words("ablation", "GROUPS"), "scale"):
            settings = {**common, "method": method, "groups": groups}
            yield Case(
                f"contributions/{method} {groups}",
                "contributions.Contributions",
                settings,
                {"output": "map.tif"},
            )
        more = {
            "coarse": {"resolution": "coarse"},
            "baseline": {"baseline": BASELINE},
            **({"contrast": {"class_name": others[-1], "reference_class": others[0]}} if others else {}),
        }
        for name, chosen in more.items():
            settings = {**common, "method": method, "groups": "sensor", **chosen}
            yield Case(
                f"contributions/{method} {name}",
                "contributions.Contributions",
                settings,
                {"output": "map.tif"},
            )


def ablations(folder: Path, model: str) -> Iterator[Case]:
    """Yield ablation by every grouping and baseline."""
    files = {"output": "map.tif", "table": "table.csv"}
    common = {"scene": inputs_of(folder), "model": model}
    for groups in words("ablation", "GROUPS"):
        for baseline in (
            words("ablation", "BASELINE")
            if groups in ("channel", "sensor")
            else words("ablation", "BASELINE")[:1]
        ):
            other = (
                {"baseline_scene": inputs_of(folder.with_name("projected"))} if baseline == "scene" else {}
            )
            if other and folder.name not in SCENES:
                continue
            settings = {**common, "groups": groups, "baseline": baseline, **other}
            yield Case(f"ablation/{groups} {baseline}", "ablation.Ablation", settings, files)
    settings = {**common, "groups": "sensor", "quantity": "logit"}
    yield Case("ablation/sensor logit", "ablation.Ablation", settings, files)


def zscores(folder: Path, model: str) -> Iterator[Case]:
    """Yield scores without and with labels, by every sample and split, and with all that can be asked for."""
    files = {"output": "table.csv", "report": "report.html", "report_json": "report.json"}
    files |= {"report_csv": "report.csv", "state": "state.npz"}
    common = {"scene": inputs_of(folder), "model": model, "block_size_km": 8.0}
    labels = {"labels": str(folder / "chart.tif")} if "concentration" in Path(model).name else {}
    for sample in SAMPLES.get(folder.name, (0,)):
        for method in ("integrated", "gated", "none") if sample == 0 else ("gated",):
            settings = {**common, "sample": sample, "channel_method": method}
            yield Case(f"zscores/sample {sample} {method}", "zscores.ZScores", settings, files)
            if labels:
                name = f"zscores/sample {sample} {method} labels"
                yield Case(name, "zscores.ZScores", {**settings, **labels}, files)
    settings = {**common, **labels, "sample": 5, "channel_method": "gated", "zone_size_km": 8.0}
    more = {**files, "zone_zscores": "zones.gpkg", "standardised": "standardised.tif"}
    yield Case("zscores/zones", "zscores.ZScores", {**settings, "clusters": "scenes"}, more)
    if labels:
        yield Case("zscores/refit", "zscores.ZScores", {**settings, "refit": True}, files)


def imports(data: Path) -> Iterator[Case]:
    """Yield imports of the real files that lie beside the project."""
    ImportOptions = part_of_checkout("ImportOptions", "io.formats.product", "io.product")  # noqa: N806

    scene = next((data / "amsr2-on-s1-20190823").glob("*_SIC.tiff"))
    laid = {"options": ImportOptions(scene=str(scene))}
    crops = sorted((data / "s1-ew-hv-crops").glob("*.tif"))
    for number, path in enumerate(sorted((data / "amsr2-sic-nsidc0803").glob("*.nc"))):
        files = {"ancillary_coarse": "coarse.tif", "summary": "summary.json"}
        yield Case(f"importscene/nsidc {number}", "importscene.ImportScene", {"input": str(path)}, files)
    chart = next((data / "dmi-ice-chart-sigrid3").glob("*.imz"))
    files = {"chart_polygons": "chart.gpkg", "summary": "summary.json"}
    yield Case("importscene/chart polygons", "importscene.ImportScene", {"input": str(chart)}, files)
    on_crop = {"options": ImportOptions(scene=str(crops[0]))}
    for name, options in (("chart on a scene", laid), ("chart on a crop", on_crop)):
        settings = {"input": str(chart), **options}
        yield Case(f"importscene/{name}", "importscene.ImportScene", settings, {"chart": "chart.tif"})
    amsr2 = next((data / "amsr2-on-s1-20190823").glob("AMSR2*.nc"))
    yield Case(
        "importscene/amsr2", "importscene.ImportScene", {"input": str(amsr2), **laid}, {"mwr": "mwr.tif"}
    )
    safe = data / "s1-ew-severnaya-zemlya" / "manifest.safe"
    files = {"footprint": "footprint.gpkg", "summary": "summary.json"}
    yield Case("importscene/sentinel-1", "importscene.ImportScene", {"input": str(safe)}, files)
    arctic = data / "nansat-georef-fixtures" / "arctic.nc"
    yield Case(
        "importscene/arctic",
        "importscene.ImportScene",
        {"input": str(arctic)},
        {"ancillary_coarse": "coarse.tif"},
    )
