"""Runs tools one after the other in one QGIS, half of them failing, and prints what the process holds.

A script for :meth:`HeadlessQgis.python`: how many runs, a folder to write to, a folder of model packages.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

from qgis.core import (
    QgsApplication,
    QgsProcessingAlgRunnerTask,
    QgsProcessingContext,
    QgsProcessingFeedback,
    QgsProject,
)

BOW = "POLYGON ((1081000 -503000, 1085000 -507000, 1085000 -503000, 1081000 -507000, 1081000 -503000))"


def held() -> dict[str, float]:
    """Return memory in MiB, open files and threads of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return {
        "mib": pages * os.sysconf("SC_PAGESIZE") / 2**20,
        "files": len(list(Path("/proc/self/fd").iterdir())),
        "threads": len(list(Path("/proc/self/task").iterdir())),
    }


def in_background(algorithm, parameters: dict, context, feedback) -> bool:
    """Run as a dialog does, in a thread of Qt's pool; return whether it succeeded."""
    task = QgsProcessingAlgRunnerTask(algorithm, parameters, context, feedback)
    ended: list[bool] = []
    task.executed.connect(lambda succeeded, _results: ended.append(succeeded))
    QgsApplication.taskManager().addTask(task)
    while not ended:
        QgsApplication.processEvents()
        time.sleep(0.002)
    QgsApplication.processEvents()
    return ended[0]


def at_once(algorithm, parameters: dict, context, feedback) -> bool:
    """Run as a script does, in the main thread; return whether it succeeded."""
    return algorithm.run(parameters, context, feedback)[1]


def write_polygon(path: Path, wkt: str) -> str:
    """Write a layer of one polygon, which need not be valid."""
    from osgeo import ogr, osr

    system = osr.SpatialReference()
    system.ImportFromEPSG(3413)
    source = ogr.GetDriverByName("GPKG").CreateDataSource(str(path))
    layer = source.CreateLayer("aoi", system, ogr.wkbPolygon)
    feature = ogr.Feature(layer.GetLayerDefn())
    feature.SetGeometry(ogr.CreateGeometryFromWkt(wkt))
    layer.CreateFeature(feature)
    return str(path)


def runs(folder: Path, packages: Path, size: int) -> tuple[list, list]:
    """Return runs that succeed and runs that fail: names of tools and parameters."""
    scene = {"SAR": f"{folder}/sar.tif", "MWR": f"{folder}/mwr.tif"}
    both = {**scene, "MODEL": str(packages / "trial-concentration")}
    made = {"ROWS": size, "COLS": size, "GEOREFERENCING": "projected"}
    aoi = write_polygon(folder / "bow.gpkg", BOW)
    weights = f"{both['MODEL']}/weights.safetensors"
    packed = f"{folder}/model.zip"
    good = [
        ("simulatescene", {**made, **scene}),
        ("predict", {**both, "OUTPUT": f"{folder}/ice.tif"}),
        ("relevance", {**both, "AOI": aoi, "SAR_RELEVANCE": f"{folder}/relevance.tif"}),
        ("zscores", {**both, "OUTPUT": f"{folder}/scores.csv"}),
        ("contributions", {**both, "OUTPUT": f"{folder}/parts.tif"}),
        ("ablation", {**both, "GROUPS": "sensor", "OUTPUT": f"{folder}/lost.tif"}),
        ("inspectmodel", {"MODEL": both["MODEL"], "OUTPUT": f"{folder}/model.html"}),
        ("exportmodel", {"MODEL": both["MODEL"], "OUTPUT": packed}),
        ("importmodel", {"INPUT": packed, "CHECK_ONLY": True, "REPORT": f"{folder}/import.html"}),
    ]
    ice = {**both, "OUTPUT": f"{folder}/never.tif"}
    bad = [
        ("predict", {**ice, "MODEL": "no-such-model"}),
        ("predict", {**ice, "CHANNELS": "hh=9"}),
        ("predict", {**ice, "MWR": None}),
        ("predict", {**ice, "SAR": aoi}),
        ("predict", {**ice, "EXTENT": "5,6,5,6 [EPSG:4326]"}),
        (
            "relevance",
            {**both, "POINT": "-39,69.5 [EPSG:4326]", "SAR_RELEVANCE": f"{folder}/never.tif"},
        ),
        ("zscores", {**both, "LABELS": scene["SAR"], "OUTPUT": f"{folder}/never.csv"}),
        ("importscene", {"INPUT": aoi, "SAR": f"{folder}/never.tif"}),
        ("contributions", {**ice, "CLASS": "no such class"}),
        ("importmodel", {"INPUT": weights, "CHECK_ONLY": True}),
    ]
    return good, bad


def main(count: int, folder: Path, packages: Path, size: int = 80) -> None:
    """Run, and print what the process holds after a first round and then every tenth run."""
    from floelens.plugin.main import FloeLensPlugin

    plugin = FloeLensPlugin(None)
    plugin.initProcessing()
    good, bad = runs(folder, packages, size)
    order = [run for number in range(count) for run in (good[number % len(good)], bad[number % len(bad)])]
    first = [*good, *bad]
    seen, wrong = [], []
    for number, (name, parameters) in enumerate([*first, *order[:count]]):
        context, feedback = QgsProcessingContext(), QgsProcessingFeedback(False)
        context.setProject(QgsProject.instance())
        run = in_background if (number // 2) % 2 else at_once
        succeeded = run(plugin.provider.algorithm(name).create(), parameters, context, feedback)
        log = feedback.textLog()
        if succeeded != ((name, parameters) in good) or "unexpectedly" in log:
            wrong.append([name, succeeded, log[-300:]])
        if number + 1 >= len(first) and (number + 1 - len(first)) % 10 == 0:
            seen.append(held())
    threads = held()["threads"]
    plugin.unload()
    time.sleep(0.2)
    ended = threads - held()["threads"]
    print(
        json.dumps({"seen": seen, "wrong": wrong, "ended": ended, "compiler": "torch._dynamo" in sys.modules})
    )
    sys.stdout.flush()
    os._exit(0)  # the interpreter's own end destroys objects of Qt in no certain order


if __name__ == "__main__":
    application = QgsApplication([], False)
    application.initQgis()
    sys.path[:0] = [sys.argv[4]]
    main(int(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]))
