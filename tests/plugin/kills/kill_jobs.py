"""Small jobs of the algorithms, for runs that are killed: what they read, and where their outputs go.

Benchmarks are left out, since their runs take too long to be killed often, and bulletins, which a running QGIS draws.
"""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from floelens.plugin.ground.protocols import Progress, Silent
from floelens.plugin.io.geometry.grid import Grid
from floelens.plugin.io.transaction.packages import save_package
from floelens.plugin.jobs.ablation import Ablation
from floelens.plugin.jobs.artifacts import Artifacts
from floelens.plugin.jobs.common.inputs import Compute, SceneInputs
from floelens.plugin.jobs.contributions import Contributions
from floelens.plugin.jobs.environment import Environment
from floelens.plugin.jobs.exportmodel import ExportModel
from floelens.plugin.jobs.features.job import Features
from floelens.plugin.jobs.importmodel import ImportModel
from floelens.plugin.jobs.importscene import ImportScene
from floelens.plugin.jobs.inspect import InspectModel
from floelens.plugin.jobs.predict import Predict
from floelens.plugin.jobs.relevance import Relevance
from floelens.plugin.jobs.removemodel import RemoveModel
from floelens.plugin.jobs.simulate import SimulateScene
from floelens.plugin.jobs.zscores import ZScores
from floelens.plugin.networks.aspp.card import aspp_card
from floelens.plugin.networks.card import Head, HeadClass
from floelens.plugin.networks.package import build, load
from floelens.plugin.networks.standard_channels import MWR_CHANNELS, standard_channels
from floelens.tests.plugin.io.formats.netcdf.files import write_raw
from floelens.tests.plugin.io.rasters import ramp, write_raster

ROWS, COLS = 200, 230
# Runs whose output is a package, and the folder of the inputs that stands there before.
EARLIER = {"importmodel": "earlier-model", "removemodel": "model"}


@dataclass(frozen=True)
class Tool:
    """A run of an algorithm in a QGIS of its own.

    Parameters
    ----------
    name : str
        Its id.
    parameters : mapping
        Its parameters.
    """

    name: str
    parameters: Mapping[str, object]

    def begin(self) -> None:
        """Start QGIS in this process."""
        from floelens.plugin.main import FloeLensPlugin
        from qgis.core import QgsApplication

        KEPT.append(QgsApplication([], False))
        KEPT[0].initQgis()
        KEPT.append(FloeLensPlugin(None))
        KEPT[1].initProcessing()

    def run(self, progress: Progress) -> None:
        """Run the algorithm as a script does."""
        from qgis.core import QgsProcessingContext, QgsProcessingFeedback

        class Feedback(QgsProcessingFeedback):
            """Passes warnings on."""

            def pushWarning(self, text):  # noqa: N802
                progress.warn(text)

        feedback, context = Feedback(), QgsProcessingContext()
        algorithm = KEPT[1].provider.algorithm(self.name).create()
        _, succeeded = algorithm.run(dict(self.parameters), context, feedback)
        if not succeeded:
            raise RuntimeError(feedback.textLog())


KEPT: list = []  # what QGIS needs alive


@dataclass(frozen=True)
class SavePackage:
    """Copy a model with a text about it, as training saves one."""

    model: str
    output: str = ""

    def run(self, progress: Progress) -> None:
        """Write the package."""
        card, module = load(self.model)
        save_package(self.output, card, module, lambda written: {"README.md": written.title}, progress)


def make_inputs(folder: Path, packages: Path) -> Path:
    """Write a scene, a product, a model, and one that reads an ancillary channel, into a new folder; return it."""
    folder.mkdir()
    paths = {name: str(folder / f"{name}.tif") for name in ("sar", "mwr")}
    SimulateScene(seed=51, rows=ROWS, cols=COLS, center=(20.0, 79.0), **paths).run(Silent())
    write_raster(folder / "map.tif", ramp(1, ROWS, COLS), Grid.from_file(paths["sar"]), ["distance_map"])
    write_raw(folder / "raw.nc")
    shutil.copytree(packages / "trial-concentration", folder / "model")
    head = Head("concentration", "sigmoid", (HeadClass("ice", 1, "#ff0000", percent=100),), unit="%")
    channels = standard_channels(("hh", "hv", "distance_map", *MWR_CHANNELS), 25)
    settings = {"title": "map", "pixel_size_m": 80.0, "channels": channels}
    card = aspp_card("trial-map", "interpretability_small", 25, [head], **settings)
    save_package(folder / "map-model", card, build(card).eval())
    ExportModel(f"{folder}/model", f"{folder}/model.zip").run(Silent())
    earlier = dataclasses.replace(card, id="taken-in", title="Taken in")
    save_package(folder / "earlier-model", earlier, build(earlier).eval())
    return folder


def place_outputs(job, place: Path, files: Mapping[str, str]):
    """Return a job that writes below a folder, in which the folders of its files are made."""
    paths = {name: place / file for name, file in files.items()}
    for path in paths.values():
        path.parent.mkdir(parents=True, exist_ok=True)
    outputs = {name: str(path) for name, path in paths.items()}
    if isinstance(job, Tool):
        return Tool(job.name, {**job.parameters, **outputs})
    return dataclasses.replace(job, **outputs)


def every_tool(folder: Path) -> list[tuple[str, object, dict[str, str]]]:
    """Return algorithms as QGIS runs them: names, runs, and where their outputs go."""
    scene = {"SAR": f"{folder}/sar.tif", "MWR": f"{folder}/mwr.tif", "MODEL": f"{folder}/model"}
    wide = {**scene, "MODEL": f"{folder}/map-model", "ANCILLARY": [f"{folder}/map.tif"]}
    zscores = {"OUTPUT": "z.csv", "ZONE_ZSCORES": "zones/z.gpkg", "REPORT": "r.html"}
    relevance = {"SAR_RELEVANCE": "s.tif", "MWR_RELEVANCE": "m.tif", "ANCILLARY_RELEVANCE_FOLDER": "others"}
    return [
        ("QGIS predict", Tool("predict", scene), {"OUTPUT": "o.tif", "COVERAGE": "more/c.tif"}),
        ("QGIS relevance", Tool("relevance", wide), {**relevance, "REPORT": "texts/r.html"}),
        ("QGIS zscores", Tool("zscores", {**scene, "CHANNEL_METHOD": "none"}), zscores),
        (
            "QGIS importscene",
            Tool("importscene", {"INPUT": f"{folder}/raw.nc"}),
            {"SAR": "s.tif", "CHART": "c.tif"},
        ),
    ]


def every_job(folder: Path) -> list[tuple[str, object, dict[str, str]]]:
    """Return a job of each algorithm but the benchmarks: its name, the job, and where its outputs go."""
    scene, small = SceneInputs(f"{folder}/sar.tif", f"{folder}/mwr.tif"), Compute("cpu", memory_mib=200)
    common = {"scene": scene, "model": f"{folder}/model", "compute": small}
    wide = SceneInputs(scene.sar, scene.mwr, ancillary=(f"{folder}/map.tif",))
    mapped = {**common, "scene": wide, "model": f"{folder}/map-model"}
    reports = {"report": "texts/r.html", "report_json": "texts/r.json", "report_csv": "texts/r.csv"}
    return [
        (
            "predict",
            Predict(**common, output=""),
            {
                "output": "o.tif",
                "probabilities": "p.tif",
                "uncertainty": "more/u.tif",
                "coverage": "more/c.tif",
            },
        ),
        (
            "relevance",
            Relevance(**mapped, sar_relevance=""),
            {"sar_relevance": "s.tif", "mwr_relevance": "m.tif", "ancillary_folder": "others", **reports},
        ),
        ("contributions", Contributions(**common, output="", method="gated"), {"output": "c.tif"}),
        ("ablation", Ablation(**common, output="", groups="sensor"), {"output": "a.tif", "table": "a.csv"}),
        (
            "zscores",
            ZScores(**common, output="", channel_method="gated"),
            {"output": "z.csv", "zone_zscores": "zones/z.gpkg", "state": "zones/z.npz", **reports},
        ),
        (
            "features",
            Features(**common, output=""),
            {
                "output": "o.tif",
                "component_maps": "maps/c.tif",
                "decomposed": "d.tif",
                "table": "t.csv",
                "outliers": "maps/o.gpkg",
                "scale": "s.npz",
                **reports,
            },
        ),
        (
            "artifacts",
            Artifacts(**common, artifact="", tests=("translation",)),
            {"artifact": "a.tif", "corrected": "more/c.tif", "table": "t.csv", **reports},
        ),
        ("importscene", ImportScene(f"{folder}/raw.nc"), _imported()),
        ("display", ImportScene(f"{folder}/raw.nc"), {"display": "d.tif"}),
        (
            "simulatescene",
            SimulateScene(rows=ROWS, cols=COLS),
            {"sar": "s.tif", "mwr": "m.tif", "chart": "c.tif"},
        ),
        ("inspectmodel", InspectModel(f"{folder}/model", ""), {"output": "i.html"}),
        ("package", SavePackage(f"{folder}/model"), {"output": "package"}),
        ("environment", Environment(""), {"output": "e.html"}),
        ("exportmodel", ExportModel(f"{folder}/model", ""), {"output": "z.zip"}),
        (
            "importmodel",
            ImportModel(f"{folder}/model.zip", name="Taken in"),
            {"output": "package", "report": "texts/r.html"},
        ),
        ("removemodel", RemoveModel(""), {"model": "package"}),
    ]


def _imported() -> dict[str, str]:
    """Return where all outputs of an import go: into two folders."""
    rasters = ("sar", "mwr", "ancillary_fine", "ancillary_coarse", "chart", "display")
    outlines = {"chart_polygons": "outlines/p.gpkg", "footprint": "outlines/f.gpkg"}
    return {**{name: f"{name}.tif" for name in rasters}, **outlines, "summary": "s.json"}
